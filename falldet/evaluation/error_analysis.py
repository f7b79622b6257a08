"""Where in the chain each missed fall was lost, and what is known of each false alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from falldet.data.manifest import FallInterval
from falldet.data.window_labels import FALL_OVERLAP
from falldet.evaluation.matching import EARLY_S, LATE_S, ClipResult
from falldet.evaluation.replay import ReplayedClip, ReplayedFrame, fuse
from falldet.pipeline.config import Config
from falldet.stages.events import EventSettings
from falldet.types import Event, WindowScore

BEFORE_S = 0.5
AFTER_S = 1.0
"""Frames from `BEFORE_S` before the going down to `AFTER_S` after it must show the person: the least that confirms."""

NOBODY_SHARE = 0.5
"""A fall of which more than this share of the frames shows nobody: at most half of the motion is left to judge by."""

POOR_POSE = 0.3
"""Mean joint score below which poses are called poor: MoveNet's mean was 0.33 or more in every fall of the development
data (train and val) that raised an alert."""


class MissCause(StrEnum):
    """The first link of the chain that lost a fall."""

    NOBODY = "no person found"
    POSE = "pose poor"
    TRACK = "track broken"
    CLASSIFIER = "classifier"
    RULE = "event rule"


class FalseAlarmKind(StrEnum):
    """What a false alarm has to do with a fall."""

    REPEATED = "second alert for a fall"
    BESIDE = "at another time than the fall"
    NO_FALL = "video without a fall"
    UNKNOWN = "fall without known times"


@dataclass(frozen=True, slots=True)
class Miss:
    """Why a fall was missed.

    Attributes:
        cause: the first link that failed.
        detail: the number behind it, in words.
        peak_score: highest fused score of a frame of the going down, None where there was none.
    """

    cause: MissCause
    detail: str
    peak_score: float | None


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """What is known of a false alarm.

    Attributes:
        occasion: what it has to do with a fall.
        lying: lying degree of the person when last seen before the alert, in [0, 1].
        track_age_s: how long the person's track had lived at the alert, seconds.
    """

    occasion: FalseAlarmKind
    lying: float
    track_age_s: float


@dataclass(frozen=True, slots=True)
class ErrorAnalysis:
    """The misses and false alarms of one video, in the order of its match's `missed` and `false`."""

    misses: list[Miss]
    false_alarms: list[FalseAlarm]


def analyze_errors(replayed: ReplayedClip, result: ClipResult, config: Config) -> ErrorAnalysis:
    """Return why the falls of a clip were missed and what its false alarms are like.

    Whose fall it is is not labeled: with several people in sight, what the best seen of them gave counts.

    Args:
        replayed: the clip after tracking and recognizer.
        result: its evaluation.
        config: the fusion and the event rule of that evaluation.
    """
    falls = result.clip.fall_intervals
    return ErrorAnalysis(
        [_miss(replayed, result, falls[number], config) for number in result.match.false_negatives],
        [_false_alarm(replayed, result, result.events[number]) for number in result.match.false_positives],
    )


def _miss(replayed: ReplayedClip, result: ClipResult, fall: FallInterval, config: Config) -> Miss:
    start_s, end_s = fall.descent
    windows = [score for score in replayed.window_scores if score.start_s < end_s and score.stop_s > start_s]
    fused = [score for finalized in fuse(replayed, config.fusion) for score in finalized]
    peak = max((score.score for score in fused if start_s <= score.time_s <= end_s), default=None)
    around = [frame for frame in replayed.frames if start_s - BEFORE_S <= frame.time_s <= end_s + AFTER_S]
    empty = sum(len(frame.people) == 0 for frame in around)
    if not around:
        return Miss(MissCause.NOBODY, "the video has no frame there", peak)
    if empty > NOBODY_SHARE * len(around):
        return Miss(MissCause.NOBODY, f"nobody in {empty} of {len(around)} frames", peak)
    pose = _pose_score(around)
    if pose < POOR_POSE:
        return Miss(MissCause.POSE, f"mean joint score {pose:.2f}", peak)
    times = _track_times(replayed.frames)
    seen = max((_seen_share(score, times[score.track_id], start_s, end_s) for score in windows), default=0.0)
    if seen < FALL_OVERLAP:
        return Miss(
            MissCause.TRACK, f"no window saw more than {seen:.0%} of it" if windows else "nobody was scored", peak
        )
    needed = config.events.alert_threshold
    if peak is None or peak < needed:
        return Miss(MissCause.CLASSIFIER, f"highest score {peak or 0:.2f} of {needed:g}", peak)
    return Miss(MissCause.RULE, _rule_detail(result, fall, config.events), peak)


def _pose_score(frames: Sequence[ReplayedFrame]) -> float:
    """Return the mean joint score of the person seen best, over the frames that show somebody."""
    return float(np.mean([frame.people.scores.mean(axis=1).max() for frame in frames if len(frame.people)]))


def _track_times(frames: Sequence[ReplayedFrame]) -> dict[int, np.ndarray]:
    """Return the times (T,) in seconds at which each track was seen, by track id."""
    times: dict[int, list[float]] = {}
    for frame in frames:
        for track_id in frame.people.track_ids.tolist():
            times.setdefault(track_id, []).append(frame.time_s)
    return {track_id: np.array(seen) for track_id, seen in times.items()}


def _seen_share(window: WindowScore, times: np.ndarray, start_s: float, end_s: float) -> float:
    """Return the share of the going down, or of as much as fits into a window, that the window's person was seen in."""
    seen = times[(times >= window.start_s) & (times < window.stop_s)]
    if not len(seen):
        return 0.0
    overlap_s = min(end_s, float(seen[-1])) - max(start_s, float(seen[0]))
    return max(0.0, overlap_s / min(end_s - start_s, window.stop_s - window.start_s))


def _rule_detail(result: ClipResult, fall: FallInterval, settings: EventSettings) -> str:
    alerts = [event.alert_s for event in result.events]
    before = [
        event.alert_s
        for event in result.events
        if event.alert_s < fall.start_s - EARLY_S
        and (event.end_s is None or event.end_s + settings.cool_down_s > fall.start_s)
    ]
    if before:
        return f"after an alert at {max(before):.2f} s"
    if any(fall.start_s - EARLY_S <= alert_s <= fall.end_s + LATE_S for alert_s in alerts):
        return "its alert was taken for another fall's"
    late = [alert_s for alert_s in alerts if alert_s > fall.end_s + LATE_S]
    if late:
        return f"no alert before {min(late):.2f} s"
    return "not confirmed by lying" + (", or in a zone to ignore" if settings.ignore_zones else "")


def _false_alarm(replayed: ReplayedClip, result: ClipResult, event: Event) -> FalseAlarm:
    seen = [
        (frame.time_s, float(frame.postures.lying[row]))
        for frame in replayed.frames
        if frame.time_s <= event.alert_s
        for row in np.flatnonzero(frame.people.track_ids == event.track_id)
    ]
    return FalseAlarm(_occasion(result, event.alert_s), seen[-1][1], event.alert_s - seen[0][0])


def _occasion(result: ClipResult, alert_s: float) -> FalseAlarmKind:
    falls = result.clip.fall_intervals
    if not falls:
        return FalseAlarmKind.UNKNOWN if result.clip.label else FalseAlarmKind.NO_FALL
    repeated = any(fall.start_s - EARLY_S <= alert_s <= fall.end_s + LATE_S for fall in falls)
    return FalseAlarmKind.REPEATED if repeated else FalseAlarmKind.BESIDE
