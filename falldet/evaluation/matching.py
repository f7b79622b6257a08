"""Alerts of a clip paired with its labeled falls.

Alerts and falls of a clip are paired one to one, in time order. An alert is a true positive from `MATCH_EARLY_S` before
the fall's start to `MATCH_LATE_S` after its end. A second alert for the same fall is a false positive. A fall without
an alert is a false negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from falldet.data.manifest import ClipRecord
from falldet.types import Event

MATCH_EARLY_S = 0.5
MATCH_LATE_S = 3.0


@dataclass(frozen=True, slots=True)
class Match:
    """Alerts of one clip matched with its falls, each by its index.

    Attributes:
        pairs: (fall, alert) of each true positive, in time order.
        false_negatives: falls without an alert.
        false_positives: alerts without a fall.
    """

    pairs: list[tuple[int, int]]
    false_negatives: list[int]
    false_positives: list[int]


def match_alerts(falls: Sequence[tuple[float, float]], alerts: Sequence[float]) -> Match:
    """Match labeled falls with alerts; see the module's rule.

    Args:
        falls: start and end of each fall in seconds, in any order.
        alerts: alert times in seconds, in any order.
    """
    remaining = sorted(range(len(alerts)), key=lambda i: alerts[i])
    pairs: list[tuple[int, int]] = []
    false_negatives, false_positives = [], []
    for fall in sorted(range(len(falls)), key=lambda i: falls[i]):
        start_s, end_s = falls[fall]
        while remaining and alerts[remaining[0]] < start_s - MATCH_EARLY_S:
            false_positives.append(remaining.pop(0))
        if remaining and alerts[remaining[0]] <= end_s + MATCH_LATE_S:
            pairs.append((fall, remaining.pop(0)))
        else:
            false_negatives.append(fall)
    return Match(pairs, false_negatives, false_positives + remaining)


def is_timed(clip: ClipRecord) -> bool:
    """Return False for a clip that is known to show a fall, but not when."""
    return not clip.label or bool(clip.fall_intervals)


@dataclass(frozen=True, slots=True)
class ClipResult:
    """Events of one clip matched with its labeled falls.

    Attributes:
        clip: the clip and its labels.
        duration_s: time of the last processed frame, seconds.
        events: the detected falls, by alert time.
        match: their alerts matched with the labeled falls; empty where the times of the falls are unknown.
    """

    clip: ClipRecord
    duration_s: float
    events: list[Event]
    match: Match

    @property
    def timed(self) -> bool:
        """Whether the times of the clip's falls are known: only then its alerts count in event-level figures."""
        return is_timed(self.clip)
