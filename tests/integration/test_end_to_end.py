"""The tools as a user runs them, on real video files, with the real pose model and the shipped recognizer."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scene_videos import last_events, render

from falldet.data.annotations import load_annotations
from falldet.data.manifest import read_manifest
from falldet.io.video import read_frames
from falldet.synthetic import SCENES

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("pose_model")]


def tool(name: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def sample(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sample scene's video, and the folder with the demo's results on it."""
    folder = tmp_path_factory.mktemp("demo")
    tool("demo", sample_video, folder=folder)
    return sample_video, folder / "work_dirs" / "demo" / "sample"


def test_demo_raises_exactly_one_alert_at_the_fall_of_the_sample(sample: tuple[Path, Path]) -> None:
    ((_, start_s, end_s),) = SCENES["sample"]().falls()
    (event,) = last_events(sample[1])
    assert start_s - 0.5 <= event["alert_s"] <= end_s + 3.0
    assert set(event) == {
        "id",
        "source",
        "track_id",
        "start_s",
        "alert_s",
        "end_s",
        "peak_s",
        "score",
        "state",
        "box",
        "lying_s",
        "falls",
        "handed_over",
        "long_lie",
        "wall_time",
    }
    assert (event["source"], event["wall_time"]) == ("sample", None)
    assert event["start_s"] <= event["alert_s"]
    assert event["end_s"] is None
    x0, y0, x1, y1 = event["box"]
    hips = SCENES["sample"]().truth(event["alert_s"]).keypoints[0, 11:13].mean(axis=0)
    assert x0 <= hips[0] <= x1
    assert y0 <= hips[1] <= y1


