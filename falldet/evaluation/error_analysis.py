"""Error analysis: the first pipeline stage that lost each missed fall, and the circumstances of each false alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from falldet.data.manifest import FallInterval
from falldet.data.window_labels import SEEN_SHARE
from falldet.evaluation.matching import MATCH_EARLY_S, MATCH_LATE_S, ClipResult
from falldet.evaluation.replay import ReplayedClip, ReplayedFrame, evidence_of
from falldet.pipeline.config import Config
from falldet.stages.events import EventSettings
from falldet.types import Event, WindowScore

VISIBLE_BEFORE_S = 0.5
VISIBLE_AFTER_S = 1.0
"""The person must be visible from `VISIBLE_BEFORE_S` before the descent to `VISIBLE_AFTER_S` after it, which is the
least that can confirm a fall."""

MAX_EMPTY_SHARE = 0.5
"""Share of those frames without a person up to which the fall still counts as visible."""

POOR_POSE_SCORE = 0.3
"""Mean joint score below which poses count as poor."""


class MissCause(StrEnum):
    """The first stage of the pipeline that lost a fall."""

    NO_PERSON = "no person found"
    POSE = "pose poor"
    TRACK = "track broken"
    CLASSIFIER = "classifier"
    RULE = "event rule"


class FalseAlarmKind(StrEnum):
    """The relation of a false alarm to the falls of its clip."""

    REPEATED = "second alert for a fall"
    OTHER_TIME = "at another time than the fall"
    NO_FALL = "video without a fall"
    UNKNOWN = "fall without known times"


@dataclass(frozen=True, slots=True)
class Miss:
    """A missed fall.

    Attributes:
        cause: the first stage that failed.
        detail: the value that shows it, in words.
        peak_score: highest evidence from the start of the descent to the last time of a matching alert; None without
            evidence.
    """

    cause: MissCause
    detail: str
    peak_score: float | None


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """A false alarm.

    Attributes:
        kind: its relation to the clip's falls.
        lying: lying degree of the person when last seen before the alert, in [0, 1].
        track_age_s: age of the person's track at the alert, seconds.
    """

    kind: FalseAlarmKind
    lying: float
    track_age_s: float


@dataclass(frozen=True, slots=True)
class ErrorAnalysis:
    """Misses and false alarms of one clip, in the order of its match's `false_negatives` and `false_positives`."""

    misses: list[Miss]
    false_alarms: list[FalseAlarm]


def analyze_errors(replayed: ReplayedClip, result: ClipResult, config: Config) -> ErrorAnalysis:
    """Return the causes of a clip's misses and the circumstances of its false alarms.

    Labels don't say which person falls: with several people in sight, the one with the best values counts.

    Args:
        replayed: the clip after tracking and recognizer.
        result: its evaluation.
        config: the configuration of that evaluation.
    """
    falls = result.clip.fall_intervals
    return ErrorAnalysis(
        [_miss(replayed, result, falls[index], config) for index in result.match.false_negatives],
        [_false_alarm(replayed, result, result.events[index]) for index in result.match.false_positives],
    )


def _miss(replayed: ReplayedClip, result: ClipResult, fall: FallInterval, config: Config) -> Miss:
    start_s, end_s = fall.descent
    evidence = [score for scores in evidence_of(replayed, config) for score in scores]
    last_s = fall.end_s + MATCH_LATE_S
    peak = max((score.score for score in evidence if start_s <= score.time_s <= last_s), default=None)
    cause, detail = (
        _visibility_fault(replayed, start_s, end_s)
        or _track_fault(replayed, start_s, end_s)
        or _score_fault(peak, config.events.threshold)
        or (MissCause.RULE, _rule_detail(result, fall, config.events))
    )
    return Miss(cause, detail, peak)


def _visibility_fault(replayed: ReplayedClip, start_s: float, end_s: float) -> tuple[MissCause, str] | None:
    """Return the fault of pose estimation around the descent, if any."""
    frames = [
        frame for frame in replayed.frames if start_s - VISIBLE_BEFORE_S <= frame.time_s <= end_s + VISIBLE_AFTER_S
    ]
    if not frames:
        return MissCause.NO_PERSON, "the video has no frame there"
    empty = sum(len(frame.people) == 0 for frame in frames)
    if empty > MAX_EMPTY_SHARE * len(frames):
        return MissCause.NO_PERSON, f"no person in {empty} of {len(frames)} frames"
    pose_score = _pose_score(frames)
    if pose_score < POOR_POSE_SCORE:
        return MissCause.POSE, f"mean joint score {pose_score:.2f}"
    return None


