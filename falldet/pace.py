"""Which frames are looked at: few while the recogniser is sure that nobody falls, every one while it isn't."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from falldet.types import WindowScore

Item = TypeVar("Item")

JITTER = 0.25
"""Times may be early by this share of a part: a camera's clock is not exact, and files round their timestamps."""


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """How often poses are taken; a frame that isn't looked at keeps the people of the one before.

    Attributes:
        poses_per_s: at rest so many frames a second are looked at, as evenly as the source allows. 0 looks at every
            frame, always.
        wake_score: every frame is looked at once a window has at least this score,
        wake_s: until this long after the last such window. 0 never leaves the rate of rest.
    """

    poses_per_s: float = 15.0
    wake_score: float = 0.01
    wake_s: float = 1.0

    def __post_init__(self) -> None:
        """Raise ValueError where the rate or the time is negative."""
        if self.poses_per_s < 0:
            raise ValueError(f"poses_per_s = {self.poses_per_s} must not be negative; 0 looks at every frame")
        if self.wake_s < 0:
            raise ValueError(f"wake_s = {self.wake_s} must not be negative; 0 never leaves the rate of rest")


class Pace:
    """Says of each frame in turn whether it is to be looked at.

    At rest that is the first one in each part of 1 / poses_per_s; awake it is every one.

    Args:
        settings: how often.
        ahead: what a look has shown counts only after this many more looks. So many may be on their way before it is
            known, and which frames are looked at must not depend on whether they were.
    """

    def __init__(self, settings: PaceSettings | None = None, ahead: int = 0) -> None:
        self.settings = settings or PaceSettings()
        self.ahead = ahead
        self.reset()

    def reset(self) -> None:
        """Start again: the next frame is looked at."""
        self._part = -1
        self._awake_until_s = -math.inf
        self._looks_open = 0  # that were asked for and have not counted yet
        self._awake_s: deque[float] = deque()  # until when each of them keeps the pace awake, as far as known

    def is_due(self, time_s: float) -> bool:
        """Return whether the frame at `time_s`, later than the last one, is to be looked at."""
        if self.settings.poses_per_s == 0:
            return True
        while self._looks_open > self.ahead and self._awake_s:
            self._awake_until_s = max(self._awake_until_s, self._awake_s.popleft())
            self._looks_open -= 1
        part = math.floor(time_s * self.settings.poses_per_s + JITTER)
        due = part > self._part or time_s < self._awake_until_s
        self._part = max(part, self._part)
        self._looks_open += due
        return due

    def note(self, time_s: float, scores: Sequence[WindowScore]) -> None:
        """Take the scores of the windows that ended with the look at `time_s`; every look has its call, in order."""
        if self.settings.poses_per_s == 0:
            return
        woken = any(score.fall >= self.settings.wake_score for score in scores)
        self._awake_s.append(time_s + self.settings.wake_s if woken else -math.inf)

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
            due = self.is_due(time_s(frame))
            passed_over = [] if due else [frame]
            if due:
                yield frame, True
        yield from ((frame, True) for frame in passed_over)
