"""Top-down pose source: a detector finds people, a pose network estimates the joints of each.

COCO detectors lose most people who lie on the floor, and take more time than the pose of one person. So the detector
runs on every `det_interval`-th image. In between, and where it misses a person, the box around the person's joints of
the last image is used, as long as the pose network is confident of the joints.
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
"""Joint score above which a joint counts for the box of the next image."""

JOINT_BOX_SCALE = 1.2
"""Side of a person's box over the side of the box around the joints: head, hands and feet extend beyond them."""

MIN_JOINTS = 4
"""Confident joints from which the box of the next image is the one around them."""


@dataclass(frozen=True, slots=True)
class TopDownSettings:
    """Settings of the top-down pose source.

    Attributes:
        engine: "openvino" runs networks exported on first use, "torch" MMDetection's and MMPose's own inference.
        precision: "f32" gives torch's numbers, "fastest" is the device's best, "int8" needs tools/export.py --int8.
        det_interval: images from one detection to the next; without people 1. Higher: faster, people found later.
        same_person_overlap: overlap [0, 1] of the smaller box from which two boxes are one person. Higher: duplicates.
        duplicate_similarity: pose similarity [0, 1] from which two poses are one person. Higher: more duplicates.
        max_undetected_frames: images for which an undetected person is kept. Higher: more false people.
        min_person_score: mean joint score [0, 1] below which a person is dropped. Higher: fewer false and weak people.
        min_joint_score: joint score [0, 1] below which a joint is missing. Higher: fewer but more exact joints.
        max_people: most people per image, those with the highest scores. Higher: slower with many people.
        threads: processor threads for inference; 0 lets OpenVINO choose. Higher: faster, fewer cores for other stages.
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
        """Raise ValueError if a count is too low or the engine has no such precision."""
        if self.det_interval < 1 or self.max_people < 1 or self.max_undetected_frames < 0:
            raise ValueError("det_interval and max_people must be at least 1, max_undetected_frames at least 0")
        if self.precision == "int8" and self.engine != "openvino":
            raise ValueError("precision = 'int8' needs engine = 'openvino'")


class TopDown:
    """Detector and pose network as a pose source of one video or camera; carries the boxes of the last image.

    Example:
        >>> people = TopDown(YoloxDetector(detector_path), CropPoseEstimator(pose_path)).submit(image).result()

    Args:
        detector: person detector.
        estimator: pose network.
        settings: see `TopDownSettings`.
    """

    max_in_flight = 1

    def __init__(self, detector: Detector, estimator: PoseEstimator, settings: TopDownSettings | None = None) -> None:
        self.settings = settings or TopDownSettings()
        self.detector, self.estimator = detector, estimator
        self.reset()

    def reset(self) -> None:
        """Forget the people of the last image: the next one is of another video or camera."""
        self._images = 0
        self._boxes, self._scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)  # of the last image
        self._undetected = np.zeros(0, np.int64)  # images since each person's last detection

    def submit(self, image: np.ndarray) -> Future[People]:
        """Estimate the people in `image` (H, W, 3) uint8 BGR in the calling thread; the future is done."""
        return completed(self._estimate(image))

    def _estimate(self, image: np.ndarray) -> People:
        """Return the people in `image`; joints below the minimum score are zeroed."""
        boxes, box_scores, undetected = self._person_boxes(image)
        keypoints, scores = self.estimator(image, boxes)
        kept = self._confident_people(keypoints, scores, boxes)
        keypoints, scores, boxes = keypoints[kept], scores[kept].clip(0, 1), boxes[kept]
        self._scores, self._undetected = box_scores[kept], undetected[kept]
        self._boxes = _next_boxes(keypoints, scores, boxes, image.shape[:2])
        scores = np.where(scores >= self.settings.min_joint_score, scores, 0)
        keypoints = np.where(scores[..., None] > 0, keypoints, 0)
        people_boxes = np.where((self._undetected > 0)[:, None], self._boxes, boxes)
        return People(keypoints, scores, people_boxes, self._scores.clip(0, 1))

    def _person_boxes(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return boxes (N, 4), scores (N,) and images since detection (N,) of detected, then of undetected people."""
        detect = self._images % self.settings.det_interval == 0 or not len(self._boxes)
        self._images += 1
        undetected = self._undetected + 1
        if not detect:
            return self._boxes, self._scores, undetected
        boxes, scores = self.detector(image)
        kept = undetected <= self.settings.max_undetected_frames
        if len(boxes) and len(self._boxes):
            kept &= box_containment(self._boxes, boxes).max(axis=1) <= self.settings.same_person_overlap
        boxes = np.concatenate([boxes, self._boxes[kept]])
        scores = np.concatenate([scores, self._scores[kept]])
        counts = np.concatenate([np.zeros(len(boxes) - kept.sum(), np.int64), undetected[kept]])
        best = np.sort(np.argsort(-scores, kind="stable")[: self.settings.max_people])
        return boxes[best], scores[best], counts[best]

    def _confident_people(self, keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Return the rows of people with a sufficient score, without duplicates; of duplicates the first is kept."""
        confident = scores.mean(axis=1) >= self.settings.min_person_score
        weights = np.sqrt(np.clip(scores[:, None] * scores[None], 0, 1))
        similarity = object_keypoint_similarity(keypoints, keypoints, weights, box_area(boxes))
        kept: list[int] = []
        for row in np.flatnonzero(confident):
            if all(similarity[other, row] < self.settings.duplicate_similarity for other in kept):
                kept.append(int(row))
        return np.array(kept, np.int64)


def _next_boxes(keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray, image_hw: tuple[int, ...]) -> np.ndarray:
    """Return the boxes (N, 4) for the next image: around the confident joints, or `boxes` (N, 4) unchanged.

    A box is unchanged if fewer than `MIN_JOINTS` joints are confident, or if its longer side would be less than half or
    more than twice as long.
    """
    around = keypoint_boxes(keypoints, scores, CONFIDENT_JOINT)
    centers, halves = (around[:, :2] + around[:, 2:]) / 2, (around[:, 2:] - around[:, :2]) / 2 * JOINT_BOX_SCALE
    grown = np.concatenate([centers - halves, centers + halves], axis=1)
    grown = grown.clip(0, np.tile(np.array(image_hw[1::-1], np.float32), 2))
    replaced = (scores > CONFIDENT_JOINT).sum(axis=1) >= MIN_JOINTS
    growth = (grown[:, 2:] - grown[:, :2]).max(axis=1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1), 1)
    replaced &= (grown[:, 2:] > grown[:, :2]).all(axis=1) & (growth > 0.5) & (growth < 2)
    return np.where(replaced[:, None], grown, boxes).astype(np.float32)
