"""Which frames are looked at, at every frame rate and with clocks that aren't exact."""

from __future__ import annotations

import numpy as np
import pytest

from falldet.pace import Pace, PaceSettings
from falldet.types import WindowScore


def looked_at(times_s: np.ndarray, poses_per_s: float) -> np.ndarray:
    pace = Pace(PaceSettings(poses_per_s))
    return np.array([pace.is_due(float(time_s)) for time_s in times_s])


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
    pace = Pace(PaceSettings(15))
    assert [pace.is_due(t) for t in (0.0, 0.033, 5.01, 5.03, 5.07)] == [True, False, True, False, True]


def test_after_a_reset_the_next_frame_is_looked_at() -> None:
    pace = Pace(PaceSettings(15))
    assert pace.is_due(10.0)
    pace.reset()
    assert pace.is_due(0.0)


@pytest.mark.parametrize("name", ["poses_per_s", "wake_s"])
def test_a_negative_number_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} = -1"):
        PaceSettings(**{name: -1})


def looks(scores: list[float], ahead: int = 0, fps: float = 30.0) -> list[int]:
    """Frames that are looked at, when a look at frame i shows a window of scores[i]."""
    pace, looked = Pace(PaceSettings(10, wake_score=0.5, wake_s=0.2), ahead), []
    for number, score in enumerate(scores):
        if pace.is_due(number / fps):
            looked.append(number)
            pace.note(number / fps, [WindowScore(1, 0.0, 1.0, 0.0), WindowScore(2, 0.0, 1.0, score)])
    return looked


def test_a_score_wakes_it_for_its_time() -> None:
    scores = [0.0] * 30
    scores[6] = 0.5
    assert looks(scores) == [0, 3, *range(6, 13), 15, 18, 21, 24, 27]
    assert looks([0.49] * 30) == list(range(0, 30, 3))


def test_a_score_counts_so_many_looks_later() -> None:
    scores = [0.0] * 30
    scores[6] = 0.5
    assert looks(scores, ahead=1) == [0, 3, 6, *range(9, 13), 15, 18, 21, 24, 27]
    assert looks(scores, ahead=2) == [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]  # it is over by then


def test_at_every_frame_nothing_is_kept() -> None:
    pace = Pace(PaceSettings(0))
    for number in range(1000):
        assert pace.is_due(number / 30)
        pace.note(number / 30, [WindowScore(1, 0.0, 1.0, 0.9)])
    assert len(pace._awake_s) == 0


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_the_last_frame_is_always_looked_at(count: int) -> None:
    chosen = list(Pace(PaceSettings(10)).chosen(range(count), lambda number: number / 20))
    assert [number for number, _ in chosen] == list(range(count))
    assert [due for _, due in chosen] == [number % 2 == 0 or number == count - 1 for number in range(count)]


def test_a_frame_to_be_looked_at_does_not_wait_for_the_next() -> None:
    given: list[int] = []

    def frames():
        for number in range(6):
            given.append(number)
            yield number

    waited = [(number, due, given[-1]) for number, due in Pace(PaceSettings(10)).chosen(frames(), lambda n: n / 20)]
    assert waited == [(0, True, 0), (1, False, 2), (2, True, 2), (3, False, 4), (4, True, 4), (5, True, 5)]
