"""Cuts each person's track into overlapping windows, in seconds, and labels the windows of annotated clips.

The live chain (`WindowBuffer`) and training (`label_windows`) resample with the same function, so a window means the same
thing on both sides and at every frame rate.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from falldet.types import NO_TRACK, People, Window


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How tracks are cut.

    Attributes:
        length_s: length of a window.
        stride_s: time from one window to the next; all people's windows stop at the same moments.
        min_track_s: a track is scored from this age on, so that nobody who enters the picture falling is missed.
        linger_s: how long windows go on after a person was last seen, the last pose held.
    """

    length_s: float = 2.0
    stride_s: float = 0.25
    min_track_s: float = 0.4
    linger_s: float = 0.5

    def __post_init__(self) -> None:
        """Raise ValueError where a time is out of order."""
        if not 0 < self.stride_s <= self.length_s:
            raise ValueError(f"stride_s = {self.stride_s} must be above 0 and at most length_s = {self.length_s}")
        if self.min_track_s < 0 or self.linger_s < 0:
            raise ValueError("min_track_s and linger_s must not be negative")


@dataclass(slots=True)
class _Track:
    first_s: float
    times: deque[float] = field(default_factory=deque)
    poses: deque[tuple[np.ndarray, np.ndarray]] = field(default_factory=deque)


class WindowBuffer:
    """Collects poses and hands out the windows that are complete.

    Memory is bounded: observations older than a window are dropped, and so are people who have gone.
    """

    def __init__(self, settings: WindowSettings | None = None) -> None:
        self.settings = settings or WindowSettings()
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        self._tracks: dict[int, _Track] = {}
        self._next_stop_s: float | None = None
        self._last_s = 0.0
        self._image_hw = (0, 0)

    def push(self, time_s: float, people: People, image_hw: tuple[int, int]) -> list[Window]:
        """Take the tracked people of the frame at `time_s`; return the windows that end by then.

        Args:
            time_s: time of the frame, later than the last one.
            people: with track ids; people without one are passed over.
            image_hw: height and width of the frame in pixels.
        """
        if self._next_stop_s is None:
            self._next_stop_s = time_s + self.settings.stride_s
        windows = []
        while time_s >= self._next_stop_s:
            windows += self._cut(self._next_stop_s)
            empty = 0 if self._tracks else (time_s - self._next_stop_s) // self.settings.stride_s  # nobody to cut for
            self._next_stop_s += (empty + 1) * self.settings.stride_s
        for row in np.flatnonzero(people.track_ids != NO_TRACK):
            track = self._tracks.setdefault(int(people.track_ids[row]), _Track(first_s=time_s))
            track.times.append(time_s)
            track.poses.append((people.keypoints[row], people.scores[row]))
        self._last_s, self._image_hw = time_s, image_hw
        return windows

    def flush(self) -> list[Window]:
        """Return one last window per person, up to and including the last frame, and forget everybody."""
        windows = self._cut(np.nextafter(self._last_s, np.inf)) if self._tracks else []
        self.reset()
        return windows

    def _cut(self, stop_s: float) -> list[Window]:
        start_s = stop_s - self.settings.length_s
        windows = []
        for track_id, track in list(self._tracks.items()):
            while track.times and track.times[0] < start_s:
                track.times.popleft()
                track.poses.popleft()
            if not track.times:
                del self._tracks[track_id]
            elif self._is_due(track, stop_s):
                windows.append(self._window(track_id, track, start_s, stop_s))
        return windows

    def _is_due(self, track: _Track, stop_s: float) -> bool:
        seen_s = track.times[-1]
        return seen_s - track.first_s >= self.settings.min_track_s and stop_s - seen_s <= self.settings.linger_s

    def _window(self, track_id: int, track: _Track, start_s: float, stop_s: float) -> Window:
        keypoints, scores = zip(*track.poses, strict=True)
        return Window(
            track_id, start_s, stop_s, np.array(track.times), np.stack(keypoints), np.stack(scores), self._image_hw
        )
