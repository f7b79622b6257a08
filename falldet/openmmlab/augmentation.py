"""Augmentation of skeletons for training, in pixels, before they are normalized."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform


@TRANSFORMS.register_module()
class AugmentSkeleton(BaseTransform):
    """Rotate, stretch, jitter and thin out a skeleton, as other cameras and worse pose estimates would.

    Randomness comes from numpy's global generator, which MMEngine seeds.

    Required keys: keypoint (M, T, V, 2) pixels, keypoint_score (M, T, V).
    Modified keys: keypoint, keypoint_score.

    Args:
        tilt_degrees: largest rotation of the whole window, either way (a camera that is not level).
        stretch: largest factor on width over height, either way (a camera pitched down).
        jitter: standard deviation of the noise on each joint in each frame, relative to the person's size.
        drop_joint: share of joint observations that go missing, one by one.
        drop_limb: probability that one joint is missing in all frames.
        drop_frames: probability that up to a third of the frames repeat one pose (a person lost for a while).
    """

    def __init__(
        self,
        tilt_degrees: float = 10.0,
        stretch: float = 1.25,
        jitter: float = 0.01,
        drop_joint: float = 0.05,
        drop_limb: float = 0.2,
        drop_frames: float = 0.2,
    ) -> None:
        self.tilt_degrees, self.stretch, self.jitter = tilt_degrees, stretch, jitter
        self.drop_joint, self.drop_limb, self.drop_frames = drop_joint, drop_limb, drop_frames

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace keypoints and scores by augmented copies; missing joints stay at (0, 0)."""
        random = np.random
        keypoints, scores = results["keypoint"].copy(), results["keypoint_score"].copy()
        visible = scores > 0
        if not visible.any():
            return results
        low, high = keypoints[visible].min(axis=0), keypoints[visible].max(axis=0)
        size = float((high - low).max())
        keypoints = (keypoints - (low + high) / 2) @ self._distortion(random).T + (low + high) / 2
        keypoints = keypoints + random.normal(0, self.jitter * size, keypoints.shape)
        scores[random.random(scores.shape) < self.drop_joint] = 0
        if random.random() < self.drop_limb:
            scores[:, :, random.randint(scores.shape[2])] = 0
        if random.random() < self.drop_frames:
            keypoints, scores = self._freeze(random, keypoints, scores)
        results["keypoint"] = np.where(scores[..., None] > 0, keypoints, 0).astype(np.float32)
        results["keypoint_score"] = scores
        return results

    def _distortion(self, random: Any) -> np.ndarray:
        """Return the matrix (2, 2) of a random rotation and stretch."""
        angle = np.deg2rad(random.uniform(-self.tilt_degrees, self.tilt_degrees))
        wider = np.exp(random.uniform(-1, 1) * np.log(self.stretch) / 2)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return rotation @ np.diag([wider, 1 / wider])

    @staticmethod
    def _freeze(random: Any, keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both with a random span of frames replaced by the first one of the span."""
        frames = keypoints.shape[1]
        length = random.randint(1, frames // 3 + 1)
        start = random.randint(frames - length + 1)
        source = np.arange(frames)
        source[start : start + length] = start
        return keypoints[:, source], scores[:, source]
