"""Adaptive frame sampling: choose the frames on which pose estimation runs.

Three rates: idle (no person moves), active (a person moves, or may have been lost), full (every frame, while a recent
window scored high). A skipped frame keeps the people of the last processed one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TypeVar

from falldet.types import WindowScore

Item = TypeVar("Item")

JITTER_S = 0.008
"""A frame may be early by so much: a camera's clock is not exact, and files round their timestamps."""


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """Rates of pose estimation, and what switches between them.

    Attributes:
        active_fps: pose estimations per second while a person moves; 0 processes every frame, always.
        idle_fps: pose estimations per second while every person is still. Equal to `active_fps`, motion has no effect.
        motion_threshold: speed above which a person is moving, in box lengths (longer side) per second. Higher: fewer
            inferences.
        motion_hold_s: how long the active rate is kept after the last motion, seconds.
        empty_hold_s: how long an empty frame counts as motion, seconds: the person may only have been lost.
        full_rate_threshold: window score from which every frame is processed. Lower: more inferences, earlier alerts.
        full_rate_hold_s: how long every frame is processed after the last such window, seconds; 0 never does.
    """

    active_fps: float = 15.0
    idle_fps: float = 5.0
    motion_threshold: float = 0.2
    motion_hold_s: float = 0.3
    empty_hold_s: float = 10.0
    full_rate_threshold: float = 0.2
    full_rate_hold_s: float = 0.5

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of its range."""
        if self.active_fps < 0:
            raise ValueError(f"active_fps = {self.active_fps} must not be negative; 0 processes every frame")
        if self.idle_fps <= 0:
            raise ValueError(f"idle_fps = {self.idle_fps} must be above 0, or motion would never be noticed")
        for name in ("motion_threshold", "motion_hold_s", "empty_hold_s", "full_rate_hold_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)} must not be negative")


class FrameSampler:
    """Says of each frame in turn whether pose estimation runs on it.

    Args:
        settings: the rates.
    """

    def __init__(self, settings: SamplingSettings | None = None) -> None:
        self.settings = settings or SamplingSettings()
        self.reset()

    def reset(self) -> None:
        """Start again: the next frame is processed."""
        self._credit = 1.0  # inferences that have become due since the last one
        self._last_s: float | None = None
        self._person_s: float | None = None
        self._moving_until_s = math.inf  # until the first inference shows something else
        self._full_rate_until_s = -math.inf

    def should_process(self, time_s: float) -> bool:
        """Return whether the frame at `time_s`, later than the last one, is to be processed."""
        settings = self.settings
        if settings.active_fps == 0:
            return True
        rate = settings.active_fps if time_s < self._moving_until_s else settings.idle_fps
        if self._last_s is not None:
            self._credit += rate * (time_s - self._last_s)
        self._last_s = time_s
        early = rate * JITTER_S
        due = self._credit >= 1 - early or time_s < self._full_rate_until_s
        if due:  # what is left counts for the next one, so that the rate is kept; a gap is not made up for
            left = self._credit - 1
            self._credit = left if -early <= left < 1 - early else 0.0
        return due

    def forecast(self) -> Callable[[float], bool]:
        """Return what `should_process` will say of the coming frames, asked in order, if no update comes in between."""
        return copy(self).should_process

    def update(self, time_s: float, speed: float | None, scores: Sequence[WindowScore]) -> None:
        """Take what the processed frame at `time_s` has shown, before the next frame is asked about.

        Args:
            time_s: time of the frame.
            speed: of the fastest person, in box lengths per second; infinite while it isn't known, None without people.
            scores: of the windows that ended.
        """
        if speed is not None or self._person_s is None:
            self._person_s = time_s
        if speed is None:
            moving = time_s - self._person_s < self.settings.empty_hold_s
        else:
            moving = speed > self.settings.motion_threshold
        if moving:
            self._moving_until_s = time_s + self.settings.motion_hold_s
        elif self._moving_until_s == math.inf:
            self._moving_until_s = time_s
        if any(score.probability >= self.settings.full_rate_threshold for score in scores):
            self._full_rate_until_s = time_s + self.settings.full_rate_hold_s

    def sample(self, frames: Iterable[Item], time_s: Callable[[Item], float]) -> Iterator[tuple[Item, bool]]:
        """Yield each frame and whether it is to be processed; the last one always is.

        A skipped frame is given when the next one comes.

        Args:
            frames: in order.
            time_s: returns a frame's time.
        """
        skipped: list[Item] = []
        for frame in frames:
            yield from ((earlier, False) for earlier in skipped)
            due = self.should_process(time_s(frame))
            skipped = [] if due else [frame]
            if due:
                yield frame, True
        yield from ((frame, True) for frame in skipped)