def _track_fault(replayed: ReplayedClip, start_s: float, end_s: float) -> tuple[MissCause, str] | None:
    """Return the fault of the tracks during the descent, if any: no window's track was seen over enough of it."""
    windows = [score for score in replayed.window_scores if score.start_s < end_s and score.stop_s > start_s]
    times = _track_times(replayed.frames)
    covered = max((_covered_share(score, times[score.track_id], start_s, end_s) for score in windows), default=0.0)
    if covered >= SEEN_SHARE:
        return None
    return MissCause.TRACK, f"no window covers more than {covered:.0%} of it" if windows else "no person was scored"


def _score_fault(peak: float | None, alert_threshold: float) -> tuple[MissCause, str] | None:
    """Return the fault of the recognizer, if any."""
    if peak is not None and peak >= alert_threshold:
        return None
    return MissCause.CLASSIFIER, f"highest score {peak or 0:.2f} of {alert_threshold:g}"


def _pose_score(frames: Sequence[ReplayedFrame]) -> float:
    """Return the mean joint score of the best visible person, over the frames with people."""
    return float(np.mean([frame.people.scores.mean(axis=1).max() for frame in frames if len(frame.people)]))


def _track_times(frames: Sequence[ReplayedFrame]) -> dict[int, np.ndarray]:
    """Return the times (T,) float64 in seconds at which each track was seen, by track id."""
    times: dict[int, list[float]] = {}
    for frame in frames:
        for track_id in frame.people.track_ids.tolist():
            times.setdefault(track_id, []).append(frame.time_s)
    return {track_id: np.array(values) for track_id, values in times.items()}


def _covered_share(window: WindowScore, times: np.ndarray, start_s: float, end_s: float) -> float:
    """Return the share of the descent, or of as much as fits into a window, over which the window's track was seen."""
    inside = times[(times >= window.start_s) & (times < window.stop_s)]
    if not len(inside):
        return 0.0
    overlap_s = min(end_s, float(inside[-1])) - max(start_s, float(inside[0]))
    return max(0.0, overlap_s / min(end_s - start_s, window.stop_s - window.start_s))


def _rule_detail(result: ClipResult, fall: FallInterval, settings: EventSettings) -> str:
    alerts = [event.alert_s for event in result.events]
    earlier = [
        event.alert_s
        for event in result.events
        if event.alert_s < fall.start_s - MATCH_EARLY_S
        and (event.end_s is None or event.end_s + settings.cool_down_s > fall.start_s)
    ]
    if earlier:
        return f"after an alert at {max(earlier):.2f} s"
    if any(_matches(alert_s, fall) for alert_s in alerts):
        return "its alert was matched with another fall"
    later = [alert_s for alert_s in alerts if alert_s > fall.end_s + MATCH_LATE_S]
    if later:
        return f"no alert before {min(later):.2f} s"
    return "held back by an event at the same place" + (", or by an ignore zone" if settings.ignore_zones else "")


def _false_alarm(replayed: ReplayedClip, result: ClipResult, event: Event) -> FalseAlarm:
    sightings = [
        (frame.time_s, float(frame.postures.lying[row]))
        for frame in replayed.frames
        if frame.time_s <= event.alert_s
        for row in np.flatnonzero(frame.people.track_ids == event.track_id)
    ]
    return FalseAlarm(_false_alarm_kind(result, event.alert_s), sightings[-1][1], event.alert_s - sightings[0][0])


def _false_alarm_kind(result: ClipResult, alert_s: float) -> FalseAlarmKind:
    falls = result.clip.fall_intervals
    if not falls:
        return FalseAlarmKind.UNKNOWN if result.clip.label else FalseAlarmKind.NO_FALL
    repeated = any(_matches(alert_s, fall) for fall in falls)
    return FalseAlarmKind.REPEATED if repeated else FalseAlarmKind.OTHER_TIME


def _matches(alert_s: float, fall: FallInterval) -> bool:
    return fall.start_s - MATCH_EARLY_S <= alert_s <= fall.end_s + MATCH_LATE_S
