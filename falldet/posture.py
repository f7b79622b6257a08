"""How much a pose looks like lying, from one frame: what confirms a fall and what ends one."""

from __future__ import annotations

import numpy as np

from falldet.geometry import keypoint_boxes
from falldet.skeleton import HIPS, SHOULDERS

WIDE_RATIO = 1.0
"""Width over height of the joints' box from which a person counts as lying whatever the torso does."""


def lying_degree(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return how much each person (N,) lies, from 0 (upright) to 1 (torso level and body wider than high).

    The mean of two cues: the torso's angle to the vertical, as a share of 90 degrees, and the width of the joints'
    box over its height, as a share of `WIDE_RATIO`. Bending over levels the torso but leaves the body high, squatting
    makes it low but leaves the torso upright, so neither reaches 1. Without shoulders or hips the width decides.

    Args:
        keypoints: (N, K, 2) pixels.
        scores: (N, K), 0 for a missing joint.
    """
    boxes = keypoint_boxes(keypoints, scores)
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    wide = np.clip(width / np.maximum(height, 1) / WIDE_RATIO, 0, 1)
    shoulders, shoulders_seen = _middle(keypoints, scores, SHOULDERS)
    hips, hips_seen = _middle(keypoints, scores, HIPS)
    across, down = np.abs(hips - shoulders).T
    tilt = np.arctan2(across, np.maximum(down, 1e-3)) / (np.pi / 2)
    return np.where(shoulders_seen & hips_seen, (wide + tilt) / 2, wide)


def _middle(keypoints: np.ndarray, scores: np.ndarray, joints: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean place (N, 2) of the seen ones of `joints`, and whether any was seen (N,)."""
    seen = (scores[:, joints] > 0)[..., None]
    count = seen.sum(axis=1)
    middle = (keypoints[:, joints] * seen).sum(axis=1) / np.maximum(count, 1)
    return middle, count[:, 0] > 0
