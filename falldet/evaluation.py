"""The whole live chain measured on labelled videos, at the level of fall events.

The rule: alerts and falls of a video are paired one to one in time order; an alert is right from `EARLY_S` before the
fall's start to `LATE_S` after its end; a second alert for the same fall is a false one, and a fall nobody detected
stays in the denominator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from falldet.manifest import ClipRecord
from falldet.pipeline import Pipeline, Settings
from falldet.pose.sequence import PoseSequence
from falldet.types import Event, People, WindowScore

EARLY_S = 0.5
LATE_S = 3.0


@dataclass(frozen=True, slots=True)
class Match:
    """How the alerts of one video fit its falls.

    Attributes:
        pairs: (fall, alert) numbers, in time order.
        missed: falls without an alert.
        false: alerts without a fall.
    """

    pairs: list[tuple[int, int]]
    missed: list[int]
    false: list[int]


def match_alerts(falls: Sequence[tuple[float, float]], alerts: Sequence[float]) -> Match:
    """Pair falls, (start_s, end_s) of the going down, with alert times in seconds; see the module's rule."""
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
class Observed:
    """A video after pose, tracking and recogniser, ready to be decided under any fusion and event settings.

    Attributes:
        clip: what the manifest says of it.
        frames: time, people and scores of the windows that ended, for each frame.
        rest: scores of the windows still open at the end.
    """

    clip: ClipRecord
    frames: list[tuple[float, People, list[WindowScore]]]
    rest: list[WindowScore]

    @property
    def duration_s(self) -> float:
        """Time of the last frame."""
        return self.frames[-1][0]


def observe_clip(clip: ClipRecord, poses: PoseSequence, pipeline: Pipeline) -> Observed:
    """Run the first half of the chain over the poses of a clip."""
    frames = []
    for time_s, people in poses.frames():
        tracked, window_scores = pipeline.score(time_s, people, poses.image_hw)
        frames.append((time_s, tracked, window_scores))
    return Observed(clip, frames, pipeline.score_rest())


def decide_clip(observed: Observed, pipeline: Pipeline) -> list[Event]:
    """Run the second half of the chain and return the clip's events, by alert time."""
    events: dict[tuple[int, float], Event] = {}
    for index, (time_s, people, window_scores) in enumerate(observed.frames):
        for event in pipeline.decide(index, time_s, people, window_scores).events:
            events[event.track_id, event.alert_s] = event
    for event in pipeline.conclude(observed.duration_s, observed.rest).events:
        events[event.track_id, event.alert_s] = event
    return sorted(events.values(), key=lambda event: event.alert_s)


@dataclass(frozen=True, slots=True)
class ClipResult:
    """One video judged: its events and how they fit its falls."""

    clip: ClipRecord
    duration_s: float
    events: list[Event]
    match: Match


@dataclass(frozen=True, slots=True)
class EventFigures:
    """Event-level figures over a set of videos; a ratio without a denominator is None.

    Attributes:
        falls: labelled falls.
        right: falls with an alert.
        false: false alarms.
        recall: right / falls.
        precision: right / (right + false).
        f1: their harmonic mean.
        false_per_hour: false alarms per hour of video.
        delays_s: alert minus the fall's start, seconds, of each right alert.
    """

    falls: int
    right: int
    false: int
    recall: float | None
    precision: float | None
    f1: float | None
    false_per_hour: float | None
    delays_s: list[float]


def judge(observed: Observed, pipeline: Pipeline) -> ClipResult:
    """Decide one clip and match its alerts with its labelled falls."""
    events = decide_clip(observed, pipeline)
    falls = [(interval.start_s, interval.end_s) for interval in observed.clip.fall_intervals]
    match = match_alerts(falls, [event.alert_s for event in events])
    return ClipResult(observed.clip, observed.duration_s, events, match)


def summarise(results: Sequence[ClipResult]) -> EventFigures:
    """Return the figures of a set of judged videos."""
    right = sum(len(result.match.pairs) for result in results)
    missed = sum(len(result.match.missed) for result in results)
    false = sum(len(result.match.false) for result in results)
    hours = sum(result.duration_s for result in results) / 3600
    delays = [
        result.events[alert].alert_s - result.clip.fall_intervals[fall].start_s
        for result in results
        for fall, alert in result.match.pairs
    ]
    return EventFigures(
        right + missed,
        right,
        false,
        _ratio(right, right + missed),
        _ratio(right, right + false),
        _ratio(2 * right, 2 * right + missed + false),
        _ratio(false, hours),
        delays,
    )


def sweep(
    observed: Sequence[Observed], settings: Settings, thresholds: Sequence[float], recognise: Callable
) -> list[tuple[float, EventFigures]]:
    """Return the figures at each alert threshold, everything else as in `settings`."""
    table = []
    for threshold in thresholds:
        events = replace(
            settings.events,
            alert_score=threshold,
            keep_score=min(settings.events.keep_score, threshold),
            sure_score=max(settings.events.sure_score, threshold),
        )
        pipeline = Pipeline(replace(settings, events=events), recognise, pose_source=_no_pose)
        table.append((threshold, summarise([judge(clip, pipeline) for clip in observed])))
    return table


def _no_pose(image: np.ndarray) -> People:
    raise RuntimeError("poses are given, not looked for")


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
