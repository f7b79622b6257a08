"""Replay of a clip from its cached poses: tracking and recognizer once, then events at many thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from falldet.data.manifest import ClipRecord
from falldet.evaluation.matching import ClipResult, Match, is_timed, match_alerts
from falldet.evaluation.metrics import EventMetrics, compute_metrics
from falldet.extraction.pose_cache import PoseSequence
from falldet.pipeline.config import Config
from falldet.pipeline.scoring import TrackScorer
from falldet.stages.events import EventDecoder, EventSettings
from falldet.stages.frame_sampling import FrameSampler
from falldet.stages.fusion import EvidenceFuser
from falldet.stages.posture import Postures, read_postures
from falldet.stages.recognizer import WindowRecognizer
from falldet.types import Event, People, PersonScore, WindowScore


@dataclass(frozen=True, slots=True)
class ReplayedFrame:
    """One frame after pose, tracking and recognizer.

    Attributes:
        time_s: time of the frame in seconds.
        people: the people in it, with track ids.
        postures: their postures, in the same order.
        window_scores: scores of the windows that ended in it.
    """

    time_s: float
    people: People
    postures: Postures
    window_scores: list[WindowScore]


@dataclass(frozen=True, slots=True)
class ReplayedClip:
    """A clip after pose, tracking and recognizer, ready to be decided under any settings of fusion and events.

    Attributes:
        clip: the clip and its labels.
        frames: the processed frames, in order.
        rest: scores of the windows that were cut at the end of the clip.
    """

    clip: ClipRecord
    frames: list[ReplayedFrame]
    rest: list[WindowScore]

    @property
    def duration_s(self) -> float:
        """Time of the last processed frame, seconds."""
        return self.frames[-1].time_s

    @property
    def window_scores(self) -> list[WindowScore]:
        """All window scores, in the order of the windows' ends."""
        return [score for frame in self.frames for score in frame.window_scores] + self.rest


def replay_clip(clip: ClipRecord, poses: PoseSequence, config: Config, recognizer: WindowRecognizer) -> ReplayedClip:
    """Run tracking and recognizer over the poses of a clip, in the frames that the sampler processes."""
    scorer = TrackScorer(config.tracker, config.windows, recognizer)
    sampler = FrameSampler(config.sampling)
    frames = []
    for (time_s, people), process in sampler.sample(poses.frames(), lambda frame: frame[0]):
        if process:
            tracked, window_scores = scorer.update(time_s, people, poses.image_hw)
            sampler.update(time_s, scorer.tracker.speed(time_s), window_scores)
            postures = read_postures(tracked.keypoints, tracked.scores, poses.image_hw)
            frames.append(ReplayedFrame(time_s, tracked, postures, window_scores))
    return ReplayedClip(clip, frames, scorer.flush())


def evidence_of(replayed: ReplayedClip, config: Config) -> list[list[PersonScore]]:
    """Return the evidence at each frame of a clip and, as one more item, at its end."""
    fuser = EvidenceFuser(config.fusion, config.windows.stride_s)
    evidence = [fuser.push(index, frame.time_s, frame.window_scores) for index, frame in enumerate(replayed.frames)]
    return [*evidence, fuser.push(len(replayed.frames) - 1, replayed.duration_s, replayed.rest)]


def decide_clip(replayed: ReplayedClip, evidence: Sequence[list[PersonScore]], settings: EventSettings) -> list[Event]:
    """Return the events that the event rule finds in a clip and its `evidence`, by alert time."""
    decoder = EventDecoder(settings)
    changes = [
        event
        for frame, scores in zip(replayed.frames, evidence[:-1], strict=True)
        for event in decoder.push(scores, frame.people, frame.postures, frame.time_s)
    ]
    changes += decoder.flush(evidence[-1], replayed.duration_s)
    events = {event.id: event for event in changes}
    return sorted(events.values(), key=lambda event: event.alert_s)


def evaluate_clip(replayed: ReplayedClip, config: Config, thresholds: Sequence[float] = ()) -> list[ClipResult]:
    """Return the events of one clip matched with its labeled falls: under `config`, then at each alert threshold."""
    evidence = evidence_of(replayed, config)
    falls = [(interval.start_s, interval.end_s) for interval in replayed.clip.fall_intervals]
    results = []
    for each in (config, *(at_threshold(config, threshold) for threshold in thresholds)):
        events = decide_clip(replayed, evidence, each.events)
        timed = is_timed(replayed.clip)
        match = match_alerts(falls, [event.alert_s for event in events]) if timed else Match([], [], [])
        results.append(ClipResult(replayed.clip, replayed.duration_s, events, match))
    return results


def evaluate_replayed(replayed: Sequence[ReplayedClip], config: Config) -> list[ClipResult]:
    """Return the events of every clip, matched with its labeled falls, under `config`."""
    return [evaluate_clip(clip, config)[0] for clip in replayed]


def at_threshold(config: Config, alert_threshold: float) -> Config:
    """Return `config` with another alert threshold; the low threshold moves with it."""
    return replace(config, events=replace(config.events, alert_threshold=alert_threshold))


def sweep(
    replayed: Sequence[ReplayedClip], config: Config, thresholds: Sequence[float]
) -> list[tuple[float, EventMetrics]]:
    """Return the metrics at each alert threshold, all other settings as in `config`."""
    evaluated = [evaluate_clip(clip, config, thresholds) for clip in replayed]
    return [
        (threshold, compute_metrics([results[1 + i] for results in evaluated]))
        for i, threshold in enumerate(thresholds)
    ]
