"""Alerts matched with labeled falls."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.evaluation.matching import MATCH_EARLY_S, MATCH_LATE_S, match_alerts

Times = list[tuple[float, float]]


@pytest.mark.parametrize(
    ("falls", "alerts", "pairs", "false_negatives", "false_positives"),
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
        "true positive",
        "just early enough",
        "too early",
        "just in time",
        "too late",
        "missed",
        "false alarms",
        "repeated",
        "before, during and after",
        "two falls",
        "first one missed",
        "second one missed",
        "one alert matches one fall only",
        "two alerts for two near falls",
        "not sorted",
    ],
)
def test_match_alerts_pairs_alerts_with_falls(
    falls: Times,
    alerts: list[float],
    pairs: list[tuple[int, int]],
    false_negatives: list[int],
    false_positives: list[int],
) -> None:
    match = match_alerts(falls, alerts)
    assert (match.pairs, match.false_negatives) == (pairs, false_negatives)
    assert sorted(match.false_positives) == false_positives


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0.1, 3)), max_size=5),
    st.lists(st.floats(0, 70), max_size=6),
)
@settings(deadline=None)
def test_match_alerts_counts_every_fall_and_every_alert_once(falls: Times, alerts: list[float]) -> None:
    intervals = [(start, start + length) for start, length in falls]
    match = match_alerts(intervals, alerts)
    assert sorted([fall for fall, _ in match.pairs] + match.false_negatives) == list(range(len(falls)))
    assert sorted([alert for _, alert in match.pairs] + match.false_positives) == list(range(len(alerts)))
    for fall, alert in match.pairs:
        assert intervals[fall][0] - MATCH_EARLY_S <= alerts[alert] <= intervals[fall][1] + MATCH_LATE_S


@given(st.lists(st.floats(0, 60), max_size=4), st.lists(st.floats(0, 70), max_size=5))
@settings(deadline=None)
def test_match_alerts_pairs_as_many_falls_as_possible(starts: list[float], alerts: list[float]) -> None:
    """Falls of equal length: pairing in time order loses none that another pairing could find."""
    intervals = [(start, start + 1.0) for start in starts]

    def most(fall: int, free: frozenset[int]) -> int:
        if fall == len(intervals):
            return 0
        start, end = intervals[fall]
        fits = [a for a in free if start - MATCH_EARLY_S <= alerts[a] <= end + MATCH_LATE_S]
        return max([most(fall + 1, free), *(1 + most(fall + 1, free - {a}) for a in fits)])

    assert len(match_alerts(intervals, alerts).pairs) == most(0, frozenset(range(len(alerts))))
