"""Which frames are looked at: poses are needed at a steady rate, whatever the rate of the source."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")

JITTER = 0.25
"""Times may be early by this share of a part: a camera's clock is not exact, and files round their timestamps."""


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """How often poses are taken.

    Attributes:
        poses_per_s: at most so many frames a second are looked at, as evenly as the source allows; the frames between
            keep the people of the one before. 0 looks at every frame.
    """

    poses_per_s: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError where the rate is negative."""
        if self.poses_per_s < 0:
            raise ValueError(f"poses_per_s = {self.poses_per_s} must not be negative; 0 looks at every frame")


class Pace:
    """Says of each frame in turn whether it is to be looked at: the first one in each part of 1 / poses_per_s."""

    def __init__(self, settings: PaceSettings | None = None) -> None:
        self.settings = settings or PaceSettings()
        self.reset()

    def reset(self) -> None:
        """Start again: the next frame is looked at."""
        self._part = -1

    def is_due(self, time_s: float) -> bool:
        """Return whether the frame at `time_s`, later than the last one, is to be looked at."""
        if self.settings.poses_per_s == 0:
            return True
        part = math.floor(time_s * self.settings.poses_per_s + JITTER)
        due, self._part = part > self._part, max(part, self._part)
        return due

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
