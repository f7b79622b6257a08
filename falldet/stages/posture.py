"""How much a pose looks like lying, from one frame: what confirms a fall and what ends one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from falldet.geometry import keypoint_boxes
from falldet.skeleton import HIPS, SHOULDERS

WIDE_RATIO = 1.0
"""Width over height of the joints' box from which a person counts as lying whatever the torso does."""


EDGE_SHARE = 0.02
"""Joints nearer to the picture's edge than this share of its longer side: the picture cuts the person off there."""

UNKNOWN = 0.5
"""Neither lying nor upright."""


@dataclass(frozen=True, slots=True)
class Postures:
    """How N people hold themselves in one frame.

    Attributes:
        lying: (N,) lying degree from 0, upright, to 1, lying; `UNKNOWN` where it can't be told.
        truncated: (N,) bool, whether the image border cuts the person off.
        positions: (N, 2), x and y of the middle of the hips, or of the joints' box where no hip is seen, in normalized
            image coordinates.
    """

    lying: np.ndarray
    truncated: np.ndarray
    positions: np.ndarray


def read_postures(keypoints: np.ndarray, scores: np.ndarray, image_hw: tuple[int, int]) -> Postures:
    """Return the postures of N people.

    Of somebody cut off by the picture's edge only the torso is believed: who walks out of the picture at its lower edge
    ends as a wide and flat pair of shoulders, upright all the while.

    Args:
        keypoints: (N, K, 2) pixels.
        scores: (N, K), 0 for a missing joint.
        image_hw: height and width of the frame in pixels.
    """
    boxes = keypoint_boxes(keypoints, scores)
    height, width = image_hw
    margin = EDGE_SHARE * max(image_hw)
    truncated = ((boxes[:, :2] <= margin) | (boxes[:, 2:] >= np.array([width, height]) - margin)).any(axis=1)
    tilt, torso_seen = _torso_tilt(keypoints, scores)
    lying = _lying_degree(boxes, tilt, torso_seen)
    torso = np.minimum(lying, np.where(torso_seen, tilt, UNKNOWN))
    hips, hips_seen = _middle(keypoints, scores, HIPS)
    positions = np.where(hips_seen[:, None], hips, (boxes[:, :2] + boxes[:, 2:]) / 2) / np.array([width, height])
    return Postures(np.where(truncated, torso, lying), truncated, positions)


def lying_degree(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return how much each person (N,) lies, from 0 (upright) to 1 (torso level and body wider than high).

    The mean of two cues: the torso's angle to the vertical, as a share of 90 degrees, and the width of the joints'
    box over its height, as a share of `WIDE_RATIO`. Bending over levels the torso but leaves the body high, squatting
    makes it low but leaves the torso upright, so neither reaches 1. Without shoulders or hips the width decides.

    Args:
        keypoints: (N, K, 2) pixels.
        scores: (N, K), 0 for a missing joint.
    """
    return _lying_degree(keypoint_boxes(keypoints, scores), *_torso_tilt(keypoints, scores))


def _lying_degree(boxes: np.ndarray, tilt: np.ndarray, torso_seen: np.ndarray) -> np.ndarray:
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    wide = np.clip(width / np.maximum(height, 1) / WIDE_RATIO, 0, 1)
    return np.where(torso_seen, (wide + tilt) / 2, wide)


def _torso_tilt(keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the torso's angle to the vertical (N,) as a share of 90 degrees, and whether a torso was seen (N,)."""
    shoulders, shoulders_seen = _middle(keypoints, scores, SHOULDERS)
    hips, hips_seen = _middle(keypoints, scores, HIPS)
    across, down = np.abs(hips - shoulders).T
    return np.arctan2(across, np.maximum(down, 1e-3)) / (np.pi / 2), shoulders_seen & hips_seen


def _middle(keypoints: np.ndarray, scores: np.ndarray, joints: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean place (N, 2) of the seen ones of `joints`, and whether any was seen (N,)."""
    seen = (scores[:, joints] > 0)[..., None]
    count = seen.sum(axis=1)
    middle = (keypoints[:, joints] * seen).sum(axis=1) / np.maximum(count, 1)
    return middle, count[:, 0] > 0
