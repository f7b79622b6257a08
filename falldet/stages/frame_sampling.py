"""Which frames are looked at: few while nobody moves, more while somebody does, every one while they may be falling.

Poses are most of what the live chain costs, and somebody who hardly moves won't hit the floor before the next look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from falldet.types import WindowScore

Item = TypeVar("Item")

JITTER_S = 0.008
"""Looks may be early by so much: a camera's clock is not exact, and files round their timestamps."""


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How often poses are taken; a frame that isn't looked at keeps the people of the one before.

    Attributes:
        poses_per_s: so many frames a second are looked at while somebody moves. 0 looks at every frame, always.
        idle_fps: so many are while nobody does. The same as `poses_per_s` leaves movement out of account.
        motion_threshold: who is quicker moves, in longer sides of their box a second,
        motion_hold_s: and so until this long after the last such look.
        empty_hold_s: with nobody in sight somebody may have been lost, which counts as moving until this time has passed.
        full_rate_threshold: every frame is looked at once a window has at least this score,
        full_rate_hold_s: until this long after the last such window. 0 never goes beyond `poses_per_s`.
    """

    poses_per_s: float = 15.0
    idle_fps: float = 5.0
    motion_threshold: float = 0.2
    motion_hold_s: float = 0.3
    empty_hold_s: float = 10.0
    full_rate_threshold: float = 0.2
    full_rate_hold_s: float = 0.5

    def __post_init__(self) -> None:
        """Raise ValueError where a number is out of its range."""
        if self.poses_per_s < 0:
            raise ValueError(f"poses_per_s = {self.poses_per_s} must not be negative; 0 looks at every frame")
        if self.idle_fps <= 0:
            raise ValueError(f"idle_fps = {self.idle_fps} must be above 0, or nobody would wake it")
        for name in ("motion_threshold", "motion_hold_s", "empty_hold_s", "full_rate_hold_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)} must not be negative")


class FrameSampler:
    """Says of each frame in turn whether it is to be looked at.

    Args:
        settings: how often.
    """

    def __init__(self, settings: SamplingSettings | None = None) -> None:
        self.settings = settings or SamplingSettings()
        self.reset()

    def reset(self) -> None:
        """Start again: the next frame is looked at."""
        self._looks = 1.0  # that have become due since the last one
        self._last_s: float | None = None
        self._seen_s: float | None = None
        self._moving_until_s = math.inf  # until the first look shows something else
        self._awake_until_s = -math.inf

    def should_process(self, time_s: float) -> bool:
        """Return whether the frame at `time_s`, later than the last one, is to be looked at."""
        settings = self.settings
        if settings.poses_per_s == 0:
            return True
        rate = settings.poses_per_s if time_s < self._moving_until_s else settings.idle_fps
        if self._last_s is not None:
            self._looks += rate * (time_s - self._last_s)
        self._last_s = time_s
        early = rate * JITTER_S
        due = self._looks >= 1 - early or time_s < self._awake_until_s
        if due:  # what is left counts for the next one, so that the rate is kept; a gap is not made up for
            left = self._looks - 1
            self._looks = left if -early <= left < 1 - early else 0.0
        return due

    def note(self, time_s: float, speed: float | None, scores: Sequence[WindowScore]) -> None:
        """Take what the look at `time_s` has shown, before the next frame is asked about.

        Args:
            time_s: time of the frame.
            speed: of the quickest person in sight, in longer sides of their box a second; infinite where it isn't known
                yet, None with nobody in sight.
            scores: of the windows that ended.
        """
        if speed is not None or self._seen_s is None:
            self._seen_s = time_s
        moving = time_s - self._seen_s < self.settings.empty_hold_s if speed is None else speed > self.settings.motion_threshold
        if moving:
            self._moving_until_s = time_s + self.settings.motion_hold_s
        elif self._moving_until_s == math.inf:
            self._moving_until_s = time_s
        if any(score.fall >= self.settings.full_rate_threshold for score in scores):
            self._awake_until_s = time_s + self.settings.full_rate_hold_s

    def chosen(self, frames: Iterable[Item], time_s: Callable[[Item], float]) -> Iterator[tuple[Item, bool]]:
        """Yield each frame and whether it is to be looked at, which the last one always is.

        A frame that isn't is given when the next one comes.

        Args:
            frames: in order.
            time_s: returns a frame's time.
        """
        passed_over: list[Item] = []
        for frame in frames:
            yield from ((earlier, False) for earlier in passed_over)
            due = self.should_process(time_s(frame))
            passed_over = [] if due else [frame]
            if due:
                yield frame, True
        yield from ((frame, True) for frame in passed_over)
