"""Evaluation of many clips: the same results in one process and in several, and a clean end at Ctrl-C."""

from __future__ import annotations

import functools
import json
import multiprocessing
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
from falldet.evaluation import runner
from falldet.evaluation.runner import EvaluationJob, evaluate_clips, operating_curve
from falldet.extraction.pose_cache import PoseSequence, pose_cache
from falldet.geometry import keypoint_boxes
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.synthetic import SCENES, Scene

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("fall_forward", "walk", "fall_in_company", "squat", "fall_backward")
THRESHOLDS = (0.3, 0.6, 0.95)


def scene(name: str) -> Scene:
    return replace(SCENES[name](), fps=10.0)


@functools.cache
def true_poses(name: str) -> PoseSequence:
    synthetic = scene(name)
    keypoints, scores = synthetic.keypoints()
    visible = scores.any(axis=2)  # (T, N)
    boxes = keypoint_boxes(keypoints[visible], scores[visible])
    return PoseSequence(
        synthetic.frame_times(),
        visible.sum(axis=1),
        keypoints[visible],
        scores[visible],
        boxes,
        np.ones(len(boxes), np.float32),
        (synthetic.camera.height, synthetic.camera.width),
    )


def keep_true_poses(folder: Path, video: Path, name: str) -> None:
    """Put the true poses of a scene into the cache, as if they had been estimated from `video`."""
    true_poses(name).save(pose_cache(folder, Config()).path_of(video))


@pytest.fixture
def clips(tmp_path: Path) -> list[ClipRecord]:
    """Five clips whose poses are cached, and in the middle a missing one."""
    records = []
    for name in NAMES:
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(name.encode())  # never decoded: its poses are cached
        keep_true_poses(tmp_path / "poses", path, name)
        falls = tuple(FallInterval(start_s, stop_s, True) for _, start_s, stop_s in scene(name).falls())
        records.append(ClipRecord(path, int(bool(falls)), name, None, falls))
    records.insert(2, ClipRecord(tmp_path / "gone.mp4", 0, "gone"))
    return records


@pytest.fixture
def job(tmp_path: Path) -> EvaluationJob:
    """At an alert threshold that drawn people reach, whose falls look like no real person's."""
    config = Config.from_groups({"events": {"alert_threshold": 0.5}})
    return EvaluationJob(config, THRESHOLDS, tmp_path / "poses")


def test_evaluate_clips_gives_the_same_in_one_process_and_in_several(
    clips: list[ClipRecord], job: EvaluationJob
) -> None:
    alone, left_out = evaluate_clips(clips, job, 1)
    assert [clip.result.clip.subject for clip in alone] == list(NAMES)
    assert sum(len(clip.result.match.pairs) for clip in alone) >= 2, "some falls must be detected"
    ((path, reason),) = left_out
    assert path.name == "gone.mp4"
    assert "can't read" in reason
    assert evaluate_clips(clips, job, 2) == (alone, left_out)
    assert multiprocessing.active_children() == []
    curve = dict(operating_curve(alone, THRESHOLDS))
    assert list(curve) == list(THRESHOLDS)
    assert curve[0.3].true_positives >= curve[0.95].true_positives


@pytest.mark.parametrize("jobs", [1, 2])
def test_evaluate_clips_refuses_clips_of_which_none_can_be_read(tmp_path: Path, job: EvaluationJob, jobs: int) -> None:
    gone = [ClipRecord(tmp_path / f"gone{index}.mp4", 0, "gone") for index in range(2)]
    with pytest.raises(FalldetError, match="none of the 2 videos could be evaluated: can't read"):
        evaluate_clips(gone, job, jobs)


def test_evaluate_clips_refuses_too_few_jobs(clips: list[ClipRecord], job: EvaluationJob) -> None:
    with pytest.raises(FalldetError, match="jobs = 0 must be at least 1"):
        evaluate_clips(clips, job, 0)


def test_evaluate_clips_stops_at_ctrl_c(
    clips: list[ClipRecord], job: EvaluationJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[str] = []

    def interrupted(replay: Callable[..., Any]) -> Callable[..., Any]:
        def first(clip: ClipRecord, *arguments: Any) -> Any:
            evaluated.append(clip.subject)
            signal.raise_signal(signal.SIGINT)
            return replay(clip, *arguments)

        return first

    monkeypatch.setattr(runner, "replay_clip", interrupted(runner.replay_clip))
    before = sorted(job.cache.iterdir())
    with pytest.raises(KeyboardInterrupt):
        evaluate_clips(clips, job, 1)
    assert evaluated == [NAMES[0]]
    assert sorted(job.cache.iterdir()) == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_evaluate_tool_writes_report_and_hard_negatives(tmp_path: Path) -> None:
    """A fall labeled as none is a false alarm; one in the test split must not be trained on."""
    lines = ["path,label,split"]
    for name, split in (("fall_forward", "train"), ("fall_backward", "test"), ("walk", "train")):
        path = tmp_path / f"{name}.mp4"
        with VideoWriter(path, 10.0) as writer:
            for frame in scene(name).frames():
                writer.write(frame.image, frame.time_s)
        keep_true_poses(tmp_path / "poses", path, name)
        lines.append(f"{path.name},not_fall,{split}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, ROOT / "tools" / "evaluate.py", "manifest.csv", "--cache", "poses", "--out-dir", "out"]
    options = ["--jobs", "2", "--hard-negatives", "hard", "--cfg-options", "events.alert_threshold=0.5"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    alarmed = {Path(alarm["path"]).name for alarm in report["false_positives"]}
    assert alarmed == {"fall_forward.mp4", "fall_backward.mp4"}
    assert "1, the clip belongs to the test split" in done.stderr
    (annotation,) = load_annotations(tmp_path / "hard" / "hard_negatives.pkl")["annotations"]
    assert annotation["frame_dir"].startswith("fall_forward_false_alarm_")
    (thumbnails,) = (tmp_path / "hard").glob("*.png")
    assert cv2.imread(str(thumbnails)) is not None
    retrain = done.stdout.splitlines()[-1]
    assert "train configs/stgcn_fall_best.py --add-ann-file hard/hard_negatives.pkl" in retrain
    assert "stgcn_fall.pth optim_wrapper.optimizer.lr=0.0005" in retrain


@pytest.mark.parametrize(
    ("checkpoint", "weights"),
    [
        ("work_dirs/own/epoch_6.pth", "work_dirs/own/epoch_6.pth"),
        ("stgcn_fall", "stgcn_fall.pth"),
        ("own.onnx", "stgcn_fall.pth"),
    ],
)
def test_initial_weights_are_those_that_raised_the_alarms(checkpoint: str, weights: str) -> None:
    from falldet.cli.evaluate import initial_weights

    assert str(initial_weights(checkpoint)).endswith(weights)
