"""Pose-matching tracking: who is who from frame to frame, by the likeness of whole poses.

A falling person's box goes from tall to wide within half a second, which breaks trackers that compare boxes. Here the
box is first made square (its longer side x 1.25, the reference project's matching box), which a fall hardly changes,
and poses are compared joint by joint with object keypoint similarity around the place where they are expected. What is
impossible is ruled out before people and tracks are paired, all at once, so that the likenesses add up to the most.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from falldet.geometry import box_area, box_iou, object_keypoint_similarity, square_boxes
from falldet.types import NO_TRACK, People

VELOCITY_MIN_HITS = 3
"""From so many observations on a person's smoothed motion says something."""


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Numbers of the tracker; research/tracking/compare.py measures them.

    Attributes:
        matching: "pose", or "reference": as in the reference project's demo each square box takes the pose whose square
            overlaps it most, also one that another took, and whoever is out of sight for a frame is forgotten. The
            latter uses no other number here but `box_scale`.
        min_iou: squares that overlap less can't be the same person.
        pose_weight: share of pose likeness in the score of a pair, the rest is the squares' overlap.
        box_scale: how much larger than the longer side of the box the square is.
        min_hits: a track gets its number after this many observations.
        new_track_threshold: only people with at least this score found a track; weaker ones can continue one.
        max_lost_s: how long a person may be out of sight and still get the number back.
        lost_decay_s: time constant with which the likeness to somebody unseen counts less.
        duplicate_similarity: two poses in one frame that are more alike than this are one person.
        velocity_memory_s: time constant of the smoothed motion used for prediction.
        coast_s: time constant with which the motion of somebody unseen dies away.
        reassoc_radius: a new track within this distance of somebody out of sight, in lengths of the longer side of their
            box, gets their number,
        reassoc_speed: and this much farther away for every second since.
        reassoc_max_ratio: but not where one is this many times as large as the other.
    """

    matching: Literal["pose", "reference"] = "pose"
    min_iou: float = 0.2
    pose_weight: float = 0.75
    box_scale: float = 1.25
    min_hits: int = 2
    new_track_threshold: float = 0.15
    max_lost_s: float = 3.0
    lost_decay_s: float = 1.0
    duplicate_similarity: float = 0.6
    velocity_memory_s: float = 0.1
    coast_s: float = 1.0
    reassoc_radius: float = 0.8
    reassoc_speed: float = 0.5
    reassoc_max_ratio: float = 1.5

    def __post_init__(self) -> None:
        """Raise ValueError where a size or a time constant is not above 0."""
        for name in ("box_scale", "velocity_memory_s", "coast_s", "lost_decay_s", "reassoc_max_ratio"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)} must be above 0")


@dataclass(slots=True)
class _Tracks:
    """M people as they were last seen."""

    ids: np.ndarray  # (M,) int64, NO_TRACK for who is not confirmed yet
    keypoints: np.ndarray  # (M, K, 2)
    scores: np.ndarray  # (M, K)
    boxes: np.ndarray  # (M, 4)
    velocity: np.ndarray  # (M, 2) pixels per second, of the whole person
    seen_s: np.ndarray  # (M,) float64
    observations: np.ndarray  # (M,) int64

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def born(cls, people: People, rows: np.ndarray, time_s: float) -> _Tracks:
        """Return tracks of the people in these rows, seen for the first time."""
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

    def keep(self, chosen: np.ndarray) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[chosen])

    def add(self, other: _Tracks) -> None:
        for field in fields(self):
            mine, others = getattr(self, field.name), getattr(other, field.name)
            setattr(self, field.name, np.concatenate([mine, others]) if len(mine) else others)

    def observe(self, tracks: np.ndarray, people: People, rows: np.ndarray, time_s: float, smoothing_s: float) -> None:
        """Move these tracks to where the people of `rows` are; their velocity is smoothed over `smoothing_s`."""
        gap_s = np.maximum(time_s - self.seen_s[tracks], 1e-3)[:, None]
        both = (self.scores[tracks] > 0) & (people.scores[rows] > 0)  # (P, K)
        moved = _median_where(people.keypoints[rows] - self.keypoints[tracks], both)
        before = self.velocity[tracks]
        gain = np.where(both.any(axis=1), 1 - np.exp(-gap_s[:, 0] / smoothing_s), 0)[:, None]
        self.velocity[tracks] = before + gain * (moved / gap_s - before)
        self.keypoints[tracks], self.scores[tracks] = people.keypoints[rows], people.scores[rows]
        self.boxes[tracks], self.seen_s[tracks] = people.boxes[rows], time_s
        self.observations[tracks] += 1


class PoseTracker:
    """Gives every person a number that stays, frame by frame; memory is bounded by the people in sight lately."""

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self.reset()

    def reset(self) -> None:
        """Forget everybody and count from 1 again."""
        self._tracks = _Tracks.born(People.none(), np.zeros(0, np.int64), 0.0)
        self._last_id = 0

    def update(self, people: People, time_s: float) -> People:
        """Return the same people, in the same order, with track ids.

        Args:
            people: everybody in the frame.
            time_s: time of the frame; gaps may be irregular.
        """
        settings = self.settings
        if settings.matching == "reference":
            return people.with_track_ids(self._as_reference(people, time_s))
        tracks = self._tracks
        forgotten_s = np.where(tracks.ids != NO_TRACK, settings.max_lost_s, settings.max_lost_s / 5)
        remembered = time_s - tracks.seen_s <= forgotten_s
        if not remembered.all():
            tracks.keep(remembered)
        single = self._without_duplicates(people)  # rows of people
        places, rows = self._match(people, single, time_s)
        if len(places):
            tracks.observe(places, people, rows, time_s, settings.velocity_memory_s)
        born = single[~np.isin(single, rows)] if len(rows) < len(single) else rows[:0]
        born = born[people.box_scores[born] >= settings.new_track_threshold]
        if len(born):
            places = np.concatenate([places, len(tracks) + np.arange(len(born))])
            rows = np.concatenate([rows, born])
            tracks.add(_Tracks.born(people, born, time_s))
        for place in places[(tracks.ids[places] == NO_TRACK) & (tracks.observations[places] >= settings.min_hits)]:
            self._name(place, time_s)
        track_ids = np.full(len(people), NO_TRACK)
        track_ids[rows] = tracks.ids[places]
        return people.with_track_ids(track_ids)

    def speed(self, time_s: float) -> float | None:
        """Return the speed of the quickest person seen at `time_s`, in longer sides of their box a second.

        It is infinite while somebody is new and may move at any speed, and None where nobody was seen.
        """
        tracks, here = self._tracks, self._tracks.seen_s == time_s
        if not here.any():
            return None
        sides = np.maximum((tracks.boxes[here, 2:] - tracks.boxes[here, :2]).max(axis=1), 1)
        speeds = np.linalg.norm(tracks.velocity[here], axis=1) / sides
        return float(np.where(tracks.observations[here] < VELOCITY_MIN_HITS, np.inf, speeds).max())

    def _name(self, place: int, time_s: float) -> None:
        """Give a track its number: that of the nearest person out of sight who may have come here, or a new one."""
        tracks = self._tracks
        gap_s = time_s - tracks.seen_s
        sides = np.maximum((tracks.boxes[:, 2:] - tracks.boxes[:, :2]).max(axis=1), 1)
        centers = (tracks.boxes[:, :2] + tracks.boxes[:, 2:]) / 2
        away = np.linalg.norm(centers - centers[place], axis=1) / sides
        alike = np.abs(np.log(sides / sides[place])) <= np.log(self.settings.reassoc_max_ratio)
        lost = (tracks.ids != NO_TRACK) & (gap_s > 0) & alike
        away = np.where(
            lost & (away <= self.settings.reassoc_radius + self.settings.reassoc_speed * gap_s), away, np.inf
        )
        nearest = int(away.argmin())
        if np.isfinite(away[nearest]):
            tracks.ids[place], tracks.ids[nearest] = tracks.ids[nearest], NO_TRACK
            tracks.seen_s[nearest] -= self.settings.max_lost_s  # gone with the next frame
        else:
            self._last_id += 1
            tracks.ids[place] = self._last_id

    def _without_duplicates(self, people: People) -> np.ndarray:
        """Return the rows of people, the surer one of two who are alike."""
        if len(people) < 2:
            return np.arange(len(people))
        weights = np.sqrt(people.scores[:, None] * people.scores[None])
        similarity = object_keypoint_similarity(people.keypoints, people.keypoints, weights, box_area(people.boxes))
        alike = similarity >= self.settings.duplicate_similarity
        kept: list[int] = []
        for row in np.argsort(-people.box_scores, kind="stable"):
            if not alike[kept, row].any():
                kept.append(int(row))
        return np.array(sorted(kept), dtype=np.int64)

    def _match(self, people: People, single: np.ndarray, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return which tracks (P,) go on with which rows (P,) of people."""
        if not len(self._tracks) or not len(single):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        score = self._score(people, single, time_s)
        places, found = linear_sum_assignment(-score)
        good = score[places, found] > 0
        return places[good], single[found[good]]

    def _score(self, people: People, single: np.ndarray, time_s: float) -> np.ndarray:
        """Return how well each track fits each person (M, N), 0 where it can't be."""
        settings, tracks = self.settings, self._tracks
        gap_s = time_s - tracks.seen_s  # (M,)
        coasted_s = settings.coast_s * (1 - np.exp(-gap_s / settings.coast_s))
        shift = (tracks.velocity * coasted_s[:, None]).astype(np.float32)
        squares = square_boxes(tracks.boxes + np.tile(shift, 2), settings.box_scale)
        overlap = box_iou(squares, square_boxes(people.boxes[single], settings.box_scale))
        weights = np.sqrt(tracks.scores[:, None] * people.scores[single])  # (M, N, K)
        keypoints = tracks.keypoints + shift[:, None]
        alike = object_keypoint_similarity(keypoints, people.keypoints[single], weights, box_area(squares))
        score = settings.pose_weight * alike + (1 - settings.pose_weight) * overlap
        score *= np.exp(-gap_s / settings.lost_decay_s)[:, None]
        return np.where(overlap >= settings.min_iou, score, 0)

    def _as_reference(self, people: People, time_s: float) -> np.ndarray:
        """Return the track ids (N,) by the reference project's matching, with the box's number for the pose it took."""
        tracks, scale = self._tracks, self.settings.box_scale
        track_ids = np.full(len(people), NO_TRACK)
        overlap = box_iou(square_boxes(tracks.boxes, scale), square_boxes(people.boxes, scale))
        if overlap.size:
            taken = overlap.argmax(axis=1)  # each box takes a pose, two may take the same
            best = overlap.max(axis=1)
            for place in np.argsort(best, kind="stable"):  # the better one last
                if best[place] > 0:
                    track_ids[taken[place]] = tracks.ids[place]
        for row in np.flatnonzero(track_ids == NO_TRACK):
            self._last_id += 1
            track_ids[row] = self._last_id
        self._tracks = _Tracks.born(people, np.arange(len(people)), time_s)
        self._tracks.ids = track_ids
        return track_ids


def _median_where(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the medians (P, 2) of those of values (P, K, 2) that are chosen (P, K); 0 where none is."""
    count = chosen.sum(axis=1)
    ordered = np.sort(np.where(chosen[..., None], values, np.inf), axis=1)
    rows = np.arange(len(values))
    middle = (
        ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, np.minimum(count // 2, len(chosen.T) - 1)]
    ) / 2
    return np.where(count[:, None] > 0, middle, 0)
