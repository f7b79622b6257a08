"""The scores of a whole source in bounded memory, for a plot."""

from __future__ import annotations

import math

import numpy as np

from falldet.types import PersonScore


class ScoreHistory:
    """Keeps each track's highest score in every time bin; when there are too many bins, their width doubles.

    Args:
        max_points: bins at most, of all tracks together.
        bin_s: width of a bin at first, seconds.
    """

    def __init__(self, max_points: int = 20_000, bin_s: float = 0.05) -> None:
        self._max_points, self._bin_s = max_points, bin_s
        self._bins: dict[tuple[int, int], float] = {}  # (track id, number of the bin) -> score

    def add(self, score: PersonScore) -> None:
        """Take one fused score."""
        self._keep((score.track_id, math.floor(score.time_s / self._bin_s)), score.score)
        if len(self._bins) > self._max_points:
            self._bin_s *= 2
            narrow, self._bins = self._bins, {}
            for (track_id, index), value in narrow.items():
                self._keep((track_id, index // 2), value)

    def curves(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Return times in seconds (T,) and scores (T,) by track id."""
        points: dict[int, list[tuple[float, float]]] = {}
        for (track_id, index), value in sorted(self._bins.items()):
            points.setdefault(track_id, []).append(((index + 0.5) * self._bin_s, value))
        return {i: (np.array([t for t, _ in line]), np.array([v for _, v in line])) for i, line in points.items()}

    def _keep(self, key: tuple[int, int], value: float) -> None:
        self._bins[key] = max(value, self._bins.get(key, 0.0))
