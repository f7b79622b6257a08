"""Pose tracking: gives each person a track id by the similarity of whole poses from frame to frame.

A falling person's box turns from tall to wide within half a second, which breaks trackers that compare boxes. So boxes
are first made square (longer side x `box_scale`), which a fall changes little. Then poses are compared joint by joint
with object keypoint similarity at their predicted positions. Impossible pairs are excluded before the assignment, which
maximizes the sum of the pairs' scores.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import linear_sum_assignment

from falldet.geometry import box_area, box_iou, object_keypoint_similarity, square_boxes
from falldet.types import NO_TRACK, People

VELOCITY_MIN_HITS = 3
"""Observations from which a track's velocity is known."""

MIN_GAP_S = 1e-3
"""Shortest time between two observations, seconds, that a velocity is computed with."""


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Parameters of the tracker; research/tracking/compare.py measures them.

    Attributes:
        min_iou: lowest overlap (IoU) of the squares of a pair. Higher: fewer mix-ups, more lost tracks in fast motion.
        pose_weight: share [0, 1] of pose similarity in the score of a pair; the rest is IoU. Higher: shape counts more.
        box_scale: side of the square over the longer side of the box. Higher: wider search, more mix-ups.
        min_hits: observations from which a track is confirmed and has an id. Higher: fewer false tracks, later alerts.
        new_track_threshold: person score [0, 1] that starts a track. Higher: fewer false tracks, more misses.
        max_lost_s: seconds for which a lost track keeps its id. Higher: fewer id switches, more mix-ups.
        max_unconfirmed_s: seconds for which a lost track without an id is kept. Higher: more false tracks.
        lost_decay_s: decay time of the score of a lost track, seconds. Higher: fewer id switches, more mix-ups.
        duplicate_similarity: similarity [0, 1] from which two poses of a frame are one person. Higher: more duplicates.
        velocity_memory_s: time constant of the smoothed velocity, seconds. Higher: steadier, slower prediction.
        coast_s: decay time of the velocity of a lost track, seconds. Higher: longer extrapolation.
        reassoc_radius: distance, box lengths, within which a new track takes a lost one's id. Higher: more mix-ups.
        reassoc_speed: growth of `reassoc_radius` per second lost, box lengths. Higher: fewer id switches, more mix-ups.
        reassoc_max_ratio: largest ratio of the box lengths of the two tracks. Higher: fewer id switches, more mix-ups.
    """

    min_iou: float = 0.2
    pose_weight: float = 0.75
    box_scale: float = 1.25
    min_hits: int = 2
    new_track_threshold: float = 0.15
    max_lost_s: float = 3.0
    max_unconfirmed_s: float = 0.6
    lost_decay_s: float = 1.0
    duplicate_similarity: float = 0.6
    velocity_memory_s: float = 0.1
    coast_s: float = 1.0
    reassoc_radius: float = 0.8
    reassoc_speed: float = 0.5
    reassoc_max_ratio: float = 1.5

    def __post_init__(self) -> None:
        """Raise ValueError if a size or a time constant is not above 0."""
        for name in ("box_scale", "velocity_memory_s", "coast_s", "lost_decay_s", "reassoc_max_ratio"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)} must be above 0")


@dataclass(slots=True)
class _Tracks:
    """M tracks at their last observations."""

    ids: np.ndarray  # (M,) int64, NO_TRACK if unconfirmed
    keypoints: np.ndarray  # (M, K, 2) pixels
    scores: np.ndarray  # (M, K)
    boxes: np.ndarray  # (M, 4) x0 y0 x1 y1 in pixels
    velocity: np.ndarray  # (M, 2) pixels per second
    last_s: np.ndarray  # (M,) float64
    hits: np.ndarray  # (M,) int64, observations

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def start(cls, people: People, rows: np.ndarray, time_s: float) -> _Tracks:
        """Return new tracks of the people in `rows` (P,)."""
        count = len(rows)
        return cls(
            np.full(count, NO_TRACK),
            people.keypoints[rows],
            people.scores[rows],
            people.boxes[rows],
            np.zeros((count, 2), np.float32),
            np.full(count, time_s),
            np.ones(count, np.int64),
        )

    def keep(self, kept: np.ndarray) -> None:
        """Delete all tracks but those of the mask `kept` (M,)."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[kept])

    def add(self, others: _Tracks) -> None:
        """Append tracks."""
        for field in fields(self):
            own, other = getattr(self, field.name), getattr(others, field.name)
            setattr(self, field.name, np.concatenate([own, other]) if len(own) else other)

    def box_lengths(self) -> np.ndarray:
        """Return the longer sides (M,) of the boxes in pixels, at least 1."""
        return np.maximum((self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1), 1)

    def observe(self, tracks: np.ndarray, people: People, rows: np.ndarray, time_s: float, smoothing_s: float) -> None:
        """Update `tracks` (P,) with the people in `rows` (P,); the velocity is smoothed over `smoothing_s`."""
        gap_s = np.maximum(time_s - self.last_s[tracks], MIN_GAP_S)[:, None]
        both = (self.scores[tracks] > 0) & (people.scores[rows] > 0)  # (P, K)
        moved = _median_where(people.keypoints[rows] - self.keypoints[tracks], both)
        before = self.velocity[tracks]
        gain = np.where(both.any(axis=1), 1 - np.exp(-gap_s[:, 0] / smoothing_s), 0)[:, None]
        self.velocity[tracks] = before + gain * (moved / gap_s - before)
        self.keypoints[tracks], self.scores[tracks] = people.keypoints[rows], people.scores[rows]
        self.boxes[tracks], self.last_s[tracks] = people.boxes[rows], time_s
        self.hits[tracks] += 1


