"""Labeled windows: whether a fall has just happened when they end; they are the windows of the pipeline."""

from __future__ import annotations

import numpy as np
import pytest

from falldet.data.annotations import Annotation
from falldet.data.window_labels import FALL, NOT_FALL, DrawSettings, LabeledWindow, TargetSettings, label_windows
from falldet.stages.windows import WindowBuffer, WindowSettings
from falldet.types import People, Window

HW = (480, 640)
FPS = 25.0
EVERY_FRAME = DrawSettings(rates=(0.0,))


def annotation(falls: list[list[float]], people: int = 1, duration_s: float = 12.0) -> Annotation:
    """A clip of people who stand side by side; during each fall the first one turns to lie."""
    steps = round(duration_s * FPS)
    time_s = np.arange(steps) / FPS
    upright = np.stack([np.zeros(17), np.linspace(0, 100, 17)], axis=1)
    keypoints = np.zeros((people, steps, 17, 2), np.float32)
    for person in range(people):
        keypoints[person] = upright + np.array([100 + 150 * person, 100])
    for start_s, end_s in falls:
        share = np.clip((time_s - start_s) / (end_s - start_s), 0, 1)[:, None, None]
        keypoints[0] = (1 - share) * keypoints[0] + share * (upright[:, ::-1] + [100, 200])
    return {
        "frame_dir": "clip",
        "label": int(bool(falls)),
        "img_shape": HW,
        "original_shape": HW,
        "total_frames": steps,
        "keypoint": keypoints.astype(np.float32),
        "keypoint_score": np.ones((people, steps, 17), np.float32),
        "time_s": time_s,
        "fall_intervals": falls,
    }


def labels_of(windows: list[LabeledWindow], track_id: int = 0) -> dict[float, int]:
    """Label by the end of each window of a track."""
    return {round(w.window.stop_s, 2): w.label for w in windows if w.window.track_id == track_id}


def same(a: Window, b: Window) -> bool:
    arrays = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("time_s", "keypoints", "scores"))
    return arrays and (a.start_s, a.stop_s) == (b.start_s, b.stop_s)


def test_label_windows_calls_a_fall_what_has_just_happened() -> None:
    labels = labels_of(label_windows(annotation([[3.0, 4.0]]), draw=EVERY_FRAME))
    assert {stop_s for stop_s, label in labels.items() if label == FALL} == {3.75 + 0.25 * i for i in range(9)}
    assert labels[2.75] == NOT_FALL
    assert not {3.0, 3.25, 3.5} & set(labels), "the descent is in progress"
    assert not {6.0, 8.25} & set(labels), "some time after the fall"
    assert labels[8.5] == labels[11.75] == NOT_FALL


def test_label_windows_takes_the_times_of_the_target() -> None:
    target = TargetSettings(begin_share=0.0, after_s=1.0, ignored_s=1.0)
    labels = labels_of(label_windows(annotation([[3.0, 4.0]]), target=target, draw=EVERY_FRAME))
    assert {stop_s for stop_s, label in labels.items() if label == FALL} == {3.0 + 0.25 * i for i in range(8)}
    assert labels[5.0] == NOT_FALL


@pytest.mark.parametrize("settings", [WindowSettings(), WindowSettings(4.0), WindowSettings(1.0, 0.5, 0.8, 0.1)])
def test_label_windows_cuts_the_windows_of_the_pipeline(settings: WindowSettings) -> None:
    clip = annotation([])
    clip["keypoint"] += np.arange(clip["total_frames"], dtype=np.float32)[None, :, None, None]
    clip["keypoint_score"][:, 120:140] = 0  # lost for a while
    buffer, windows = WindowBuffer(settings), []
    for step, time_s in enumerate(clip["time_s"].tolist()):
        rows = slice(0, int(clip["keypoint_score"][0, step].any()))
        pose, score = clip["keypoint"][:, step], clip["keypoint_score"][:, step]
        person = People(pose, score, np.zeros((1, 4)), np.ones(1), np.zeros(1))[rows]
        windows += buffer.push(time_s, person, HW)
    found = [each.window for each in label_windows(clip, settings, draw=EVERY_FRAME)]
    assert len(found) >= len(windows) > 15
    assert all(same(a, b) for a, b in zip(found, windows, strict=False))


