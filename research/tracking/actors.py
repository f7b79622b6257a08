"""The people of a composed scene: when and where each plays which part of a source."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from research.tracking.sources import Source

Walk = tuple[float, float, float]
"""start_s, stop_s, dx: a walk of dx pixels to the right."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One person of a scene.

    Attributes:
        source: the person's poses.
        size_px: the person's size in pixels.
        depth: the larger the farther.
        ground: (2,) position of the source's origin before any walk, pixels.
        walks: when and how far the person walks.
        phase_s: where in the source the scene begins, seconds.
        fall_s: when the descent begins, seconds, or None.
        stay: (start_s, stop_s) when the person is there.
        gaps: (start_s, stop_s) when the person is out of sight.
    """

    source: Source
    size_px: float
    depth: float
    ground: np.ndarray
    walks: tuple[Walk, ...]
    phase_s: float
    fall_s: float | None
    stay: tuple[float, float]
    gaps: list[tuple[float, float]] = field(default_factory=list)

    def source_time(self, time_s: float) -> float:
        """Return the time of the source that is played at a time of the scene."""
        last_s = float(self.source.time_s[-1])
        if self.fall_s is None or self.source.fall is None:
            return _back_and_forth(self.phase_s + time_s, 0.0, last_s)
        start_s, end_s = self.source.fall
        if time_s < self.fall_s:
            return start_s - _back_and_forth(self.fall_s - time_s, 0.0, start_s)
        since_s = time_s - self.fall_s
        if since_s <= end_s - start_s:
            return start_s + since_s
        return _back_and_forth(since_s - (end_s - start_s), 0.0, last_s - end_s) + end_s

    def position(self, time_s: float) -> np.ndarray:
        """Return the position (2,) of the source's origin in pixels."""
        moved = sum(dx * np.clip((time_s - start_s) / (stop_s - start_s), 0, 1) for start_s, stop_s, dx in self.walks)
        return self.ground + np.array([moved, 0.0])

    def is_away(self, time_s: float) -> bool:
        """Return whether the person is out of sight."""
        away = any(start_s <= time_s < stop_s for start_s, stop_s in self.gaps)
        return away or not self.stay[0] <= time_s < self.stay[1]


def _back_and_forth(time_s: float, start_s: float, stop_s: float) -> float:
    """Return a time between the two, running forwards and backwards in turn."""
    length_s = max(stop_s - start_s, 1e-6)
    phase = time_s % (2 * length_s)
    return start_s + (phase if phase <= length_s else 2 * length_s - phase)