def test_demo_video_keeps_the_timing_and_turns_red_at_the_alert(sample: tuple[Path, Path]) -> None:
    video, out_dir = sample
    given, drawn = list(read_frames(video)), list(read_frames(out_dir / "sample.mp4"))
    assert [frame.time_s for frame in drawn] == pytest.approx([frame.time_s for frame in given], abs=1e-3)
    (event,) = last_events(out_dir)
    edge_is_red = np.array(
        [frame.image[2, frame.image.shape[1] // 2, 2] > 150 > frame.image[2, 320, 0] for frame in drawn]
    )
    times = np.array([frame.time_s for frame in drawn])
    assert (edge_is_red == (times >= event["alert_s"] - 1e-6)).all()


def test_demo_scores_are_one_row_per_person_and_frame_in_range(sample: tuple[Path, Path]) -> None:
    with (sample[1] / "scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["frame", "time_s", "track_id", "score"]
    keys = [(row["track_id"], int(row["frame"])) for row in rows]
    assert len(set(keys)) == len(keys) > 200
    assert all(0 <= float(row["score"]) <= 1 for row in rows)
    peak = max(rows, key=lambda row: float(row["score"]))
    (event,) = last_events(sample[1])
    assert event["score"] <= float(peak["score"]) + 1e-3, "the mean of two windows is no more than the highest score"
    assert event["start_s"] - 4 <= float(peak["time_s"]) <= event["alert_s"] + 2
    assert cv2.imread(str(sample[1] / "timeline.png")) is not None


def test_demo_skeleton_only_shows_nothing_of_the_room(tmp_path: Path) -> None:
    video = render(replace(SCENES["walk"](), fps=8.0), tmp_path / "walk.mp4")
    tool("demo", video, "--skeleton-only", "--out-dir", tmp_path / "out", folder=tmp_path)
    frames = [frame.image for frame in read_frames(tmp_path / "out" / "walk.mp4")]
    assert np.median([np.median(image) for image in frames]) < 10
    walking = frames[24]
    assert (walking.max(axis=2) > 100).mean() < 0.05
    assert (walking.max(axis=2) > 100).any()


@pytest.mark.parametrize("name", ["squat", "empty_room"])
def test_demo_raises_no_alert_without_a_fall(name: str, tmp_path: Path) -> None:
    video = render(replace(SCENES[name](), fps=10.0), tmp_path / f"{name}.mp4")
    done = tool("demo", video, "--no-video", "--out-dir", tmp_path / "out", folder=tmp_path)
    assert last_events(tmp_path / "out") == [], done.stdout


@pytest.mark.parametrize(("name", "fps"), [("fall_forward", 10.0), ("fall_backward", 15.0), ("fall_sideways", 25.0)])
def test_demo_finds_falls_at_every_frame_rate(name: str, fps: float, tmp_path: Path) -> None:
    scene = replace(SCENES[name](), fps=fps)
    tool("demo", render(scene, tmp_path / "fall.mp4"), "--no-video", "--out-dir", tmp_path / "out", folder=tmp_path)
    ((_, start_s, end_s),) = scene.falls()
    (event,) = last_events(tmp_path / "out")
    assert start_s - 0.5 <= event["alert_s"] <= end_s + 3.0


def test_demo_ends_the_event_at_getting_up_without_a_second_alert(tmp_path: Path) -> None:
    scene = replace(SCENES["fall_and_recover"](), fps=10.0)
    tool("demo", render(scene, tmp_path / "up.mp4"), "--no-video", "--out-dir", tmp_path / "out", folder=tmp_path)
    (event,) = last_events(tmp_path / "out")
    assert event["state"] == "recovered"
    assert event["end_s"] > event["alert_s"]


def test_demo_in_company_reports_exactly_the_person_who_falls(tmp_path: Path) -> None:
    scene = replace(SCENES["fall_in_company"](), fps=10.0)
    tool("demo", render(scene, tmp_path / "three.mp4"), "--no-video", "--out-dir", tmp_path / "out", folder=tmp_path)
    ((faller, start_s, end_s),) = scene.falls()
    (event,) = last_events(tmp_path / "out")
    assert start_s - 0.5 <= event["alert_s"] <= end_s + 3.0
    truth = scene.truth(event["alert_s"])
    hips = truth.keypoints[:, 11:13].mean(axis=1)
    x0, y0, x1, y1 = event["box"]
    inside = (hips[:, 0] >= x0) & (hips[:, 0] <= x1) & (hips[:, 1] >= y0) & (hips[:, 1] <= y1)
    assert faller in truth.track_ids[inside]


@pytest.mark.openmmlab
def test_tools_lead_from_own_videos_to_an_own_detector_in_three_commands(tmp_path: Path) -> None:
    if importlib.util.find_spec("mmaction") is None:
        pytest.skip("needs OpenMMLab (`make install`)")
    for name in ("fall_forward", "fall_backward", "fall_left"):
        render(replace(SCENES[name](), fps=8.0), tmp_path / "videos" / "fall" / f"{name}.mp4")
    for name in ("walk", "squat", "lie_down"):
        render(replace(SCENES[name](), fps=8.0), tmp_path / "videos" / "not_fall" / f"{name}.mp4")
    done = tool("extract_kpts", "videos", folder=tmp_path)
    assert "data/falls.pkl written" in done.stdout
    assert len(load_annotations(tmp_path / "data" / "falls.pkl")["annotations"]) == 6
    small = ["train_cfg.max_epochs=1", "model.backbone.base_channels=16", "model.cls_head.in_channels=64"]
    tool("train", ROOT / "configs" / "stgcn_fall.py", "--cfg-options", *small, folder=tmp_path)
    checkpoint = tmp_path / "work_dirs" / "stgcn_fall" / "epoch_1.pth"
    video = tmp_path / "videos" / "fall" / "fall_forward.mp4"
    tool("demo", video, "--checkpoint", checkpoint, "--no-video", folder=tmp_path)
    assert (tmp_path / "work_dirs" / "demo" / "fall_forward" / "scores.csv").stat().st_size > 100


def test_demo_on_real_videos(shared_data: Path, tmp_path: Path) -> None:
    """A clear fall and a clear daily activity of the test split, straight through the demo."""
    fall, daily = "urfd/fall/fall-25-cam0.mp4", "urfd/adl/adl-25-cam0.mp4"
    (clip,) = (c for c in read_manifest(shared_data / "urfd" / "manifest.csv") if c.path == shared_data / fall)
    tool("demo", shared_data / fall, "--no-video", "--out-dir", tmp_path / "fall", folder=tmp_path)
    tool("demo", shared_data / daily, "--no-video", "--out-dir", tmp_path / "daily", folder=tmp_path)
    (event,) = last_events(tmp_path / "fall")
    (interval,) = clip.fall_intervals
    assert interval.start_s - 0.5 <= event["alert_s"] <= interval.end_s + 3.0
    assert last_events(tmp_path / "daily") == []
