"""The people of composed scenes: stretches of real clips in which exactly one person is detected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from falldet.data.manifest import ClipRecord
from falldet.extraction.pose_cache import PoseCache, PoseSequence

CEILING = "cam1"
"""Part of the names of clips seen from the ceiling, which don't fit into one image with the others."""

MIN_PERSON_SCORE, MIN_OTHER_SCORE = 0.15, 0.12
"""A frame counts where one detection reaches the first score and no other one the second."""

MIN_LENGTH_S = 1.2
MAX_GAP_S = 0.3
MAX_STEP = 0.4
"""A stretch ends where the box's center moves farther from one frame to the next, in lengths of its longer side."""

FALL_MARGIN_S = 0.1
"""A stretch with a fall begins at least this long before the descent and ends this long after it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One person's poses over time, in units of the person's size, the origin at the box's center.

    Attributes:
        name: of the clip.
        time_s: (T,) seconds from 0.
        points: (T, K + 2, 2): the joints, then the box's two corners.
        scores: (T, K).
        box_scores: (T,).
        fall: start and end of the descent in seconds, or None.
    """

    name: str
    time_s: np.ndarray
    points: np.ndarray
    scores: np.ndarray
    box_scores: np.ndarray
    fall: tuple[float, float] | None

    def at(self, time_s: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Return points (K + 2, 2), scores (K,) and box score at a time, interpolated between two frames."""
        after = int(np.clip(np.searchsorted(self.time_s, time_s), 1, len(self.time_s) - 1))
        gap_s = self.time_s[after] - self.time_s[after - 1]
        share = float(np.clip((time_s - self.time_s[after - 1]) / gap_s, 0, 1))
        nearest = after if share > 0.5 else after - 1
        points = (1 - share) * self.points[after - 1] + share * self.points[after]
        in_both = (self.scores[after - 1] > 0) & (self.scores[after] > 0)
        joints = slice(len(in_both))
        points[joints] = np.where(in_both[:, None], points[joints], self.points[nearest, joints])
        return points, self.scores[nearest], float(self.box_scores[nearest])


def read_sources(clips: Sequence[ClipRecord], cache: PoseCache) -> list[Source]:
    """Return the single-person stretches of the clips, ceiling views and stretches below `MIN_LENGTH_S` left out."""
    sources = []
    for clip in clips:
        if CEILING in clip.path.stem:
            continue
        falls = [fall.descent for fall in clip.fall_intervals]
        source = single_person_stretch(clip.path.stem, cache.poses(clip.path), falls[0] if falls else None)
        if source is not None and (source.fall is not None) == bool(falls):
            sources.append(source)
    return sources


def single_person_stretch(name: str, poses: PoseSequence, fall: tuple[float, float] | None) -> Source | None:
    """Return the longest stretch with exactly one person; in a clip with a fall, the one around it. None without one.

    Args:
        name: of the clip.
        poses: of the clip.
        fall: start and end of the descent in seconds, or None.
    """
    frames, rows = _single_person_rows(poses)
    if len(frames) < 2:
        return None
    time_s, boxes = poses.time_s[frames], poses.boxes[rows]
    size = np.maximum(*(boxes[:, 2:] - boxes[:, :2]).T)
    step = np.linalg.norm(np.diff((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0), axis=1)
    breaks = np.flatnonzero((np.diff(time_s) > MAX_GAP_S) | (step > MAX_STEP * size[1:])) + 1
    stretches = np.split(np.arange(len(frames)), breaks)
    if fall is not None:
        first_s, last_s = fall[0] - FALL_MARGIN_S, fall[1] + FALL_MARGIN_S
        stretches = [each for each in stretches if time_s[each[0]] <= first_s and time_s[each[-1]] >= last_s]
    chosen = max(stretches, key=len, default=None)
    if chosen is None or time_s[chosen[-1]] - time_s[chosen[0]] < MIN_LENGTH_S:
        return None
    start_s, rows = time_s[chosen[0]], rows[chosen]
    corners = boxes[chosen].reshape(-1, 2, 2)
    origin = np.median(corners.mean(axis=1), axis=0)
    if fall is not None:
        origin = corners[np.searchsorted(time_s[chosen], fall[0])].mean(axis=0)
        fall = (fall[0] - start_s, fall[1] - start_s)
    unit = float(np.percentile(size[chosen], 90))
    points = (np.concatenate([poses.keypoints[rows], corners], axis=1) - origin) / unit
    return Source(name, time_s[chosen] - start_s, points, poses.scores[rows], poses.box_scores[rows], fall)


def _single_person_rows(poses: PoseSequence) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames (F,) with exactly one person, and the person's row (F,) in the arrays of `poses`."""
    frames, rows = [], []
    stops = np.cumsum(poses.counts)
    for index, (stop, count) in enumerate(zip(stops, poses.counts, strict=True)):
        scores = poses.box_scores[stop - count : stop]
        if count > 0 and scores.max() >= MIN_PERSON_SCORE and (scores >= MIN_OTHER_SCORE).sum() == 1:
            frames.append(index)
            rows.append(stop - count + int(np.argmax(scores)))
    return np.array(frames, np.int64), np.array(rows, np.int64)
