"""Alerts matched with labelled falls, and the figures that follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.evaluation import ClipResult, match_alerts, summarise
from falldet.manifest import ClipRecord, FallInterval
from falldet.types import Event, EventState

Times = list[tuple[float, float]]


@pytest.mark.parametrize(
    ("falls", "alerts", "pairs", "missed", "false"),
    [
        ([], [], [], [], []),
        ([(5, 6)], [5.8], [(0, 0)], [], []),
        ([(5, 6)], [4.5], [(0, 0)], [], []),
        ([(5, 6)], [4.49], [], [0], [0]),
        ([(5, 6)], [9.0], [(0, 0)], [], []),
        ([(5, 6)], [9.01], [], [0], [0]),
        ([(5, 6)], [], [], [0], []),
        ([], [3.0, 4.0], [], [], [0, 1]),
        ([(5, 6)], [5.5, 8.0], [(0, 0)], [], [1]),
        ([(5, 6)], [1.0, 5.5, 20.0], [(0, 1)], [], [0, 2]),
        ([(5, 6), (20, 21)], [5.5, 20.5], [(0, 0), (1, 1)], [], []),
        ([(5, 6), (20, 21)], [20.5], [(1, 0)], [0], []),
        ([(5, 6), (20, 21)], [5.5], [(0, 0)], [1], []),
        ([(5, 6), (7, 8)], [7.5], [(0, 0)], [1], []),
        ([(5, 6), (7, 8)], [7.5, 7.6], [(0, 0), (1, 1)], [], []),
        ([(20, 21), (5, 6)], [20.5, 5.5], [(1, 1), (0, 0)], [], []),
    ],
    ids=[
        "nothing",
        "right",
        "just early enough",
        "too early",
        "just in time",
        "too late",
        "missed",
        "false alarms",
        "repeated",
        "before, right and after",
        "two falls",
        "first one missed",
        "second one missed",
        "one alert is right for one fall only",
        "two alerts for two near falls",
        "not sorted",
    ],
)
def test_alerts_are_paired_with_falls(
    falls: Times, alerts: list[float], pairs: list[tuple[int, int]], missed: list[int], false: list[int]
) -> None:
    match = match_alerts(falls, alerts)
    assert (match.pairs, match.missed, sorted(match.false)) == (pairs, missed, false)


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0.1, 3)), max_size=5),
    st.lists(st.floats(0, 70), max_size=6),
)
@settings(deadline=None)
def test_every_fall_and_every_alert_is_counted_once(falls: Times, alerts: list[float]) -> None:
    intervals = [(start, start + length) for start, length in falls]
    match = match_alerts(intervals, alerts)
    assert sorted([fall for fall, _ in match.pairs] + match.missed) == list(range(len(falls)))
    assert sorted([alert for _, alert in match.pairs] + match.false) == list(range(len(alerts)))
    for fall, alert in match.pairs:
        assert intervals[fall][0] - 0.5 <= alerts[alert] <= intervals[fall][1] + 3.0


@given(st.lists(st.floats(0, 60), max_size=4), st.lists(st.floats(0, 70), max_size=5))
@settings(deadline=None)
def test_as_many_falls_as_possible_are_paired(starts: list[float], alerts: list[float]) -> None:
    """Falls of equal length: pairing in time order loses none that another pairing would find."""
    intervals = [(start, start + 1.0) for start in starts]

    def most(fall: int, free: frozenset[int]) -> int:
        if fall == len(intervals):
            return 0
        start, end = intervals[fall]
        fits = [a for a in free if start - 0.5 <= alerts[a] <= end + 3.0]
        return max([most(fall + 1, free), *(1 + most(fall + 1, free - {a}) for a in fits)])

    assert len(match_alerts(intervals, alerts).pairs) == most(0, frozenset(range(len(alerts))))


def result(falls: Times, alerts: list[float], duration_s: float) -> ClipResult:
    intervals = tuple(FallInterval(start, end, True) for start, end in falls)
    clip = ClipRecord(Path("clip.mp4"), int(bool(falls)), "somebody", fall_intervals=intervals)
    events = [Event(1, t, t, None, t, 0.9, EventState.FALLEN, (0.0, 0.0, 1.0, 1.0)) for t in alerts]
    return ClipResult(clip, duration_s, events, match_alerts(falls, alerts))


def test_figures_by_hand() -> None:
    figures = summarise(
        [
            result([(5, 6), (20, 21)], [5.5, 7.0], 600),  # right, repeated, missed
            result([(3, 4)], [4.5], 600),
            result([], [1.0], 600),
            result([], [], 1800),
        ]
    )
    assert (figures.falls, figures.right, figures.false) == (3, 2, 2)
    assert figures.recall == pytest.approx(2 / 3)
    assert figures.precision == pytest.approx(2 / 4)
    assert figures.f1 == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert figures.false_per_hour == pytest.approx(2.0)
    assert figures.delays_s == pytest.approx([0.5, 1.5])


def test_a_ratio_without_a_denominator_is_none() -> None:
    nothing = summarise([])
    assert (nothing.recall, nothing.precision, nothing.f1, nothing.false_per_hour) == (None, None, None, None)
    quiet = summarise([result([], [], 60)])
    assert (quiet.recall, quiet.precision, quiet.f1, quiet.false_per_hour) == (None, None, None, 0.0)
    missed = summarise([result([(1, 2)], [], 60)])
    assert (missed.recall, missed.precision, missed.f1) == (0.0, None, 0.0)
