"""Which frames are looked at, at every frame rate and with clocks that aren't exact."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
import pytest

from falldet.stages.frame_sampling import FrameSampler, SamplingSettings
from falldet.types import WindowScore


def looked_at(times_s: np.ndarray, poses_per_s: float) -> np.ndarray:
    pace = FrameSampler(SamplingSettings(poses_per_s))
    return np.array([sampling.should_process(float(time_s)) for time_s in times_s])


def test_by_default_every_frame_is_looked_at() -> None:
    assert looked_at(np.arange(50) / 30, 0).all()


@pytest.mark.parametrize("fps", [5, 10, 12, 15, 15.001])
def test_a_slow_source_is_looked_at_whole(fps: float) -> None:
    assert looked_at(np.arange(300) / fps, 15).mean() > 0.99


@pytest.mark.parametrize("digits", [2, 3, 9])
def test_at_twice_the_rate_it_is_every_second_frame(digits: int) -> None:
    times_s = np.round(np.arange(300) / 30, digits)
    np.testing.assert_array_equal(looked_at(times_s, 15), np.arange(300) % 2 == 0)


@pytest.mark.parametrize("fps", [18, 20, 24, 25, 29.97, 30, 50, 60, 120])
def test_a_quick_source_is_looked_at_at_the_rate_asked_for_and_evenly(fps: float) -> None:
    times_s = np.arange(round(20 * fps)) / fps
    due_s = times_s[looked_at(times_s, 15)]
    assert len(due_s) == pytest.approx(300, abs=1)
    assert np.diff(due_s).max() <= 1 / 15 + 1 / fps + 1e-9


def test_an_inexact_clock_leaves_no_hole(rng: np.random.Generator) -> None:
    times_s = np.arange(600) / 30 + rng.uniform(-0.004, 0.004, 600)
    np.testing.assert_array_equal(looked_at(times_s, 15), np.arange(600) % 2 == 0)


def test_a_gap_is_followed_by_a_frame_that_is_looked_at() -> None:
    pace = FrameSampler(SamplingSettings(15))
    assert [sampling.should_process(t) for t in (0.0, 0.033, 5.01, 5.03, 5.07)] == [True, False, True, False, True]


def test_after_a_reset_the_next_frame_is_looked_at() -> None:
    pace = FrameSampler(SamplingSettings(15))
    assert sampling.should_process(10.0)
    sampling.reset()
    assert sampling.should_process(0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("poses_per_s", -1),
        ("idle_fps", 0),
        ("motion_threshold", -1),
        ("motion_hold_s", -1),
        ("empty_hold_s", -1),
        ("full_rate_hold_s", -1),
    ],
)
def test_a_number_out_of_its_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} = {value} must"):
        SamplingSettings(**{name: value})


SETTINGS = SamplingSettings(
    15, 5, motion_threshold=0.2, motion_hold_s=0.3, empty_hold_s=1.9, full_rate_threshold=0.5, full_rate_hold_s=0.2
)


def looks(
    speeds: Sequence[float | None],
    scores: Sequence[float] = (),
    settings: SamplingSettings = SETTINGS,
    fps: float = 30.0,
) -> list[int]:
    """Frames that are looked at, when a look at frame i shows this speed, and a window of this score where given."""
    pace, looked = FrameSampler(settings), []
    for number, speed in enumerate(speeds):
        if sampling.should_process(number / fps):
            looked.append(number)
            window_scores = [WindowScore(1, 0.0, 1.0, 0.0), WindowScore(2, 0.0, 1.0, scores[number])] if scores else []
            sampling.note(number / fps, speed, window_scores)
    return looked


@pytest.mark.parametrize(("speed", "step"), [(0.0, 6), (0.2, 6), (0.21, 2), (9.0, 2), (np.inf, 2)])
def test_while_somebody_moves_it_looks_more_often(speed: float, step: int) -> None:
    assert looks([speed] * 60) == list(range(0, 60, step))


@pytest.mark.parametrize("fps", [15, 20, 24, 25, 29.97, 30, 50, 60])
@pytest.mark.parametrize(("speed", "rate"), [(0.0, 5), (1.0, 15)])
def test_the_rate_is_kept_at_every_frame_rate(fps: float, speed: float, rate: float) -> None:
    assert len(looks([speed] * round(20 * fps), fps=fps)) == pytest.approx(20 * rate, abs=1)


def test_who_begins_to_move_is_noticed_with_the_next_look_and_so_is_who_stops_but_for_a_while() -> None:
    speeds = [0.0] * 20 + [1.0] * 10 + [0.0] * 30
    assert looks(speeds) == [0, 6, 12, 18, *range(24, 38, 2), 42, 48, 54]


def test_with_nobody_in_sight_it_is_as_alert_as_can_be_and_then_takes_the_room_for_empty() -> None:
    assert looks([None] * 120) == [*range(0, 66, 2), *range(70, 120, 6)]
    assert looks([0.0] * 60 + [None] * 90) == [*range(0, 60, 6), *range(60, 120, 2), *range(124, 150, 6)]


def test_a_score_wakes_it_for_its_time() -> None:
    scores = [0.0] * 30
    scores[6] = 0.5
    assert looks([0.0] * 30, scores) == [0, *range(6, 12), 17, 23, 29]
    assert looks([1.0] * 30, [0.49] * 30) == list(range(0, 30, 2))


def test_a_copy_foresees_without_disturbing() -> None:
    pace = FrameSampler(SETTINGS)
    sampling.should_process(0.0)
    sampling.note(0.0, 0.0, [])
    foresight = copy(pace)
    assert [number for number in range(1, 13) if foresight.should_process(number / 30)] == [6, 12]
    assert [number for number in range(1, 7) if sampling.should_process(number / 30)] == [6]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_the_last_frame_is_always_looked_at(count: int) -> None:
    chosen = list(FrameSampler(SamplingSettings(10)).chosen(range(count), lambda number: number / 20))
    assert [number for number, _ in chosen] == list(range(count))
    assert [due for _, due in chosen] == [number % 2 == 0 or number == count - 1 for number in range(count)]


def test_a_frame_to_be_looked_at_does_not_wait_for_the_next() -> None:
    given: list[int] = []

    def frames():
        for number in range(6):
            given.append(number)
            yield number

    waited = [
        (number, due, given[-1])
        for number, due in FrameSampler(SamplingSettings(10)).chosen(frames(), lambda n: n / 20)
    ]
    assert waited == [(0, True, 0), (1, False, 2), (2, True, 2), (3, False, 4), (4, True, 4), (5, True, 5)]
