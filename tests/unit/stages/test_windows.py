"""Windows of tracks: compared with those of the whole recording, at all frame rates, in bounded memory."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.geometry import keypoint_boxes
from falldet.stages.preprocessing import WINDOW_FRAMES, resample
from falldet.stages.windows import DEFAULT_LENGTH_S, WindowBuffer, WindowSettings
from falldet.synthetic import SCENES, Scene
from falldet.types import NO_TRACK, People, Window

HW = (480, 640)
Recording = list[tuple[float, list[int]]]  # time and track ids of each frame


def people_at(time_s: float, track_ids: Iterable[int]) -> People:
    """People whose joints all lie at (track id, time), so that a pose shows its track and its time."""
    ids = np.array(list(track_ids), dtype=np.int64)
    keypoints = np.broadcast_to(np.stack([ids, np.full(len(ids), time_s)], axis=-1)[:, None], (len(ids), 17, 2))
    ones = np.ones((len(ids), 17))
    return People(keypoints, ones, np.zeros((len(ids), 4)), np.ones(len(ids)), ids)


def cut(recording: Recording, window_settings: WindowSettings | None = None, flush: bool = True) -> list[Window]:
    buffer = WindowBuffer(window_settings)
    windows = []
    for time_s, ids in recording:
        windows += buffer.push(time_s, people_at(time_s, ids), HW)
    return windows + (buffer.flush() if flush else [])


def steady(duration_s: float, fps: float = 25.0, ids: tuple[int, ...] = (1,), start_s: float = 0.0) -> Recording:
    return [(start_s + i / fps, list(ids)) for i in range(round(duration_s * fps))]


def all_windows(recording: Recording, s: WindowSettings) -> set[tuple[int, int, int]]:
    """(track, stop in strides, observations) of every window, from the whole recording at once, without flush."""
    expected = set()
    first, last = recording[0][0], recording[-1][0]
    for stride in itertools.count(1):
        stop = first + stride * s.stride_s
        if stop > last:
            return expected
        for track in {i for _, ids in recording for i in ids if i != NO_TRACK}:
            times = [t for t, ids in recording if track in ids and t < stop]
            inside = [t for t in times if t >= stop - s.length_s]
            if not inside:
                continue
            stops = [first + n * s.stride_s for n in range(1, stride)]
            returns = [b for a, b in itertools.pairwise(times) if any(a < at - s.length_s and b >= at for at in stops)]
            start = max([times[0], *returns])  # a track starts anew after a window without it
            if inside[-1] - start >= s.min_track_s and stop - inside[-1] <= s.linger_s:
                kept = len(inside) + any(t >= start and t < stop - s.length_s for t in times)  # the last one before
                expected.add((track, stride, kept))
    raise AssertionError


def test_window_buffer_cuts_windows_of_one_person() -> None:
    windows = cut(steady(5.0), flush=False)
    assert [round(w.stop_s, 6) for w in windows] == [0.25 * n for n in range(2, 20)]
    for window in windows:
        assert window.stop_s - window.start_s == pytest.approx(2.0)
        assert window.start_s <= window.time_s[1]  # the first one may lie before it
        assert window.time_s[-1] < window.stop_s
        assert (np.diff(window.time_s) > 0).all()
        np.testing.assert_allclose(window.keypoints[:, 0, 1], window.time_s, rtol=1e-6)
        assert (window.keypoints[..., 0] == window.track_id).all()
        assert window.image_hw == HW
    assert {len(w.time_s) for w in windows[-8:]} == {51}


@given(
    st.lists(st.tuples(st.integers(1, 80), st.sets(st.integers(-1, 3), max_size=4)), min_size=2, max_size=60),
    st.sampled_from([(2.0, 0.25, 0.4, 0.5), (1.0, 1.0, 0.0, 0.0), (3.0, 0.5, 1.0, 2.0)]),
)
@settings(max_examples=60, deadline=None)
def test_window_buffer_gives_the_windows_of_the_whole_recording(
    steps: list[tuple[int, set[int]]], times: tuple[float, float, float, float]
) -> None:
    window_settings = WindowSettings(*times)
    clock = itertools.accumulate((step for step, _ in steps), initial=0)
    recording = [(ticks / 64, sorted(ids)) for ticks, (_, ids) in zip(clock, steps, strict=False)]  # exact in binary
    windows = cut(recording, window_settings, flush=False)
    stride_s = window_settings.stride_s
    found = [(w.track_id, round((w.stop_s - recording[0][0]) / stride_s), len(w.time_s)) for w in windows]
    assert len(found) == len(set(found))
    assert set(found) == all_windows(recording, window_settings)


def test_window_buffer_flush_covers_every_frame() -> None:
    for frames in range(12, 80):
        recording = steady(frames / 25)
        windows = cut(recording)
        assert windows[-1].time_s[-1] == recording[-1][0] < windows[-1].stop_s
        covered = {t for w in windows for t in w.time_s.tolist()}
        assert covered == {t for t, _ in recording}


def test_window_buffer_flush_gives_each_track_one_last_window() -> None:
    buffer = WindowBuffer()
    for time_s, ids in steady(1.1, ids=(1, 2)):
        buffer.push(time_s, people_at(time_s, ids), HW)
    assert [w.track_id for w in buffer.flush()] == [1, 2]
    assert buffer.flush() == []


def test_window_buffer_covers_a_person_who_leaves_to_the_last_frame() -> None:
    for visible in range(11, 40):
        recording = [(i / 25, [1, 2] if i < visible else [2]) for i in range(80)]
        covered = {t for w in cut(recording) if w.track_id == 1 for t in w.time_s.tolist()}
        assert covered == {i / 25 for i in range(visible)}


def test_window_buffer_cuts_no_windows_of_short_and_unconfirmed_tracks() -> None:
    assert cut([(i / 25, [1] if i < 8 else []) for i in range(80)]) == []
    assert cut(steady(3.0, ids=(NO_TRACK,))) == []


def test_window_buffer_ends_the_windows_of_all_tracks_at_the_same_times() -> None:
    recording = [(i / 25, [1, 2] if i >= 37 else [1]) for i in range(100)]
    windows = cut(recording, flush=False)
    stops = {w.stop_s for w in windows if w.track_id == 1}
    assert {w.stop_s for w in windows if w.track_id == 2} < stops


def test_window_buffer_continues_a_lost_track_for_linger_s() -> None:
    recording = [(i / 25, [1] if i <= 50 else []) for i in range(150)]
    assert max(w.stop_s for w in cut(recording)) == pytest.approx(2.5)


@pytest.mark.parametrize("start_s", [0.0, 1234.56])
def test_window_buffer_does_not_depend_on_the_zero_of_time(start_s: float) -> None:
    shifted = [(w.start_s - start_s, len(w.time_s)) for w in cut(steady(4.0, start_s=start_s), flush=False)]
    expected = [(w.start_s, len(w.time_s)) for w in cut(steady(4.0), flush=False)]
    assert [count for _, count in shifted] == pytest.approx([count for _, count in expected], abs=1)
    np.testing.assert_allclose([s for s, _ in shifted], [s for s, _ in expected], atol=1e-6)


def test_window_buffer_reset_forgets_all_tracks() -> None:
    buffer = WindowBuffer()
    for time_s, ids in steady(1.0):
        buffer.push(time_s, people_at(time_s, ids), HW)
    buffer.reset()
    assert buffer.flush() == []
    assert buffer.push(0.0, people_at(0.0, [1]), HW) == []


def test_window_buffer_memory_is_bounded_over_a_long_run() -> None:
    buffer = WindowBuffer()
    for i in range(10_000):
        buffer.push(i / 25, people_at(i / 25, [i // 250, 10_000]), HW)
        assert len(buffer._tracks) <= 3
        assert all(len(t.times) == len(t.poses) <= 58 for t in buffer._tracks.values())


def test_window_buffer_takes_a_leap_in_time_as_fast_as_a_step() -> None:
    buffer = WindowBuffer()
    for time_s, ids in steady(1.0):
        buffer.push(time_s, people_at(time_s, ids), HW)
    started = time.perf_counter()
    buffer.push(1e7, people_at(1e7, [1]), HW)
    assert time.perf_counter() - started < 0.2
    stops = [w.stop_s for i in range(1, 50) for w in buffer.push(1e7 + i / 25, people_at(1e7 + i / 25, [1]), HW)]
    assert len(stops) >= 5
    assert np.diff(stops).tolist() == [0.25] * (len(stops) - 1)


@pytest.mark.parametrize(
    "wrong",
    [{"stride_s": 0}, {"length_s": 2.0, "stride_s": 3.0}, {"length_s": -1.0}, {"min_track_s": -1}, {"linger_s": -0.1}],
)
def test_window_settings_refuse_times_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must (not )?be"):
        WindowSettings(**wrong)


def test_window_settings_take_the_recognizers_length_where_theirs_is_0() -> None:
    assert WindowSettings().for_recognizer(4.0).length_s == 4.0
    assert WindowSettings().for_recognizer(None).length_s == DEFAULT_LENGTH_S
    assert WindowSettings(length_s=3.0).for_recognizer(4.0).length_s == 3.0


def scene_windows(name: str, fps: float) -> tuple[Scene, dict[float, Window]]:
    scene = SCENES[name]()
    scene = Scene(scene.people, scene.duration_s, scene.camera, scene.room, fps)
    buffer = WindowBuffer()
    windows = []
    for time_s, pose, score in zip(scene.frame_times().tolist(), *scene.keypoints(), strict=True):
        rows = np.flatnonzero(score.any(axis=1))
        boxes = keypoint_boxes(pose[rows], score[rows])
        windows += buffer.push(time_s, People(pose[rows], score[rows], boxes, np.ones(len(rows)), rows), HW)
    return scene, {round(w.stop_s, 3): w for w in windows if len(w.time_s) > 1.9 * fps}


@pytest.mark.parametrize("fps", [10.0, 15.0, 24.0, 60.0])
@pytest.mark.parametrize("name", ["walk", "fall_forward"])
def test_window_buffer_gives_the_same_resampled_window_at_every_frame_rate(name: str, fps: float) -> None:
    _, fine = scene_windows(name, 30.0)
    _, other = scene_windows(name, fps)
    common = sorted(set(fine) & set(other))
    assert len(common) >= 10
    for stop_s in common:
        a, b = resample(fine[stop_s])[0], resample(other[stop_s])[0]
        assert a.shape == b.shape == (WINDOW_FRAMES, 17, 2)
        speed = np.abs(np.diff(a, axis=0)).max() * WINDOW_FRAMES / 2.0  # px/s
        lag_s = 0.5 / 30 + 0.5 / fps + 2.0 / WINDOW_FRAMES
        assert np.abs(a - b).max() <= speed * lag_s + 1.0
        assert np.abs(a - b).mean() < 3.5
