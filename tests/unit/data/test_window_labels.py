"""Labeled windows: labels by the share of a descent, and the windows of training are those of the pipeline."""

from __future__ import annotations

import numpy as np
import pytest

from falldet.data.annotations import Annotation
from falldet.data.window_labels import FALL, FALL_OVERLAP, NOT_FALL, label_windows
from falldet.stages.preprocessing import WINDOW_FRAMES
from falldet.stages.windows import WindowBuffer, WindowSettings
from falldet.types import People

HW = (480, 640)
FPS = 25.0


def annotation(falls: list[list[float]], people: int = 1, duration_s: float = 8.0) -> Annotation:
    """A clip of people whose every joint lies at (1, 1)."""
    steps = round(duration_s * FPS)
    return {
        "frame_dir": "clip",
        "label": int(bool(falls)),
        "img_shape": HW,
        "original_shape": HW,
        "total_frames": steps,
        "keypoint": np.ones((people, steps, 17, 2), np.float32),
        "keypoint_score": np.ones((people, steps, 17), np.float32),
        "time_s": np.arange(steps) / FPS,
        "fall_intervals": falls,
    }


def stop_s(sample: Annotation) -> float:
    return float(sample["frame_dir"].split("@")[2])


def test_label_windows_labels_by_the_share_of_the_descent() -> None:
    samples = label_windows(annotation([[3.0, 4.0]]))
    labels = {stop_s(sample): sample["label"] for sample in samples}
    assert labels[3.0] == NOT_FALL
    assert 3.5 not in labels  # a little less than half of the descent: ambiguous
    assert labels[3.75] == labels[4.0] == labels[5.0] == FALL
    assert labels[6.0] == labels[7.75] == NOT_FALL  # lying after the descent is not a fall
    assert {s["keypoint"].shape for s in samples} == {(1, WINDOW_FRAMES, 17, 2)}
    assert {s["keypoint_score"].shape for s in samples} == {(1, WINDOW_FRAMES, 17)}
    assert len({s["frame_dir"] for s in samples}) == len(samples)


@pytest.mark.parametrize(("overlap", "label"), [(FALL_OVERLAP, FALL), (0.6, None), (0.5, FALL)])
def test_label_windows_takes_fall_overlap_from_one_place(overlap: float, label: int | None) -> None:
    """The window that stops at 3.6 s has its last observation at 3.56 s: it covers 0.56 of the descent."""
    settings = WindowSettings(stride_s=0.4)
    labels = {stop_s(s): s["label"] for s in label_windows(annotation([[3.0, 4.0]]), settings, fall_overlap=overlap)}
    assert labels.get(3.6) == label
    default = {stop_s(s): s["label"] for s in label_windows(annotation([[3.0, 4.0]]), settings)}
    assert default[3.6] == FALL


def test_label_windows_takes_the_speeds_in_turn() -> None:
    still = annotation([])
    still["keypoint"][0, ..., 0] = still["time_s"][:, None]
    samples = label_windows(still, speeds=(0.5, 1.0, 2.0))
    assert len(samples) == len(label_windows(still))
    late = {stop_s(s): s for s in samples if stop_s(s) > 4}
    spans = [np.ptp(late[stop]["keypoint"][0, :, 0, 0]) for stop in sorted(late)]
    assert np.allclose(np.resize(spans[:3], len(spans)), spans, atol=0.1)
    assert np.allclose(sorted(spans[:3]), [1.0, 2.0, 4.0], atol=0.1)


def test_label_windows_takes_the_rates_in_turn() -> None:
    still = annotation([])
    still["keypoint"][0, ..., 0] = np.arange(len(still["time_s"]))[:, None]
    samples = label_windows(still, pose_fps=(0.0, 12.5, 5.0))
    late = {stop_s(s): s for s in samples if stop_s(s) > 4}
    frames = [len(np.unique(late[stop]["keypoint"][0, :, 0, 0])) for stop in sorted(late)]
    assert len(late) == len([s for s in label_windows(still) if stop_s(s) > 4])
    assert np.resize(frames[:3], len(frames) - 1).tolist() == frames[:-1]  # the last one also holds the last frame
    assert sorted(frames[:3]) == [10, 25, 48]


@pytest.mark.parametrize("settings", [WindowSettings(), WindowSettings(1.0, 0.5, 0.8, 0.1)])
def test_label_windows_cuts_the_windows_of_the_pipeline(settings: WindowSettings) -> None:
    clip = annotation([])
    buffer, windows = WindowBuffer(settings), []
    for time_s in clip["time_s"].tolist():
        person = People(np.ones((1, 17, 2)), np.ones((1, 17)), np.zeros((1, 4)), np.ones(1), np.zeros(1))
        windows += buffer.push(time_s, person, HW)
    windows += buffer.flush()
    stops = [s["frame_dir"].split("@")[2] for s in label_windows(clip, settings)]
    assert stops == [f"{window.stop_s:.2f}" for window in windows]


def test_label_windows_takes_no_fall_of_a_person_out_of_sight() -> None:
    clip = annotation([[3.0, 4.0]])
    clip["keypoint_score"][:, 70:] = 0  # out of sight from 2.8 s on
    assert all(sample["label"] == NOT_FALL for sample in label_windows(clip))


def test_label_windows_leaves_out_the_fall_windows_of_a_bystander() -> None:
    clip = annotation([[3.0, 4.0]], people=2)
    labels = {name.split("@")[1]: set() for name in ("clip@0", "clip@1")}
    for sample in label_windows(clip):
        labels[sample["frame_dir"].split("@")[1]].add(sample["label"])
    assert labels == {"0": {FALL, NOT_FALL}, "1": {NOT_FALL}}
    clip["keypoint_score"][0, 70:] = 0  # not together: the second one is the first under another track id
    assert FALL in {s["label"] for s in label_windows(clip) if s["frame_dir"].split("@")[1] == "1"}
