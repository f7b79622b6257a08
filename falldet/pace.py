"""Which frames are looked at: poses are needed at a steady rate, whatever the rate of the source."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
