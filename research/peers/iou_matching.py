"""Baseline tracker: the matching of the reference project's demo, by the overlap of square boxes alone.

Each square box of the last frame takes the pose whose square overlaps it most, even a pose that another box took. Of
two boxes that took the same pose, the one with the larger overlap gives its id. A pose without a box gets a new id. A
person missed in one frame is forgotten.
"""

from __future__ import annotations

import numpy as np

from falldet.geometry import box_iou, square_boxes
from falldet.types import NO_TRACK, People


class IouMatching:
    """Gives each person a track id by the overlap of square boxes in consecutive frames.

    Args:
        box_scale: side of the square over the longer side of the box. Higher: wider search, more mix-ups.
    """

    def __init__(self, box_scale: float = 1.25) -> None:
        self.box_scale = box_scale
        self.reset()

    def reset(self) -> None:
        """Forget the last frame; ids start from 1 again."""
        self._boxes, self._ids = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
        self._last_id = 0

    def update(self, people: People, time_s: float = 0.0) -> People:
        """Return the same people, in the same order, with track ids.

        Args:
            people: the N people of the frame.
            time_s: has no effect; a tracker's signature.
        """
        track_ids = np.full(len(people), NO_TRACK)
        overlap = box_iou(square_boxes(self._boxes, self.box_scale), square_boxes(people.boxes, self.box_scale))
        if overlap.size:
            taken, best = overlap.argmax(axis=1), overlap.max(axis=1)
            for box in np.argsort(best, kind="stable"):  # the larger overlap last
                if best[box] > 0:
                    track_ids[taken[box]] = self._ids[box]
        for row in np.flatnonzero(track_ids == NO_TRACK):
            self._last_id += 1
            track_ids[row] = self._last_id
        self._boxes, self._ids = people.boxes, track_ids
        return people.with_track_ids(track_ids)
