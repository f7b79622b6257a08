"""The whole live chain measured on labeled videos: each is observed once and decided at many alert scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from falldet.data.manifest import ClipRecord
from falldet.evaluation.matching import ClipResult, match_alerts
from falldet.evaluation.metrics import EventMetrics, compute_metrics
from falldet.extraction.pose_cache import PoseSequence
from falldet.pipeline.detector import Pipeline, Settings
from falldet.stages.events import EventDecoder, EventSettings
from falldet.stages.fusion import Fuser, FusionSettings
from falldet.stages.posture import Postures, read_postures
from falldet.types import Event, People, PersonScore, WindowScore


@dataclass(frozen=True, slots=True)
class ReplayedFrame:
    """One frame after pose, tracking and recognizer.

    Attributes:
        time_s: its time in seconds.
        people: everybody in it, with track ids.
        postures: how they hold themselves.
        window_scores: scores of the windows that ended by now.
    """

    time_s: float
    people: People
    postures: Postures
    window_scores: list[WindowScore]


@dataclass(frozen=True, slots=True)
class ReplayedClip:
    """A video after pose, tracking and recognizer, ready to be decided under any fusion and event settings.

    Attributes:
        clip: what the manifest says of it.
        frames: what was seen, frame by frame.
        rest: scores of the windows still open at the end.
    """

    clip: ClipRecord
    frames: list[ReplayedFrame]
    rest: list[WindowScore]

    @property
    def duration_s(self) -> float:
        """Time of the last frame that was looked at."""
        return self.frames[-1].time_s

    @property
    def window_scores(self) -> list[WindowScore]:
        """Every window's score, in the order of their ends."""
        return [score for frame in self.frames for score in frame.window_scores] + self.rest


def replay_clip(clip: ClipRecord, poses: PoseSequence, pipeline: Pipeline) -> ReplayedClip:
    """Run the first half of the chain over the poses of a clip, those that its pace looks at."""
    frames = []
    for (time_s, people), due in pipeline.sampling.chosen(poses.frames(), lambda frame: frame[0]):
        if due:
            tracked, window_scores = pipeline.score(time_s, people, poses.image_hw)
            postures = read_postures(tracked.keypoints, tracked.scores, poses.image_hw)
            frames.append(ReplayedFrame(time_s, tracked, postures, window_scores))
    return ReplayedClip(clip, frames, pipeline.score_rest())


def fuse(observed: ReplayedClip, settings: FusionSettings) -> list[list[PersonScore]]:
    """Return the fused scores that are settled at each frame of a clip and, as one more item, at its end."""
    fuser = Fuser(settings)
    scores = [
        fuser.push(index, frame.time_s, frame.people.track_ids, frame.window_scores)
        for index, frame in enumerate(observed.frames)
    ]
    return [*scores, fuser.flush(observed.rest)]


def decide_clip(observed: ReplayedClip, scores: Sequence[list[PersonScore]], settings: EventSettings) -> list[Event]:
    """Run the event rule over a clip and its fused `scores`, and return the clip's events, by alert time."""
    decoder = EventDecoder(settings)
    changes = [
        event
        for frame, settled in zip(observed.frames, scores[:-1], strict=True)
        for event in decoder.push(settled, frame.people, frame.postures, frame.time_s)
    ]
    changes += decoder.flush(scores[-1], observed.duration_s)
    events = {(event.track_id, event.alert_s): event for event in changes}
    return sorted(events.values(), key=lambda event: event.alert_s)


def judge(observed: ReplayedClip, settings: Settings, thresholds: Sequence[float] = ()) -> list[ClipResult]:
    """Decide one clip and match its alerts with its labeled falls: with these settings, then at each threshold."""
    scores = fuse(observed, settings.fusion)
    falls = [(interval.start_s, interval.end_s) for interval in observed.clip.fall_intervals]
    results = []
    for each in (settings, *(at_threshold(settings, threshold) for threshold in thresholds)):
        events = decide_clip(observed, scores, each.events)
        match = match_alerts(falls, [event.alert_s for event in events])
        results.append(ClipResult(observed.clip, observed.duration_s, events, match))
    return results


def evaluate_replayed(observed: Sequence[ReplayedClip], settings: Settings) -> list[ClipResult]:
    """Decide every clip with these settings."""
    return [judge(clip, settings)[0] for clip in observed]


def at_threshold(settings: Settings, alert_threshold: float) -> Settings:
    """Return `settings` with another alert score, the other scores moved only as far as their order demands."""
    events = replace(
        settings.events,
        alert_threshold=alert_threshold,
        low_threshold=min(settings.events.low_threshold, alert_threshold),
        immediate_threshold=max(settings.events.immediate_threshold, alert_threshold),
    )
    return replace(settings, events=events)


def sweep(
    observed: Sequence[ReplayedClip], settings: Settings, thresholds: Sequence[float]
) -> list[tuple[float, EventMetrics]]:
    """Return the figures at each alert threshold, everything else as in `settings`."""
    judged = [judge(clip, settings, thresholds) for clip in observed]
    return [(threshold, compute_metrics([results[1 + i] for results in judged])) for i, threshold in enumerate(thresholds)]