def test_label_windows_ignores_other_people_around_a_fall() -> None:
    windows = label_windows(annotation([[3.0, 4.0]], people=2), draw=EVERY_FRAME)
    assert set(labels_of(windows, 0).values()) == {FALL, NOT_FALL}
    other = labels_of(windows, 1)
    assert set(other.values()) == {NOT_FALL}
    assert not any(3.0 <= stop_s < 8.5 for stop_s in other)


def test_label_windows_takes_the_one_who_moves_most_for_the_one_who_falls() -> None:
    clip = annotation([[3.0, 4.0]], people=2)
    clip["keypoint"], clip["keypoint_score"] = clip["keypoint"][::-1].copy(), clip["keypoint_score"][::-1].copy()
    windows = label_windows(clip, draw=EVERY_FRAME)
    assert FALL in labels_of(windows, 1).values()
    assert FALL not in labels_of(windows, 0).values()


def test_label_windows_takes_a_track_that_is_found_again_nearby_for_the_same_person() -> None:
    clip = annotation([[3.0, 4.0]])
    clip["keypoint"], clip["keypoint_score"] = (np.repeat(clip[k], 2, axis=0) for k in ("keypoint", "keypoint_score"))
    clip["keypoint_score"][0, 90:] = 0  # lost at 3.6 s
    clip["keypoint_score"][1, :91] = 0
    assert FALL in labels_of(label_windows(clip, draw=EVERY_FRAME), 1).values()
    clip["keypoint"][1] += 300  # far away: another person
    assert FALL not in labels_of(label_windows(clip, draw=EVERY_FRAME), 1).values()


def test_label_windows_takes_no_fall_of_a_person_who_comes_late_or_leaves_early() -> None:
    late, early = annotation([[3.0, 4.0]]), annotation([[3.0, 4.0]])
    late["keypoint_score"][:, :95] = 0  # in sight from 3.8 s on
    early["keypoint_score"][:, 82:] = 0  # out of sight from 3.28 s on
    for clip in (late, early):
        assert FALL not in labels_of(label_windows(clip, draw=EVERY_FRAME)).values()


def test_label_windows_takes_no_window_of_a_fall_of_unknown_time() -> None:
    clip = annotation([])
    clip["label"] = 1
    assert label_windows(clip) == []


def test_label_windows_draws_copies_at_random_ends_and_speeds_by_its_seed() -> None:
    clip = annotation([[3.0, 4.0]])
    draw = DrawSettings(rates=(0.0, 10.0), fall_copies=3, copies=1, slowest=0.8, fastest=1.25, jitter=True)
    plain = label_windows(clip, WindowSettings(2.0), draw=EVERY_FRAME)
    drawn = label_windows(clip, WindowSettings(2.0), draw=draw)
    falls = [sum(each.label == FALL for each in windows) for windows in (plain, drawn)]
    others = [sum(each.label == NOT_FALL for each in windows) for windows in (plain, drawn)]
    assert falls[1] == pytest.approx(6 * falls[0], rel=0.2)
    assert others[1] == pytest.approx(2 * others[0], rel=0.35)
    lengths = [each.window.stop_s - each.window.start_s for each in drawn]
    assert 1.6 <= min(lengths) < 1.7 < 2.4 < max(lengths) <= 2.5
    again, other = label_windows(clip, WindowSettings(2.0), draw=draw), DrawSettings(**{**_fields(draw), "seed": 1})
    assert all(same(a.window, b.window) for a, b in zip(drawn, again, strict=True))
    seeded = label_windows(clip, WindowSettings(2.0), draw=other)
    assert [each.window.stop_s for each in seeded] != [each.window.stop_s for each in drawn]


def _fields(draw: DrawSettings) -> dict:
    return {name: getattr(draw, name) for name in DrawSettings.__dataclass_fields__}


def test_label_windows_takes_the_frames_of_each_rate() -> None:
    still = annotation([])
    counts = {}
    for rate in (0.0, 12.5, 5.0, (12.5, 5.0)):
        windows = label_windows(still, WindowSettings(2.0), draw=DrawSettings(rates=(rate,)))
        counts[rate] = max(len(each.window.time_s) for each in windows if each.window.stop_s > 4)
    assert counts[0.0] == pytest.approx(51, abs=1)
    assert counts[12.5] == pytest.approx(26, abs=1)
    assert counts[5.0] == counts[12.5, 5.0] == pytest.approx(11, abs=1), "a still person is seen at the idle rate"
