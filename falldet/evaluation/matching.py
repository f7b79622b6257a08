"""Alerts of a clip paired with its labeled falls.

The rule: alerts and falls of a video are paired one to one in time order; an alert is a true positive from `EARLY_S`
before the fall's start to `LATE_S` after its end; a second alert for the same fall is a false positive, and a fall
without an alert is a false negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from falldet.data.manifest import ClipRecord
from falldet.types import Event

EARLY_S = 0.5
LATE_S = 3.0


@dataclass(frozen=True, slots=True)
class Match:
    """How the alerts of one clip fit its falls.

    Attributes:
        pairs: (fall, alert) numbers, in time order.
        false_negatives: falls without an alert.
        false_positives: alerts without a fall.
    """

    pairs: list[tuple[int, int]]
    false_negatives: list[int]
    false_positives: list[int]


def match_alerts(falls: Sequence[tuple[float, float]], alerts: Sequence[float]) -> Match:
    """Pair falls, (start_s, end_s) of the descents, with alert times in seconds; see the module's rule."""
    fall_order = sorted(range(len(falls)), key=lambda i: falls[i])
    waiting = sorted(range(len(alerts)), key=lambda i: alerts[i])
    pairs: list[tuple[int, int]] = []
    false: list[int] = []
    missed = []
    for fall in fall_order:
        start_s, end_s = falls[fall]
        while waiting and alerts[waiting[0]] < start_s - EARLY_S:
            false.append(waiting.pop(0))
        if waiting and alerts[waiting[0]] <= end_s + LATE_S:
            pairs.append((fall, waiting.pop(0)))
        else:
            missed.append(fall)
    return Match(pairs, missed, false + waiting)


@dataclass(frozen=True, slots=True)
class ClipResult:
    """Evaluation of one clip: its events and how they fit its falls."""

    clip: ClipRecord
    duration_s: float
    events: list[Event]
    match: Match
