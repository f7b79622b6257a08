"""Track ids of composed scenes by the trackers that run in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from falldet.geometry import box_iou
from falldet.types import NO_TRACK, People
from research.tracking.scenes import TrackingScene


class Tracker(Protocol):
    """Gives the people of consecutive frames track ids."""

    def reset(self) -> None:
        """Forget every track."""

    def update(self, people: People, time_s: float) -> People:
        """Return the same people, in the same order, with track ids."""
        ...


def track_scenes(tracker: Tracker, scenes: Sequence[TrackingScene]) -> tuple[list[np.ndarray], float]:
    """Return the id of every detection of each scene (M,), and milliseconds of processor time per frame."""
    ids = []
    took_s = 0.0
    for scene in scenes:
        tracker.reset()
        started_s = time.thread_time()
        found = [tracker.update(frame.people, frame.time_s).track_ids for frame in scene.frames]
        took_s += time.thread_time() - started_s
        ids.append(np.concatenate(found))
    return ids, 1000 * took_s / max(sum(len(scene.frames) for scene in scenes), 1)


class GreedyIou:
    """Matches the boxes with the largest overlap first; a box without a match starts a track.

    Args:
        min_iou: boxes that overlap less don't match.
        max_lost_s: how long a track is kept without a detection, seconds.
    """

    def __init__(self, min_iou: float, max_lost_s: float) -> None:
        self.min_iou, self.max_lost_s = min_iou, max_lost_s
        self.reset()

    def reset(self) -> None:
        """Forget every track."""
        self._tracks: dict[int, tuple[float, np.ndarray]] = {}  # id -> time of the last detection, its box
        self._last_id = 0

    def update(self, people: People, time_s: float) -> People:
        """Return the same people, in the same order, with track ids."""
        self._tracks = {i: track for i, track in self._tracks.items() if time_s - track[0] <= self.max_lost_s}
        known = list(self._tracks)
        track_ids = np.full(len(people), NO_TRACK)
        overlap = box_iou(np.array([self._tracks[i][1] for i in known]).reshape(-1, 4), people.boxes)
        while overlap.size and overlap.max() >= self.min_iou:
            track, row = np.unravel_index(np.argmax(overlap), overlap.shape)
            track_ids[row] = known[track]
            overlap[track], overlap[:, row] = -1, -1
        for row in np.flatnonzero(track_ids == NO_TRACK):
            self._last_id += 1
            track_ids[row] = self._last_id
        self._tracks |= {int(i): (time_s, box) for i, box in zip(track_ids, people.boxes, strict=True)}
        return people.with_track_ids(track_ids)
