"""The sink that draws the timeline, and the scores it keeps in bounded memory."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from falldet.pipeline.result import FrameResult
from falldet.runtime.sinks import SourceInfo
from falldet.types import Event, PersonScore


class Timeline:
    """Writes timeline.png: the evidence of each track over time, with the events shaded.

    Args:
        path: the file; `close` writes it.
        alert_threshold: marked by a line.
    """

    def __init__(self, path: Path, alert_threshold: float) -> None:
        self.path = path
        self._alert_threshold = alert_threshold
        self._history = ScoreHistory()
        self._events: dict[str, Event] = {}
        self._last_s = 0.0

    def start(self, source: SourceInfo) -> None:
        """Do nothing."""

    def event(self, event: Event) -> None:
        """Keep the state of the event."""
        self._events[event.id] = event

    def update(self, result: FrameResult) -> None:
        """Keep the scores."""
        for score in result.scores:
            self._history.add(score)
        if result.frame is not None:
            self._last_s = result.frame.time_s

    def close(self) -> None:
        """Draw the plot; raises FalldetError where the file can't be written."""
        from falldet.visualization.plots import timeline_plot  # matplotlib takes most of a second to load

        events = sorted(self._events.values(), key=lambda event: event.alert_s)
        timeline_plot(self.path, self._history.curves(), events, self._alert_threshold, self._last_s)


class ScoreHistory:
    """Keeps the highest score of each track in every time bin; when there are too many bins, their width doubles.

    Args:
        max_points: largest number of bins, of all tracks together.
        bin_s: initial width of a bin, seconds.
    """

    def __init__(self, max_points: int = 20_000, bin_s: float = 0.05) -> None:
        self._max_points, self._bin_s = max_points, bin_s
        self._bins: dict[tuple[int, int], float] = {}  # (track id, index of the bin) -> score

    def add(self, score: PersonScore) -> None:
        """Take the evidence of one track."""
        self._raise_bin((score.track_id, math.floor(score.time_s / self._bin_s)), score.score)
        while len(self._bins) > self._max_points:
            self._bin_s *= 2
            narrow, self._bins = self._bins, {}
            for (track_id, index), value in narrow.items():
                self._raise_bin((track_id, index // 2), value)

    def curves(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Return times in seconds (T,) float64 and scores (T,) float64 by track id."""
        points: dict[int, list[tuple[float, float]]] = {}
        for (track_id, index), value in sorted(self._bins.items()):
            points.setdefault(track_id, []).append(((index + 0.5) * self._bin_s, value))
        return {i: (np.array([t for t, _ in line]), np.array([v for _, v in line])) for i, line in points.items()}

    def _raise_bin(self, key: tuple[int, int], value: float) -> None:
        self._bins[key] = max(value, self._bins.get(key, 0.0))
