"""Sliding windows over the tracks, in seconds: the same class cuts them live and for training."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from falldet.types import NO_TRACK, People, Window

DEFAULT_LENGTH_S = 2.0
"""Length of a window, seconds, where neither the configuration nor the recognizer states one."""


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """Times of the sliding windows.

    Attributes:
        length_s: length of a window, seconds; 0 takes the recognizer's own. Higher: more context, more computation.
        stride_s: seconds from one window to the next. Higher: less computation, later alerts.
        min_track_s: age of a track at its first window, seconds. Higher: falls of new tracks are missed.
        linger_s: seconds for which windows of a lost track go on, its last pose held. Higher: more scores.
    """

    length_s: float = 0.0
    stride_s: float = 0.25
    min_track_s: float = 0.4
    linger_s: float = 0.5

    def __post_init__(self) -> None:
        """Raise ValueError if a time is out of range."""
        if self.length_s < 0:
            raise ValueError(f"length_s = {self.length_s} must not be negative; 0 takes the recognizer's own")
        if self.stride_s <= 0 or 0 < self.length_s < self.stride_s:
            raise ValueError(f"stride_s = {self.stride_s} must be above 0 and at most length_s = {self.length_s}")
        if self.min_track_s < 0 or self.linger_s < 0:
            raise ValueError(f"min_track_s = {self.min_track_s} and linger_s = {self.linger_s} must not be negative")

    def for_recognizer(self, window_s: float | None) -> WindowSettings:
        """Return the settings with a length: their own or, where that is 0, the recognizer's.

        Args:
            window_s: length of the windows of its training, seconds; None for whole clips: `DEFAULT_LENGTH_S`.
        """
        return self if self.length_s else replace(self, length_s=window_s or DEFAULT_LENGTH_S)


@dataclass(slots=True)
class _Track:
    first_s: float
    times: deque[float] = field(default_factory=deque)
    poses: deque[tuple[np.ndarray, np.ndarray]] = field(default_factory=deque)  # keypoints (K, 2), scores (K,)


class WindowBuffer:
    """Collects the poses of all tracks and returns the complete windows.

    Memory is bounded: observations older than a window are dropped, but for the last one before it, and so are tracks
    without an observation in the window.

    Example:
        >>> buffer = WindowBuffer(WindowSettings(length_s=2.0, stride_s=0.25))
        >>> windows = buffer.push(frame.time_s, tracker.update(people, frame.time_s), frame.image.shape[:2])

    Args:
        settings: see `WindowSettings`.
    """

    def __init__(self, settings: WindowSettings | None = None) -> None:
        self.settings = (settings or WindowSettings()).for_recognizer(None)
        self.reset()

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracks: dict[int, _Track] = {}
        self._next_stop_s: float | None = None
        self._last_s = 0.0
        self._image_hw = (0, 0)

    def push(self, time_s: float, people: People, image_hw: tuple[int, int]) -> list[Window]:
        """Take the tracked people of one frame; return the windows that end by its time.

        Args:
            time_s: time of the frame, seconds, later than the last one.
            people: people with track ids; those without one are ignored.
            image_hw: height and width of the frame in pixels.
        """
        if self._next_stop_s is None:
            self._next_stop_s = time_s + self.settings.stride_s
        windows = []
        while time_s >= self._next_stop_s:
            windows += self._cut(self._next_stop_s)
            skipped = 0 if self._tracks else (time_s - self._next_stop_s) // self.settings.stride_s  # without tracks
            self._next_stop_s += (skipped + 1) * self.settings.stride_s
        for row in np.flatnonzero(people.track_ids != NO_TRACK):
            track = self._tracks.setdefault(int(people.track_ids[row]), _Track(first_s=time_s))
            track.times.append(time_s)
            track.poses.append((people.keypoints[row], people.scores[row]))
        self._last_s, self._image_hw = time_s, image_hw
        return windows

    def flush(self) -> list[Window]:
        """Return a last window per track, up to and including the last frame, and forget all tracks."""
        windows = self._cut(np.nextafter(self._last_s, np.inf)) if self._tracks else []
        self.reset()
        return windows

    def _cut(self, stop_s: float) -> list[Window]:
        """Return the windows of all tracks that end at `stop_s`; delete tracks without an observation in theirs."""
        start_s = stop_s - self.settings.length_s
        windows = []
        for track_id, track in list(self._tracks.items()):
            while len(track.times) > 1 and track.times[1] < start_s:
                track.times.popleft()
                track.poses.popleft()
            if track.times[-1] < start_s:
                del self._tracks[track_id]
            elif self._is_due(track, stop_s):
                windows.append(self._window(track_id, track, start_s, stop_s))
        return windows

    def _is_due(self, track: _Track, stop_s: float) -> bool:
        last_s = track.times[-1]
        return last_s - track.first_s >= self.settings.min_track_s and stop_s - last_s <= self.settings.linger_s

    def _window(self, track_id: int, track: _Track, start_s: float, stop_s: float) -> Window:
        keypoints, scores = zip(*track.poses, strict=True)
        return Window(
            track_id, start_s, stop_s, np.array(track.times), np.stack(keypoints), np.stack(scores), self._image_hw
        )
