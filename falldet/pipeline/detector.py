"""The stages joined: frames in, and for every frame the people, their scores and the fall events out."""

from __future__ import annotations

import logging
import math
import typing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from falldet.config import build, unknown_key
from falldet.errors import FalldetError
from falldet.extraction.pose_cache import PoseCache
from falldet.pose.movenet import STREAMS, MoveNetSettings
from falldet.pose.source import PoseSettings, make_pose_source, poses_key
from falldet.pose.topdown import TopDownSettings
from falldet.stages.events import EventDecoder, EventSettings
from falldet.stages.frame_sampling import FrameSampler, SamplingSettings
from falldet.stages.fusion import Fuser, FusionSettings
from falldet.stages.posture import read_postures
from falldet.stages.recognizer import RecognizerSettings, WindowRecognizer, make_recognizer
from falldet.stages.tracking import PoseTracker, TrackerSettings
from falldet.stages.windows import WindowBuffer, WindowSettings
from falldet.types import Event, Frame, People, PersonScore, PoseSource, Window, WindowScore

logger = logging.getLogger(__name__)

AHEAD = STREAMS
"""How many images of a file are asked for ahead, so that the pose source is never without work."""

FORESEEN_FRAMES = 8
"""So many frames wait at most while images are asked for ahead: they are large."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything configs/demo.py may say, one group per stage."""

    pose: PoseSettings = field(default_factory=PoseSettings)
    movenet: MoveNetSettings = field(default_factory=MoveNetSettings)
    topdown: TopDownSettings = field(default_factory=TopDownSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    windows: WindowSettings = field(default_factory=WindowSettings)
    recognizer: RecognizerSettings = field(default_factory=RecognizerSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)
    events: EventSettings = field(default_factory=EventSettings)
    pace: SamplingSettings = field(default_factory=SamplingSettings)

    @classmethod
    def from_groups(cls, groups: Mapping[str, Any]) -> Settings:
        """Return the settings of a settings file's groups; raises FalldetError at an unknown group or key."""
        kinds = typing.get_type_hints(cls)
        for name, values in groups.items():
            if name not in kinds:
                raise FalldetError(unknown_key(name, name, kinds))
            if not isinstance(values, dict):
                raise FalldetError(f"setting {name} must be a group, {name} = dict(...), got {values!r}")
        return cls(**{name: build(kinds[name], values, name) for name, values in groups.items()})


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known when a frame has been looked at.

    Attributes:
        frame: the frame itself; None where only poses were given, and in the closing result after the last frame.
        people: everybody in it, with track ids.
        scores: fused scores that were settled now, on which events are decided.
        record: final scores by `fusion.final_rule` (all windows that cover a frame) that were settled now.
        events: events that began or changed now.
        current: events that are on now, by track id.
    """

    frame: Frame | None
    people: People
    scores: list[PersonScore]
    record: list[PersonScore]
    events: list[Event]
    current: Mapping[int, Event]


def pose_cache(folder: Path, settings: Settings, device: str = "CPU") -> PoseCache:
    """Return the cache of poses made with these settings; the model is loaded only when a video is new."""
    groups = (settings.pose, settings.movenet, settings.topdown)
    return PoseCache(folder, lambda: make_pose_source(*groups, device), poses_key(*groups))


class Pipeline:
    """Runs the whole chain over frames, with bounded memory.

    Args:
        settings: numbers of all stages.
        recognize: windows in, scores out; the exported recognizer if not given.
        pose_source: image in, people out; the one that the settings name if not given.
        device: OpenVINO device of the models made here.
    """

    def __init__(
        self,
        settings: Settings,
        recognize: Callable[[list[Window]], list[WindowScore]] | None = None,
        pose_source: PoseSource | None = None,
        device: str = "CPU",
    ) -> None:
        self.device = device
        self.recognize = recognize or _recognizer(settings, device)  # first: it is never a download
        self.pose_source = pose_source or make_pose_source(settings.pose, settings.movenet, settings.topdown, device)
        self.tracker = PoseTracker(settings.tracker)
        self.buffer = WindowBuffer(settings.windows)
        self.fuser = Fuser(settings.fusion)
        whole_s = settings.windows.length_s
        self.recorder = Fuser(
            FusionSettings(settings.fusion.final_rule, whole_s, max(whole_s, settings.fusion.max_wait_s))
        )
        self.decoder = EventDecoder(settings.events)
        self.sampler = FrameSampler(settings.sampling)
        self._people = People.none()

    def run(self, frames: Iterable[Frame], ahead: int = 0) -> Iterator[Seen]:
        """Yield what is known after each frame, then once more, with frame None, what was still waiting at the end.

        Args:
            frames: in order.
            ahead: how many images may be on their way through the pose source while an earlier one is followed, where
                it can take several (`submit`). The results are the same; 0 gives each frame's at once, more is quicker.
        """
        last_s = 0.0
        for frame, answer in self._asked(frames, ahead):
            if answer is None:
                yield self.hold(frame)
            else:
                yield self._follow(frame, answer())
                last_s = frame.time_s
        yield self.finish(last_s)

    def _asked(self, frames: Iterable[Frame], ahead: int) -> Iterator[tuple[Frame, Callable[[], People] | None]]:
        """Yield each frame with what waits for its people, None where it is not due."""
        answers: dict[int, Callable[[], People]] = {}
        if ahead and hasattr(self.pose_source, "submit"):
            frames = self._foreseen(frames, ahead, answers)
        for frame, due in self.sampling.chosen(frames, lambda frame: frame.time_s):
            answer = answers.pop(frame.index, None)
            if due:
                yield frame, answer or self._submit(frame.image)
            else:
                if answer:
                    answer()  # it was foreseen, but what was seen since has slowed the pace
                yield frame, None

    def _foreseen(
        self, frames: Iterable[Frame], ahead: int, answers: dict[int, Callable[[], People]]
    ) -> Iterator[Frame]:
        """Yield `frames`, up to `ahead` more that are foreseen to be due having been asked for: `answers` by index."""
        source, waiting = iter(frames), deque[Frame]()
        while True:
            foresight = copy(self.sampler)
            for place in range(FORESEEN_FRAMES):
                if place == len(waiting):
                    frame = None if waiting and len(answers) > ahead else next(source, None)
                    if frame is None:
                        break
                    waiting.append(frame)
                frame = waiting[place]
                if foresight.should_process(frame.time_s) and len(answers) <= ahead and frame.index not in answers:
                    answers[frame.index] = self._submit(frame.image)
            if not waiting:
                return
            yield waiting.popleft()

    def _submit(self, image: np.ndarray) -> Callable[[], People]:
        """Start on an image where the pose source can, else look at it when it is waited for."""
        submit = getattr(self.pose_source, "submit", None)
        return submit(image) if submit else partial(self.pose_source, image)

    def hold(self, frame: Frame) -> Seen:
        """Take a frame that is not looked at: the people of the one before are where they were."""
        record = self.recorder.push(frame.index, frame.time_s, self._people.track_ids, [])
        return Seen(frame, self._people, [], record, [], self.decoder.current)

    def _follow(self, frame: Frame, people: People) -> Seen:
        height, width = frame.image.shape[:2]
        return replace(self.follow(frame.index, frame.time_s, people, (height, width)), frame=frame)

    def follow(self, index: int, time_s: float, people: People, image_hw: tuple[int, int]) -> Seen:
        """Take the poses of one frame, without track ids, and return what is known now, without the frame."""
        people, window_scores = self.score(time_s, people, image_hw)
        return self.decide(index, time_s, people, image_hw, window_scores)

    def score(self, time_s: float, people: People, image_hw: tuple[int, int]) -> tuple[People, list[WindowScore]]:
        """First half of a step: return the people with track ids, and the scores of the windows that end by now."""
        self._people = people = self.tracker.update(people, time_s)
        windows = self.buffer.push(time_s, people, image_hw)
        scores = self.recognize(windows) if windows else []
        self.sampling.note(time_s, self.tracker.speed(time_s), scores)
        return people, scores

    def decide(
        self, index: int, time_s: float, people: People, image_hw: tuple[int, int], window_scores: list[WindowScore]
    ) -> Seen:
        """Second half of a step: fuse the scores and follow the events."""
        scores = self.fuser.push(index, time_s, people.track_ids, window_scores)
        record = self.recorder.push(index, time_s, people.track_ids, window_scores)
        postures = read_postures(people.keypoints, people.scores, image_hw)
        events = self.decoder.push(scores, people, postures, time_s)
        return Seen(None, people, scores, record, events, self.decoder.current)

    def finish(self, time_s: float) -> Seen:
        """Score what is still open at the end of the source and make ready for the next one."""
        return self.conclude(time_s, self.score_rest())

    def score_rest(self) -> list[WindowScore]:
        """First half of the end: score the windows that are still open, and forget everybody."""
        windows = self.buffer.flush()
        self.pose_source.reset()
        self.tracker.reset()
        self.sampling.reset()
        self._people = People.none()
        return self.recognize(windows) if windows else []

    def conclude(self, time_s: float, window_scores: list[WindowScore]) -> Seen:
        """Second half of the end: settle all scores and decide all events."""
        to_the_end = [replace(score, stop_s=math.inf) for score in window_scores]  # over frames not looked at
        scores, record = self.fuser.flush(window_scores), self.recorder.flush(to_the_end)
        current = self.decoder.current
        events = self.decoder.flush(scores, time_s)
        return Seen(None, People.none(), scores, record, events, current)


def _recognizer(settings: Settings, device: str) -> WindowRecognizer:
    recognizer = make_recognizer(settings.recognizer, device)
    if recognizer.window_s not in (None, settings.windows.length_s):
        logger.warning(
            "the recognizer was trained on windows of %g s, windows.length_s is %g; set it to the same",
            recognizer.window_s,
            settings.windows.length_s,
        )
    return recognizer