class PoseTracker:
    """Gives each person a track id, frame by frame; memory is bounded by the people observed within `max_lost_s`.

    Example:
        >>> tracker = PoseTracker()
        >>> for frame in read_frames("video.mp4"):
        ...     people = tracker.update(pose_source.submit(frame.image).result(), frame.time_s)
        ...     print(people.track_ids)

    Args:
        settings: see `TrackerSettings`.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; ids start from 1 again."""
        self._tracks = _Tracks.start(People.none(), np.zeros(0, np.int64), 0.0)
        self._last_id = 0

    def update(self, people: People, time_s: float) -> People:
        """Return the same people, in the same order, with track ids; `NO_TRACK` for unconfirmed tracks and duplicates.

        Args:
            people: the N people of the frame.
            time_s: time of the frame, seconds; gaps may be irregular.
        """
        settings, tracks = self.settings, self._tracks
        kept_s = np.where(tracks.ids != NO_TRACK, settings.max_lost_s, settings.max_unconfirmed_s)
        kept = time_s - tracks.last_s <= kept_s
        if not kept.all():
            tracks.keep(kept)
        unique = self._without_duplicates(people)
        matched, rows = self._match(people, unique, time_s)
        if len(matched):
            tracks.observe(matched, people, rows, time_s, settings.velocity_memory_s)
        new = unique[~np.isin(unique, rows)] if len(rows) < len(unique) else rows[:0]
        new = new[people.box_scores[new] >= settings.new_track_threshold]
        if len(new):
            matched = np.concatenate([matched, len(tracks) + np.arange(len(new))])
            rows = np.concatenate([rows, new])
            tracks.add(_Tracks.start(people, new, time_s))
        for track in matched[(tracks.ids[matched] == NO_TRACK) & (tracks.hits[matched] >= settings.min_hits)]:
            self._confirm(track, time_s)
        track_ids = np.full(len(people), NO_TRACK)
        track_ids[rows] = tracks.ids[matched]
        return people.with_track_ids(track_ids)

    def speed(self, time_s: float) -> float | None:
        """Return the speed of the fastest person observed at `time_s`, in box lengths (longer side) per second.

        It is infinite if a track is too new for a velocity, and None if no person was observed.
        """
        tracks = self._tracks
        observed = tracks.last_s == time_s
        if not observed.any():
            return None
        speeds = np.linalg.norm(tracks.velocity[observed], axis=1) / tracks.box_lengths()[observed]
        return float(np.where(tracks.hits[observed] < VELOCITY_MIN_HITS, np.inf, speeds).max())

    def _confirm(self, track: int, time_s: float) -> None:
        """Give a track an id: that of the nearest lost track that can be the same person, or a new one."""
        tracks, settings = self._tracks, self.settings
        gap_s = time_s - tracks.last_s
        lengths = tracks.box_lengths()
        centers = (tracks.boxes[:, :2] + tracks.boxes[:, 2:]) / 2
        distance = np.linalg.norm(centers - centers[track], axis=1) / lengths
        similar_size = np.abs(np.log(lengths / lengths[track])) <= np.log(settings.reassoc_max_ratio)
        lost = (tracks.ids != NO_TRACK) & (gap_s > 0) & similar_size
        in_reach = lost & (distance <= settings.reassoc_radius + settings.reassoc_speed * gap_s)
        distance = np.where(in_reach, distance, np.inf)
        nearest = int(distance.argmin())
        if np.isfinite(distance[nearest]):
            tracks.ids[track], tracks.ids[nearest] = tracks.ids[nearest], NO_TRACK
            tracks.last_s[nearest] -= settings.max_lost_s + settings.max_unconfirmed_s  # deleted by the next update
        else:
            self._last_id += 1
            tracks.ids[track] = self._last_id

    def _without_duplicates(self, people: People) -> np.ndarray:
        """Return the rows of people without duplicates, ascending: of similar poses the one with the highest score."""
        if len(people) < 2:
            return np.arange(len(people))
        weights = np.sqrt(people.scores[:, None] * people.scores[None])
        similarity = object_keypoint_similarity(people.keypoints, people.keypoints, weights, box_area(people.boxes))
        duplicate = similarity >= self.settings.duplicate_similarity
        kept: list[int] = []
        for row in np.argsort(-people.box_scores, kind="stable"):
            if not duplicate[kept, row].any():
                kept.append(int(row))
        return np.array(sorted(kept), dtype=np.int64)

    def _match(self, people: People, unique: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of the matched tracks (P,) and the rows (P,) of their people."""
        if not len(self._tracks) or not len(unique):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        scores = self._pair_scores(people, unique, time_s)
        tracks, columns = linear_sum_assignment(-scores)
        possible = scores[tracks, columns] > 0
        return tracks[possible], unique[columns[possible]]

    def _pair_scores(self, people: People, unique: np.ndarray, time_s: float) -> np.ndarray:
        """Return the score (M, N) of each pair of a track and a person of `unique` (N,); 0 if impossible."""
        settings, tracks = self.settings, self._tracks
        gap_s = time_s - tracks.last_s  # (M,)
        coasted_s = settings.coast_s * (1 - np.exp(-gap_s / settings.coast_s))
        shift = (tracks.velocity * coasted_s[:, None]).astype(np.float32)
        squares = square_boxes(tracks.boxes + np.tile(shift, 2), settings.box_scale)
        iou = box_iou(squares, square_boxes(people.boxes[unique], settings.box_scale))
        weights = np.sqrt(tracks.scores[:, None] * people.scores[unique])  # (M, N, K)
        keypoints = tracks.keypoints + shift[:, None]
        similarity = object_keypoint_similarity(keypoints, people.keypoints[unique], weights, box_area(squares))
        scores = settings.pose_weight * similarity + (1 - settings.pose_weight) * iou
        scores *= np.exp(-gap_s / settings.lost_decay_s)[:, None]
        return np.where(iou >= settings.min_iou, scores, 0)


def _median_where(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the medians (P, 2) of the `valid` (P, K) ones of `values` (P, K, 2); 0 without any."""
    count = valid.sum(axis=1)
    ordered = np.sort(np.where(valid[..., None], values, np.inf), axis=1)
    rows = np.arange(len(values))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(valid.T) - 1)
    middle = (ordered[rows, low] + ordered[rows, high]) / 2
    return np.where(count[:, None] > 0, middle, 0)
