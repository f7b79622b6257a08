"""A pose source of two networks: a detector finds people, a pose network takes the joints of each.

COCO detectors lose most people who lie on the floor, and cost more than the poses of one person. So a person once
detected is followed by the box around the joints of the last picture, between two looks of the detector and also when
the detector no longer knows a person there, for as long as the pose network is sure of the joints.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

import numpy as np

from falldet.geometry import box_area, box_containment, keypoint_boxes, object_keypoint_similarity
from falldet.models.openvino import Precision
from falldet.pose.detector import Detector
from falldet.pose.estimator import PoseEstimator
from falldet.pose.source import completed
from falldet.types import People

CONFIDENT_JOINT = 0.3
"""Joints with a lower score don't shape the box in which a person is looked for next."""

JOINT_BOX_SCALE = 1.2
"""How much larger a person is than the box around the joints: head, hands and feet go beyond them."""

FEWEST_JOINTS = 4


@dataclass(frozen=True, slots=True)
class TopDownSettings:
    """Settings of the pose source of two networks.

    Attributes:
        engine: "openvino" runs networks exported on first use, "torch" MMDetection's and MMPose's own inference.
        precision: of OpenVINO; "f32" gives torch's numbers, "fastest" what the device is best at, "int8" runs networks
            that tools/export.py --int8 has made; research/speed/int8.py says how far theirs are from f32.
        det_interval: pictures from one look of the detector to the next; between them people are followed. With
            nobody to follow it looks at every picture.
        same_person_overlap: a followed box is a detected person's own where they share more than this part of the
            smaller of both; in a fall the two differ much in shape.
        duplicate_similarity: two poses more alike than this are one person.
        max_undetected_frames: how many pictures a person is followed at most without being detected.
        min_person_score: people whose mean joint score is below it are dropped, and no longer followed.
        min_joint_score: joints below it count as missing.
        max_people: at most so many people, the surest, go through the pose network.
        threads: processor threads for inference; 0 lets OpenVINO choose.
    """

    engine: Literal["openvino", "torch"] = "openvino"
    precision: Precision = "fastest"
    det_interval: int = 2
    same_person_overlap: float = 0.5
    duplicate_similarity: float = 0.7
    max_undetected_frames: int = 300
    min_person_score: float = 0.1
    min_joint_score: float = 0.05
    max_people: int = 10
    threads: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError where a count is too low or the engine has no such precision."""
        if self.det_interval < 1 or self.max_people < 1 or self.max_undetected_frames < 0:
            raise ValueError("det_interval and max_people must be at least 1, max_undetected_frames at least 0")
        if self.precision == "int8" and self.engine != "openvino":
            raise ValueError("precision = 'int8' needs engine = 'openvino'")


class TopDown:
    """Detector and pose network as a pose source: image in, people out. Remembers the people of the last picture.

    Args:
        detector: finds people.
        estimator: finds the joints of people whose boxes are known.
        settings: see `TopDownSettings`.
    """

    max_in_flight = 1

    def __init__(self, detector: Detector, estimator: PoseEstimator, settings: TopDownSettings | None = None) -> None:
        self.settings = settings or TopDownSettings()
        self.detector, self.estimator = detector, estimator
        self.reset()

    def reset(self) -> None:
        """Forget everybody: the next picture is of another source."""
        self._pictures = 0
        self._boxes, self._scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        self._undetected = np.zeros(0, np.int64)  # pictures since each person was last detected

    def submit(self, image: np.ndarray) -> Future[People]:
        """Return the people in `image` (H, W, 3) uint8 BGR, estimated before this returns."""
        return completed(self._estimate(image))

    def _estimate(self, image: np.ndarray) -> People:
        """Return the people in `image`; joints below the minimum score are zeroed."""
        boxes, box_scores, undetected = self._places(image)
        keypoints, scores = self.estimator(image, boxes)
        kept = self._real_people(keypoints, scores, boxes)
        keypoints, scores, boxes = keypoints[kept], scores[kept].clip(0, 1), boxes[kept]
        self._scores, self._undetected = box_scores[kept], undetected[kept]
        self._boxes = _next_boxes(keypoints, scores, boxes, image.shape[:2])
        scores = np.where(scores >= self.settings.min_joint_score, scores, 0)
        keypoints = np.where(scores[..., None] > 0, keypoints, 0)
        people_boxes = np.where((self._undetected > 0)[:, None], self._boxes, boxes)
        return People(keypoints, scores, people_boxes, self._scores.clip(0, 1))

    def _places(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return boxes (N, 4), scores (N,) and pictures without detection (N,) of detected, then of followed people."""
        look = self._pictures % self.settings.det_interval == 0 or not len(self._boxes)
        self._pictures += 1
        undetected = self._undetected + 1
        if not look:
            return self._boxes, self._scores, undetected
        boxes, scores = self.detector(image)
        alone = undetected <= self.settings.max_undetected_frames
        if len(boxes) and len(self._boxes):
            alone &= box_containment(self._boxes, boxes).max(axis=1) <= self.settings.same_person_overlap
        boxes = np.concatenate([boxes, self._boxes[alone]])
        scores = np.concatenate([scores, self._scores[alone]])
        counts = np.concatenate([np.zeros(len(boxes) - alone.sum(), np.int64), undetected[alone]])
        best = np.sort(np.argsort(-scores, kind="stable")[: self.settings.max_people])
        return boxes[best], scores[best], counts[best]

    def _real_people(self, keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Return the rows of people of whom the pose network is sure, each person once, the detected before others."""
        sure = scores.mean(axis=1) >= self.settings.min_person_score
        weights = np.sqrt(np.clip(scores[:, None] * scores[None], 0, 1))
        alike = object_keypoint_similarity(keypoints, keypoints, weights, box_area(boxes))
        kept: list[int] = []
        for row in np.flatnonzero(sure):
            if all(alike[other, row] < self.settings.duplicate_similarity for other in kept):
                kept.append(int(row))
        return np.array(kept, np.int64)


def _next_boxes(keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray, image_hw: tuple[int, ...]) -> np.ndarray:
    """Return where to look for the people next: around their sure joints, or where they were.

    The latter where few joints are sure, or the box would suddenly be less than half or more than twice as large.
    """
    around = keypoint_boxes(keypoints, scores, CONFIDENT_JOINT)
    centers, halves = (around[:, :2] + around[:, 2:]) / 2, (around[:, 2:] - around[:, :2]) / 2 * JOINT_BOX_SCALE
    grown = np.concatenate([centers - halves, centers + halves], axis=1)
    grown = grown.clip(0, np.tile(np.array(image_hw[1::-1], np.float32), 2))
    enough = (scores > CONFIDENT_JOINT).sum(axis=1) >= FEWEST_JOINTS
    growth = (grown[:, 2:] - grown[:, :2]).max(axis=1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1), 1)
    enough &= (grown[:, 2:] > grown[:, :2]).all(axis=1) & (growth > 0.5) & (growth < 2)
    return np.where(enough[:, None], grown, boxes).astype(np.float32)
