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
        falls: number of labeled falls.
        true_positives: number of falls with an alert.
        false_positives: number of false alarms.
        recall: true positives / falls.
        precision: true positives / alerts.
        f1: harmonic mean of recall and precision.
        false_alarms_per_hour: false alarms per hour of video.
        delays_s: alert time minus the fall's start, seconds, of each true positive.
        delays_from_end_s: alert time minus the end of the descent, seconds, where that end is labeled; negative
            where the alert came during the fall.
    """

    falls: int
    true_positives: int
    false_positives: int
    recall: float | None
    precision: float | None
    f1: float | None
    false_alarms_per_hour: float | None
    delays_s: list[float]
    delays_from_end_s: list[float]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts, clip lengths and delays of a set of clips, from which `EventMetrics` are computed."""

    true_positives: int
    false_negatives: int
    false_positives: int
    lengths_s: list[float]
    delays_s: list[float]
    delays_from_end_s: list[float]


def tally(results: Sequence[ClipResult]) -> Tally:
    """Count a set of evaluated clips; those with a fall of unknown time count nothing."""
    detected = [
        (result.events[alert].alert_s, result.clip.fall_intervals[fall])
        for result in results
        for fall, alert in result.match.pairs
    ]
    return Tally(
        len(detected),
        sum(len(result.match.false_negatives) for result in results),
        sum(len(result.match.false_positives) for result in results),
        [result.duration_s for result in results if result.timed],
        [alert_s - interval.start_s for alert_s, interval in detected],
        [alert_s - interval.end_s for alert_s, interval in detected if interval.fall_end_known],
    )


def metrics_of(tallies: Sequence[Tally]) -> EventMetrics:
    """Return the metrics of all clips counted in `tallies`."""
    tp = sum(each.true_positives for each in tallies)
    fn = sum(each.false_negatives for each in tallies)
    fp = sum(each.false_positives for each in tallies)
    hours = sum(length_s for each in tallies for length_s in each.lengths_s) / 3600
    return EventMetrics(
        tp + fn,
        tp,
        fp,
        _ratio(tp, tp + fn),
        _ratio(tp, tp + fp),
        _ratio(2 * tp, 2 * tp + fn + fp),
        _ratio(fp, hours),
        [delay for each in tallies for delay in each.delays_s],
        [delay for each in tallies for delay in each.delays_from_end_s],
    )


def compute_metrics(results: Sequence[ClipResult]) -> EventMetrics:
    """Return the metrics of a set of evaluated clips."""
    return metrics_of([tally(results)])


MetricFn = Callable[[EventMetrics], float | None]
Cluster = Literal["subject", "video"]

RATIOS: dict[str, MetricFn] = {
    name: operator.attrgetter(name) for name in ("recall", "precision", "f1", "false_alarms_per_hour")
}
PERCENTILES = {"median": 50, "p90": 90, "p95": 95}


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Return median, p90 and p95 of `values`, or None where there are none."""
    if not values:
        return None
    return dict(zip(PERCENTILES, np.percentile(values, list(PERCENTILES.values())).tolist(), strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the percentile of at least one value, interpolated linearly as numpy does, at a twentieth of its cost."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


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
"""Delay percentiles by their names in report.json, such as `delays_s.median`."""


def bootstrap(
    results: Sequence[ClipResult],
    metric: MetricFn,
    rng: np.random.Generator,
    rounds: int = 1000,
    over: Cluster = "subject",
) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval of a metric, or None where it is undefined in more than half of the rounds.

    Clips of one subject resemble each other: by default whole subjects are resampled, with replacement. Where many
    people share one subject's name that leaves few clusters; resampling videos gives more, but ignores the resemblance.
    Source: the cluster bootstrap, percentile interval (Davison and Hinkley, Bootstrap Methods, 1997).

    Args:
        results: the evaluated clips.
        metric: returns the value from the metrics of a sample, None where it is undefined.
        rng: the only source of randomness.
        rounds: number of samples. Higher: a steadier interval.
        over: what is resampled.
    """
    clusters = [tally(group) for group in grouped(results, over).values()]
    values = []
    for _ in range(rounds):
        chosen = rng.integers(len(clusters), size=len(clusters))
        value = metric(metrics_of([clusters[index] for index in chosen]))
        if value is not None:
            values.append(value)
    if len(values) < rounds / 2:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def grouped(results: Sequence[ClipResult], over: Cluster) -> dict[str, list[ClipResult]]:
    """Return the results of each cluster, by the subject's or the video's name."""
    groups: dict[str, list[ClipResult]] = {}
    for result in results:
        groups.setdefault(result.clip.subject if over == "subject" else str(result.clip.path), []).append(result)
    return groups


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
