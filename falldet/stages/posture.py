"""Posture of a person in one frame: how far the pose is from upright to lying."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from falldet.geometry import keypoint_boxes
from falldet.skeleton import HIPS, SHOULDERS

WIDE_RATIO = 1.0
"""Width over height of the joints' box from which the width cue of the lying degree is 1."""

BORDER_MARGIN = 0.02
"""Margin at the image border, as a share of the longer image side, in which a joint makes a person truncated."""

UNKNOWN = 0.5
"""Lying degree of an unknown posture: neither lying nor upright."""


@dataclass(frozen=True, slots=True)
class Postures:
    """Postures of N people in one frame.

    Attributes:
        lying: (N,) lying degree from 0 (upright) to 1 (lying); `UNKNOWN` if truncated without a torso.
        truncated: (N,) bool, whether the image border truncates the person.
        positions: (N, 2) x and y of the center of the hips, or of the joints' box without a hip, in normalized image
            coordinates.
    """

    lying: np.ndarray
    truncated: np.ndarray
    positions: np.ndarray


def read_postures(keypoints: np.ndarray, scores: np.ndarray, image_hw: tuple[int, int]) -> Postures:
    """Return the postures of N people.

    The lying degree of a truncated person is at most the torso's tilt: a person who walks out of the image at its lower
    border ends as a wide and flat pair of shoulders.

    Args:
        keypoints: (N, K, 2) pixels.
        scores: (N, K), 0 for a missing joint.
        image_hw: height and width of the frame in pixels.
    """
    boxes = keypoint_boxes(keypoints, scores)
    height, width = image_hw
    margin = BORDER_MARGIN * max(image_hw)
    truncated = ((boxes[:, :2] <= margin) | (boxes[:, 2:] >= np.array([width, height]) - margin)).any(axis=1)
    tilt, has_torso = _torso_tilt(keypoints, scores)
    lying = _lying_degree(boxes, tilt, has_torso)
    by_torso = np.minimum(lying, np.where(has_torso, tilt, UNKNOWN))
    hips, has_hips = _center(keypoints, scores, HIPS)
    positions = np.where(has_hips[:, None], hips, (boxes[:, :2] + boxes[:, 2:]) / 2) / np.array([width, height])
    return Postures(np.where(truncated, by_torso, lying), truncated, positions)


def lying_degree(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the lying degree (N,) of N people, from 0 (upright) to 1 (torso level and body wider than high).

    It is the mean of two cues: the torso's angle to the vertical, as a share of 90 degrees, and width over height of
    the joints' box, as a share of `WIDE_RATIO`. Bending levels the torso but leaves the body high; squatting lowers
    the body but leaves the torso upright; neither reaches 1. Without shoulders or hips the width cue decides alone.

    Args:
        keypoints: (N, K, 2) pixels.
        scores: (N, K), 0 for a missing joint.
    """
    return _lying_degree(keypoint_boxes(keypoints, scores), *_torso_tilt(keypoints, scores))


def _lying_degree(boxes: np.ndarray, tilt: np.ndarray, has_torso: np.ndarray) -> np.ndarray:
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    wide = np.clip(width / np.maximum(height, 1) / WIDE_RATIO, 0, 1)
    return np.where(has_torso, (wide + tilt) / 2, wide)


def _torso_tilt(keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the torso's angle to the vertical (N,), as a share of 90 degrees, and whether there is a torso (N,)."""
    shoulders, has_shoulders = _center(keypoints, scores, SHOULDERS)
    hips, has_hips = _center(keypoints, scores, HIPS)
    across, down = np.abs(hips - shoulders).T
    return np.arctan2(across, np.maximum(down, 1e-3)) / (np.pi / 2), has_shoulders & has_hips


def _center(keypoints: np.ndarray, scores: np.ndarray, joints: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean position (N, 2) of the visible ones of `joints`, and whether any is visible (N,)."""
    visible = (scores[:, joints] > 0)[..., None]
    count = visible.sum(axis=1)
    center = (keypoints[:, joints] * visible).sum(axis=1) / np.maximum(count, 1)
    return center, count[:, 0] > 0
