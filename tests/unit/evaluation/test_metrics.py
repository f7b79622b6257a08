"""Event-level metrics, by hand and against numpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.data.manifest import ClipRecord, FallInterval
from falldet.evaluation.matching import ClipResult, match_alerts
from falldet.evaluation.metrics import compute_metrics, percentile
from falldet.types import Event, EventState

Times = list[tuple[float, float]]


def result(falls: Times, alerts: list[float], duration_s: float) -> ClipResult:
    intervals = tuple(FallInterval(start, end, True) for start, end in falls)
    clip = ClipRecord(Path("clip.mp4"), int(bool(falls)), "s1", fall_intervals=intervals)
    events = [Event(f"{t}", "clip", 1, t, t, None, t, 0.9, EventState.FALLEN, (0.0, 0.0, 1.0, 1.0)) for t in alerts]
    return ClipResult(clip, duration_s, events, match_alerts(falls, alerts))


def test_compute_metrics_by_hand() -> None:
    metrics = compute_metrics(
        [
            result([(5, 6), (20, 21)], [5.5, 7.0], 600),  # true positive, repeated, missed
            result([(3, 4)], [4.5], 600),
            result([], [1.0], 600),
            result([], [], 1800),
        ]
    )
    assert (metrics.falls, metrics.true_positives, metrics.false_positives) == (3, 2, 2)
    assert metrics.recall == pytest.approx(2 / 3)
    assert metrics.precision == pytest.approx(2 / 4)
    assert metrics.f1 == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert metrics.false_alarms_per_hour == pytest.approx(2.0)
    assert metrics.delays_s == pytest.approx([0.5, 1.5])


def test_compute_metrics_gives_none_without_a_denominator() -> None:
    nothing = compute_metrics([])
    assert (nothing.recall, nothing.precision, nothing.f1, nothing.false_alarms_per_hour) == (None, None, None, None)
    quiet = compute_metrics([result([], [], 60)])
    assert (quiet.recall, quiet.precision, quiet.f1, quiet.false_alarms_per_hour) == (None, None, None, 0.0)
    missed = compute_metrics([result([(1, 2)], [], 60)])
    assert (missed.recall, missed.precision, missed.f1) == (0.0, None, 0.0)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0, 100))
@settings(deadline=None)
def test_percentile_is_numpys(values: list[float], percent: float) -> None:
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent), abs=1e-9)


def test_compute_metrics_takes_delays_from_the_end_only_where_it_is_labeled() -> None:
    known = result([(5, 6), (20, 22)], [5.5, 23.0], 60)
    event_only = replace(known.clip, fall_intervals=(FallInterval(5, 9, False), FallInterval(20, 25, False)))
    assert compute_metrics([known]).delays_from_end_s == pytest.approx([-0.5, 1.0])
    assert compute_metrics([replace(known, clip=event_only)]).delays_from_end_s == []
    assert compute_metrics([replace(known, clip=event_only)]).delays_s == pytest.approx([0.5, 3.0])
