"""Videos judged in one process and in several: the same results, in order, and a clean end at Ctrl-C."""

from __future__ import annotations

import functools
import json
import multiprocessing
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from falldet.data.annotations import load_annotations
from falldet.data.manifest import ClipRecord, FallInterval
from falldet.errors import FalldetError
from falldet.evaluation import runner as workers
from falldet.evaluation.runner import EvaluationJob, available_cores, evaluate_clips, operating_curve
from falldet.extraction.pose_cache import PoseSequence
from falldet.geometry import keypoint_boxes
from falldet.io.video import VideoWriter
from falldet.pipeline.detector import Settings, pose_cache
from falldet.synthetic import SCENES, Scene

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = Settings()
NAMES = ("fall_forward", "walk", "fall_in_company", "squat", "fall_backward")
THRESHOLDS = (0.3, 0.6, 0.95)


def scene(name: str) -> Scene:
    return replace(SCENES[name](), fps=10.0)


@functools.cache
def true_poses(name: str) -> PoseSequence:
    drawn = scene(name)
    keypoints, scores = drawn.keypoints()
    seen = scores.any(axis=2)  # (T, N)
    boxes = keypoint_boxes(keypoints[seen], scores[seen])
    sure, image_hw = np.ones(len(boxes), np.float32), (drawn.camera.height, drawn.camera.width)
    return PoseSequence(drawn.frame_times(), seen.sum(axis=1), keypoints[seen], scores[seen], boxes, sure, image_hw)


def remember(folder: Path, video: Path, name: str) -> None:
    """Put the true poses of a scene into the cache, as if `video` had been looked at."""
    true_poses(name).save(folder / f"{pose_cache(folder, SETTINGS)._key(video)}.npz")


@pytest.fixture
def clips(tmp_path: Path) -> list[ClipRecord]:
    """Five clips whose poses are known, and in the middle one that is not there."""
    records = []
    for name in NAMES:
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(name.encode())  # never decoded: its poses are there
        remember(tmp_path / "poses", path, name)
        falls = tuple(FallInterval(start_s, stop_s, True) for _, start_s, stop_s in scene(name).falls())
        records.append(ClipRecord(path, int(bool(falls)), name, None, falls))
    records.insert(2, ClipRecord(tmp_path / "gone.mp4", 0, "gone"))
    return records


@pytest.fixture
def judging(tmp_path: Path) -> EvaluationJob:
    return EvaluationJob(SETTINGS, THRESHOLDS, tmp_path / "poses")


def test_several_processes_give_what_one_gives(clips: list[ClipRecord], judging: EvaluationJob) -> None:
    alone, left_out = evaluate_clips(clips, judging, 1)
    assert [clip.result.clip.subject for clip in alone] == list(NAMES)
    assert sum(len(clip.result.match.pairs) for clip in alone) >= 2, "some falls must be found for this to say much"
    ((path, reason),) = left_out
    assert path.name == "gone.mp4"
    assert "can't read" in reason
    assert evaluate_clips(clips, judging, 2) == (alone, left_out)
    assert multiprocessing.active_children() == []
    figures = dict(operating_curve(alone, THRESHOLDS))
    assert list(figures) == list(THRESHOLDS)
    assert figures[0.3].right >= figures[0.95].right


@pytest.mark.parametrize("jobs", [1, 2])
def test_none_readable_is_an_error(tmp_path: Path, judging: EvaluationJob, jobs: int) -> None:
    gone = [ClipRecord(tmp_path / f"gone{number}.mp4", 0, "gone") for number in range(2)]
    with pytest.raises(FalldetError, match="none of the 2 videos could be evaluated: can't read"):
        evaluate_clips(gone, judging, jobs)


def test_too_few_jobs_are_refused(clips: list[ClipRecord], judging: EvaluationJob) -> None:
    with pytest.raises(FalldetError, match="jobs = 0 must be at least 1"):
        evaluate_clips(clips, judging, 0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_every_process(
    clips: list[ClipRecord], judging: EvaluationJob, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(function: Callable[..., Any]) -> Callable[..., Any]:
        def first(*arguments: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            return function(*arguments)

        return first

    monkeypatch.setattr(workers, "wait", interrupted(workers.wait))
    monkeypatch.setattr(workers, "replay_clip", interrupted(workers.replay_clip))
    before = sorted(judging.cache.iterdir())
    with pytest.raises(KeyboardInterrupt):
        evaluate_clips(clips, judging, jobs)
    assert multiprocessing.active_children() == []
    assert sorted(judging.cache.iterdir()) == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_dead_worker_is_one_sentence(
    clips: list[ClipRecord], judging: EvaluationJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_start_worker", len)  # takes other arguments, so every new process dies of it
    with pytest.raises(FalldetError, match=r"a worker process was killed.*--jobs"):
        evaluate_clips(clips, judging, 2)
    assert multiprocessing.active_children() == []


def test_there_is_a_core() -> None:
    assert available_cores() >= 1


@pytest.mark.slow
def test_the_tool_writes_report_and_hard_negatives(tmp_path: Path) -> None:
    """A fall labeled as none is a false alarm; one in the test split is not to be learnt from."""
    lines = ["path,label,split"]
    for name, split in (("fall_forward", "train"), ("fall_backward", "test"), ("walk", "train")):
        path = tmp_path / f"{name}.mp4"
        with VideoWriter(path, 10.0) as writer:
            for frame in scene(name).frames():
                writer.write(frame.image, frame.time_s)
        remember(tmp_path / "poses", path, name)
        lines.append(f"{path.name},not_fall,{split}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, ROOT / "tools" / "evaluate.py", "manifest.csv", "--cache", "poses", "--out-dir", "out"]
    options = ["--jobs", "2", "--hard-negatives", "hard", "--cfg-options", "events.alert_threshold=0.5"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert {Path(alarm["path"]).name for alarm in report["false_alarms"]} == {"fall_forward.mp4", "fall_backward.mp4"}
    assert "1, the clip belongs to the test split" in done.stderr
    (annotation,) = load_annotations(tmp_path / "hard" / "hard_negatives.pkl")["annotations"]
    assert annotation["frame_dir"].startswith("fall_forward_false_alarm_")
    (picture,) = (tmp_path / "hard").glob("*.png")
    assert cv2.imread(str(picture)) is not None
    assert done.stdout.splitlines()[-1] == (
        "python tools/train.py configs/stgcn_fall_best.py --add-ann-file hard/hard_negatives.pkl "
        "--cfg-options load_from=checkpoints/stgcn_fall.pth optim_wrapper.optimizer.lr=0.01"
    )


@pytest.mark.parametrize(
    ("checkpoint", "weights"),
    [
        ("work_dirs/own/epoch_6.pth", "work_dirs/own/epoch_6.pth"),
        ("stgcn_fall", "checkpoints/stgcn_fall.pth"),
        ("own.onnx", "checkpoints/stgcn_fall.pth"),
    ],
)
def test_training_goes_on_from_what_raised_the_alarms(checkpoint: str, weights: str) -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "evaluate.py"))
    assert tool["weights_of"](checkpoint) == weights
