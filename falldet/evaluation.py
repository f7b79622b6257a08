"""The whole live chain measured on labelled videos, at the level of fall events.

The rule: alerts and falls of a video are paired one to one in time order; an alert is right from `EARLY_S` before the
fall's start to `LATE_S` after its end; a second alert for the same fall is a false one, and a fall nobody detected
stays in the denominator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from falldet.cli import stop_on_request
from falldet.errors import FalldetError
from falldet.manifest import ClipRecord
from falldet.pipeline import Pipeline, Settings
from falldet.pose.sequence import PoseCache, PoseSequence
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


def observe_clips(
    clips: Sequence[ClipRecord], settings: Settings, cache: PoseCache
) -> tuple[list[Observed], list[tuple[Path, str]]]:
    """Run the first half of the chain over every clip, poses from `cache`.

    Returns:
        The observed clips, and those that couldn't be read with the reason.

    Raises:
        FalldetError: not one clip could be read.
        KeyboardInterrupt: after Ctrl-C; poses of finished videos are kept.
    """
    pipeline = Pipeline(settings, pose_source=_not_asked)
    observed, left_out = [], []
    with stop_on_request() as stop, tqdm(clips, unit="video", desc="watching", smoothing=0.1, disable=None) as bar:

        def on_frame() -> None:
            if stop.is_set():
                raise KeyboardInterrupt

        for clip in bar:
            on_frame()
            try:
                observed.append(observe_clip(clip, cache.poses(clip.path, on_frame), pipeline))
            except FalldetError as error:
                left_out.append((clip.path, str(error)))
    if not observed:
        reason = left_out[0][1] if left_out else "there are none"
        raise FalldetError(f"none of the {len(clips)} videos could be evaluated: {reason}")
    return observed, left_out


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
    observed: Sequence[Observed], settings: Settings, thresholds: Sequence[float]
) -> list[tuple[float, EventFigures]]:
    """Return the figures at each alert threshold, everything else as in `settings`."""
    return [(threshold, summarise(judge_all(observed, at_threshold(settings, threshold)))) for threshold in thresholds]


def judge_all(observed: Sequence[Observed], settings: Settings) -> list[ClipResult]:
    """Decide every clip with these settings."""
    pipeline = decision_pipeline(settings)
    return [judge(clip, pipeline) for clip in observed]


def at_threshold(settings: Settings, alert_score: float) -> Settings:
    """Return `settings` with another alert score, the other scores moved only as far as their order demands."""
    events = replace(
        settings.events,
        alert_score=alert_score,
        keep_score=min(settings.events.keep_score, alert_score),
        sure_score=max(settings.events.sure_score, alert_score),
    )
    return replace(settings, events=events)


def decision_pipeline(settings: Settings) -> Pipeline:
    """Return a pipeline for `decide_clip`: poses and window scores are given to it, so it loads no model."""
    return Pipeline(settings, recognise=_not_asked, pose_source=_not_asked)


def bootstrap(
    results: Sequence[ClipResult],
    figure: Callable[[EventFigures], float | None],
    rng: np.random.Generator,
    rounds: int = 1000,
) -> tuple[float, float] | None:
    """Return the 95 % interval of a figure over resampled subjects, or None where it is hardly ever defined.

    Clips of one subject are drawn together, with replacement, because they resemble each other.
    Source: the cluster bootstrap, percentile interval (Davison and Hinkley, Bootstrap Methods, 1997).
    """
    groups: dict[str, list[ClipResult]] = {}
    for result in results:
        groups.setdefault(result.clip.subject, []).append(result)
    clusters = list(groups.values())
    drawn = []
    for _ in range(rounds):
        chosen = rng.integers(len(clusters), size=len(clusters))
        value = figure(summarise([result for index in chosen for result in clusters[index]]))
        if value is not None:
            drawn.append(value)
    if len(drawn) < rounds / 2:
        return None
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _not_asked(given: Any) -> Any:
    raise RuntimeError("a decision pipeline is given its poses and scores")


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
