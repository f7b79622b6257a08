"""Event-level metrics over evaluated clips, with 95 % bootstrap intervals over subjects or clips."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from falldet.evaluation.matching import ClipResult


@dataclass(frozen=True, slots=True)
class EventMetrics:
    """Event-level metrics over a set of clips; a ratio without a denominator is None.

    Attributes:
        falls: labeled falls.
        true_positives: falls with an alert.
        false_positives: false alarms.
        recall: true positives / falls.
        precision: true positives / alerts.
        f1: their harmonic mean.
        false_per_hour: false alarms per hour of video.
        delays_s: alert minus the fall's start, seconds, of each true positive.
        delays_from_end_s: alert minus the end of the descent, seconds, where that end is labeled; below 0 where
            the alert came during the fall.
    """

    falls: int
    true_positives: int
    false_positives: int
    recall: float | None
    precision: float | None
    f1: float | None
    false_per_hour: float | None
    delays_s: list[float]
    delays_from_end_s: list[float]


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted and added up over videos: falls found and missed, false alarms, lengths, delays."""

    true_positives: int
    false_negatives: int
    false_positives: int
    lengths_s: list[float]
    delays_s: list[float]
    delays_from_end_s: list[float]


def tally(results: Sequence[ClipResult]) -> Tally:
    """Count a set of evaluated clips."""
    found = [
        (result.events[alert].alert_s, result.clip.fall_intervals[fall])
        for result in results
        for fall, alert in result.match.pairs
    ]
    return Tally(
        len(found),
        sum(len(result.match.false_negatives) for result in results),
        sum(len(result.match.false_positives) for result in results),
        [result.duration_s for result in results],
        [alert_s - interval.start_s for alert_s, interval in found],
        [alert_s - interval.end_s for alert_s, interval in found if interval.fall_end_known],
    )


def metrics_of(tallies: Sequence[Tally]) -> EventMetrics:
    """Return the metrics of all that was counted in `tallies`."""
    found = sum(each.true_positives for each in tallies)
    missed = sum(each.false_negatives for each in tallies)
    false = sum(each.false_positives for each in tallies)
    return EventMetrics(
        found + missed,
        found,
        false,
        _ratio(found, found + missed),
        _ratio(found, found + false),
        _ratio(2 * found, 2 * found + missed + false),
        _ratio(false, sum(length_s for each in tallies for length_s in each.lengths_s) / 3600),
        [delay for each in tallies for delay in each.delays_s],
        [delay for each in tallies for delay in each.delays_from_end_s],
    )


def compute_metrics(results: Sequence[ClipResult]) -> EventMetrics:
    """Return the metrics of a set of evaluated clips."""
    return metrics_of([tally(results)])


MetricFn = Callable[[EventMetrics], float | None]
Cluster = Literal["subject", "video"]

RATIOS: dict[str, MetricFn] = {
    name: operator.attrgetter(name) for name in ("recall", "precision", "f1", "false_per_hour")
}
PERCENTILES = {"median": 50, "p90": 90, "p95": 95}


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Return median, p90 and p95 of `values`, or None where there are none."""
    if not values:
        return None
    return dict(zip(PERCENTILES, np.percentile(values, list(PERCENTILES.values())).tolist(), strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return what numpy's percentile does, linear between neighbors, but for few values in a twentieth of the time."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _delay(kind: str, percent: float) -> MetricFn:
    def metric(metrics: EventMetrics) -> float | None:
        delays = getattr(metrics, kind)
        return percentile(delays, percent) if delays else None

    return metric


DELAYS: dict[str, MetricFn] = {
    f"{kind}.{name}": _delay(kind, percent)
    for kind in ("delays_s", "delays_from_end_s")
    for name, percent in PERCENTILES.items()
}
"""Delay percentiles by the names they have in report.json: `delays_s.median` and so on."""


def bootstrap(
    results: Sequence[ClipResult],
    metric: MetricFn,
    rng: np.random.Generator,
    rounds: int = 1000,
    over: Cluster = "subject",
) -> tuple[float, float] | None:
    """Return the 95 % interval of a metric over resampled subjects or videos, or None where it is hardly ever defined.

    Clips of one subject resemble each other, so by default they are drawn together, with replacement. Where many people
    share one subject's name that leaves few draws, and single videos tell more; they take no account of likeness.
    Source: the cluster bootstrap, percentile interval (Davison and Hinkley, Bootstrap Methods, 1997).

    Args:
        results: the evaluated clips.
        metric: what the interval is of; None where it is not defined.
        rng: the only source of randomness.
        rounds: how often is drawn.
        over: what is drawn.
    """
    clusters = [tally(group) for group in grouped(results, over).values()]
    drawn = []
    for _ in range(rounds):
        chosen = rng.integers(len(clusters), size=len(clusters))
        value = metric(metrics_of([clusters[index] for index in chosen]))
        if value is not None:
            drawn.append(value)
    if len(drawn) < rounds / 2:
        return None
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def grouped(results: Sequence[ClipResult], over: Cluster) -> dict[str, list[ClipResult]]:
    """Return the results that are drawn together, by the subject's or the video's name."""
    groups: dict[str, list[ClipResult]] = {}
    for result in results:
        groups.setdefault(result.clip.subject if over == "subject" else str(result.clip.path), []).append(result)
    return groups


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
