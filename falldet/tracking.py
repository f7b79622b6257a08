"""Pose-matching tracking: who is who from frame to frame, by the likeness of whole poses.

A falling person's box goes from tall to wide within half a second, which breaks trackers that compare boxes. Here the
box is first made square (its longer side x 1.25, the reference project's matching box), which a fall hardly changes,
and poses are compared joint by joint with object keypoint similarity around the place where they are expected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from falldet.geometry import box_area, box_iou, object_keypoint_similarity, square_boxes
from falldet.types import NO_TRACK, People


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Numbers of the tracker.

    Attributes:
        gate_iou: squares that overlap less can't be the same person.
        pose_weight: share of pose likeness in the score of a pair, the rest is the squares' overlap.
        square_scale: how much larger than the longer side of the box the square is.
        birth_frames: a track gets its number after this many observations.
        birth_score: only people with at least this score found a track; weaker ones can continue one.
        memory_s: how long a person may be out of sight and still get the number back.
        duplicate_similarity: two poses in one frame that are more alike than this are one person.
        velocity_memory_s: time constant of the smoothed motion used for prediction.
    """

    matching: Literal["pose", "reference"] = "pose"
    gate_iou: float = 0.1
    pose_weight: float = 0.5
    square_scale: float = 1.25
    birth_frames: int = 3
    birth_score: float = 0.15
    memory_s: float = 1.5
    duplicate_similarity: float = 0.7
    velocity_memory_s: float = 0.2

    def __post_init__(self) -> None:
        """Raise ValueError where a size or a time constant is not above 0."""
        for name in ("square_scale", "velocity_memory_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)} must be above 0")


@dataclass(slots=True)
class _Track:
    track_id: int
    keypoints: np.ndarray  # (K, 2)
    scores: np.ndarray  # (K,)
    box: np.ndarray  # (4,)
    velocity: np.ndarray  # (2,) pixels per second, of the whole person
    seen_s: float
    observations: int = 1


class PoseTracker:
    """Gives every person a number that stays, frame by frame; memory is bounded by the people in sight lately."""

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self.reset()

    def reset(self) -> None:
        """Forget everybody and count from 1 again."""
        self._tracks: list[_Track] = []
        self._last_id = 0

    def update(self, people: People, time_s: float) -> People:
        """Return the same people, in the same order, with track ids.

        Args:
            people: everybody in the frame.
            time_s: time of the frame; gaps may be irregular.
        """
        settings = self.settings
        self._tracks = [t for t in self._tracks if time_s - t.seen_s <= self._memory_s(t)]
        single = self._without_duplicates(people)  # rows of people
        rows, tracks = self._match(people, single, time_s)
        track_ids = np.full(len(people), NO_TRACK)
        for row, track in zip(rows, tracks, strict=True):
            self._observe(track, people, row, time_s)
            if track.track_id == NO_TRACK and track.observations >= settings.birth_frames:
                self._last_id += 1
                track.track_id = self._last_id
            track_ids[row] = track.track_id
        for row in np.setdiff1d(single, rows):
            if people.box_scores[row] >= settings.birth_score:
                self._tracks.append(self._born(people, row, time_s))
        return people.with_track_ids(track_ids)

    def _memory_s(self, track: _Track) -> float:
        """Unconfirmed people are forgotten five times as fast."""
        return self.settings.memory_s if track.track_id != NO_TRACK else self.settings.memory_s / 5

    def _without_duplicates(self, people: People) -> np.ndarray:
        """Return the rows of people, the surer one of two who are alike."""
        order = np.argsort(-people.box_scores, kind="stable")
        weights = np.sqrt(people.scores[:, None] * people.scores[None])
        alike = object_keypoint_similarity(people.keypoints, people.keypoints, weights, box_area(people.boxes))
        kept: list[int] = []
        for row in order:
            if all(alike[other, row] < self.settings.duplicate_similarity for other in kept):
                kept.append(int(row))
        return np.array(sorted(kept), dtype=np.int64)

    def _match(self, people: People, single: np.ndarray, time_s: float) -> tuple[list[int], list[_Track]]:
        if not self._tracks or not len(single):
            return [], []
        shift = np.stack([self._expected_shift(track, time_s) for track in self._tracks])  # (M, 2)
        keypoints = np.stack([track.keypoints for track in self._tracks]) + shift[:, None]
        boxes = np.stack([track.box for track in self._tracks]) + np.tile(shift, 2)
        seen = people[single]
        scale = self.settings.square_scale
        squares = square_boxes(boxes, scale)
        overlap = box_iou(squares, square_boxes(seen.boxes, scale))  # (M, N)
        track_scores = np.stack([track.scores for track in self._tracks])
        weights = np.sqrt(track_scores[:, None] * seen.scores[None])  # (M, N, K)
        alike = object_keypoint_similarity(keypoints, seen.keypoints, weights, box_area(squares))
        similarity = self.settings.pose_weight * alike + (1 - self.settings.pose_weight) * overlap
        similarity[overlap < self.settings.gate_iou] = 0
        track_rows, seen_rows = linear_sum_assignment(-similarity)
        good = similarity[track_rows, seen_rows] > 0
        return [int(r) for r in single[seen_rows[good]]], [self._tracks[i] for i in track_rows[good]]

    def _expected_shift(self, track: _Track, time_s: float) -> np.ndarray:
        """Return how far (2,) the person has probably moved: the smoothed motion, dying away within a memory."""
        gap_s, memory_s = time_s - track.seen_s, 2 * self.settings.velocity_memory_s
        return track.velocity * memory_s * (1 - np.exp(-gap_s / memory_s))

    def _observe(self, track: _Track, people: People, row: int, time_s: float) -> None:
        gap_s = max(time_s - track.seen_s, 1e-3)
        both = (track.scores > 0) & (people.scores[row] > 0)
        if both.any():
            step = np.median(people.keypoints[row][both] - track.keypoints[both], axis=0)
            gain = 1 - np.exp(-gap_s / self.settings.velocity_memory_s)
            track.velocity = track.velocity + gain * (step / gap_s - track.velocity)
        track.keypoints, track.scores = people.keypoints[row], people.scores[row]
        track.box, track.seen_s = people.boxes[row], time_s
        track.observations += 1

    def _born(self, people: People, row: int, time_s: float) -> _Track:
        track_id = NO_TRACK
        if self.settings.birth_frames <= 1:
            self._last_id += 1
            track_id = self._last_id
        return _Track(
            track_id, people.keypoints[row], people.scores[row], people.boxes[row], np.zeros(2, np.float32), time_s
        )
