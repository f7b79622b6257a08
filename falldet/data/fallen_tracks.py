"""Which tracks of an annotated clip show the person who falls: labels give the time of a fall, not the person."""

from __future__ import annotations

import numpy as np

from falldet.data.annotations import Annotation
from falldet.geometry import keypoint_boxes

BEFORE_S, AFTER_S = 0.2, 0.3
"""Motion is measured from `BEFORE_S` before the descent to `AFTER_S` after it."""

MIN_OBSERVATIONS = 3
"""Observations in that time below which a track has not moved."""

NEAR_LENGTHS = 2.0
"""Distance within which a lost person is found again, in longer box sides."""


def fallen_tracks(annotation: Annotation, start_s: float, end_s: float) -> set[int]:
    """Return the tracks of the person who falls: the one that moves most, and those of the same person.

    A track is of the same person where it is never in sight together with the one that moves most, and begins near the
    place where that one ends, or ends near the place where it begins.

    Args:
        annotation: the clip.
        start_s: start of the descent, seconds.
        end_s: its end.
    """
    visible = annotation["keypoint_score"].any(axis=2)  # (M, T)
    boxes = [keypoint_boxes(*each) for each in zip(annotation["keypoint"], annotation["keypoint_score"], strict=True)]
    inside = (annotation["time_s"] >= start_s - BEFORE_S) & (annotation["time_s"] <= end_s + AFTER_S)
    moved = [_motion(own[seen & inside]) for own, seen in zip(boxes, visible, strict=True)]
    main = int(np.argmax(moved))
    if moved[main] <= 0:
        return set()
    others = {
        person
        for person in range(len(visible))
        if visible[person].any()
        and not (visible[person] & visible[main]).any()
        and _is_near(boxes[person], visible[person], boxes[main], visible[main])
    }
    return {main} | others


def _motion(boxes: np.ndarray) -> float:
    """Return how far the center of boxes (T, 4) moves and their sides change, in median longer sides."""
    if len(boxes) < MIN_OBSERVATIONS:
        return 0.0
    sides = boxes[:, 2:] - boxes[:, :2]
    centers, length = (boxes[:, :2] + boxes[:, 2:]) / 2, max(float(np.median(sides.max(axis=1))), 1.0)
    moved = np.linalg.norm(centers - centers[0], axis=1).max() + np.abs(sides - sides[0]).max()
    return float(moved / length)


def _is_near(boxes: np.ndarray, visible: np.ndarray, main: np.ndarray, main_visible: np.ndarray) -> bool:
    """Return whether a track begins near the place where the main one ends, or ends where it begins."""
    own, other = np.flatnonzero(visible), np.flatnonzero(main_visible)
    later = own[0] > other[-1]
    box, place = (boxes[own[0]], main[other[-1]]) if later else (boxes[own[-1]], main[other[0]])
    length = max(float((place[2:] - place[:2]).max()), 1.0)
    return bool(np.linalg.norm((box[:2] + box[2:] - place[:2] - place[2:]) / 2) < NEAR_LENGTHS * length)
