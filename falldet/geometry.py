"""Geometry of boxes, poses and polygons; numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from falldet.skeleton import OKS_SIGMAS
from falldet.terminal import shown


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Return the areas (N,) of boxes (N, 4) x0 y0 x1 y1; an inverted box has area 0."""
    return np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)


def box_iou(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4); 0 if both are empty."""
    intersection = _intersection(boxes_a, boxes_b)
    union = box_area(boxes_a)[:, None] + box_area(boxes_b)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def box_containment(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Return the intersection over the smaller area (N, M) of boxes (N, 4) and (M, 4); 1 if one contains the other."""
    intersection = _intersection(boxes_a, boxes_b)
    smaller = np.minimum(box_area(boxes_a)[:, None], box_area(boxes_b)[None, :])
    return np.divide(intersection, smaller, out=np.zeros_like(intersection), where=smaller > 0)


def _intersection(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    top_left = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])  # (N, M, 2)
    bottom_right = np.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    return np.prod(np.clip(bottom_right - top_left, 0, None), axis=2)


def square_boxes(boxes: np.ndarray, scale: float = 1.25) -> np.ndarray:
    """Return squares (N, 4) around the centers of boxes (N, 4); side = longer side of the box x `scale`.

    The square of a person changes little between standing and lying.
    """
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.max(boxes[:, 2:] - boxes[:, :2], axis=1, keepdims=True) * (scale / 2)
    return np.concatenate([center - half, center + half], axis=1)


def keypoint_boxes(keypoints: np.ndarray, scores: np.ndarray, min_score: float = 0.0) -> np.ndarray:
    """Return the tight boxes (N, 4) around the joints of keypoints (N, K, 2) whose scores (N, K) exceed `min_score`.

    A person without such a joint gets the box 0 0 0 0.
    """
    present = (scores > min_score)[..., None]
    low = np.where(present, keypoints, np.inf).min(axis=1)
    high = np.where(present, keypoints, -np.inf).max(axis=1)
    boxes = np.concatenate([low, high], axis=1)
    return np.where(np.isfinite(boxes), boxes, 0).astype(np.float32)


def object_keypoint_similarity(
    keypoints_a: np.ndarray,
    keypoints_b: np.ndarray,
    weights: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray = OKS_SIGMAS,
) -> np.ndarray:
    """Return the object keypoint similarity (N, M) of poses (N, K, 2) and (M, K, 2), in [0, 1].

    Args:
        keypoints_a: (N, K, 2) pixels.
        keypoints_b: (M, K, 2) pixels.
        weights: (N, M, K) weight of each joint in a pair; a pair of total weight 0 has similarity 0.
        areas: (N,) square pixels, size of the people of `keypoints_a`. Larger: the same distance lowers it less.
        sigmas: (K,) spread of each joint relative to the person's size.

    Source: COCO keypoint evaluation, exp(-d^2 / (2 s^2 k^2)) with k = 2 sigma, averaged over joints.
    """
    squared = np.sum((keypoints_a[:, None] - keypoints_b[None]) ** 2, axis=3)  # (N, M, K)
    spread = 2 * np.maximum(areas, 1.0)[:, None, None] * (2 * sigmas) ** 2
    similarity = np.exp(-squared / spread)
    total = weights.sum(axis=2)
    weighted = (similarity * weights).sum(axis=2)
    return np.divide(weighted, total, out=np.zeros_like(weighted), where=total > 0)


Polygon = tuple[tuple[float, float], ...]
"""Corners in order, each x and y in normalized image coordinates [0, 1]; the last corner joins the first."""


def checked_polygons(polygons: Sequence[Sequence[Sequence[float]]]) -> tuple[Polygon, ...]:
    """Return the polygons as tuples.

    Raises:
        ValueError: a polygon is not a list of at least three points [x, y] in [0, 1].
    """
    checked = []
    for number, polygon in enumerate(polygons, start=1):
        try:
            corners = tuple((float(x), float(y)) for x, y in polygon)
        except (TypeError, ValueError):
            corners = ()
        if len(corners) < 3 or not all(0 <= value <= 1 for corner in corners for value in corner):
            raise ValueError(
                f"zone {number} is {shown(polygon)}; a zone needs three or more points [x, y], in normalized image "
                "coordinates from 0 to 1, such as [[0.1, 0.6], [0.5, 0.6], [0.5, 1.0]]"
            )
        checked.append(corners)
    return tuple(checked)


def point_in_polygon(point: np.ndarray, polygon: Polygon) -> bool:
    """Return whether `point` (2,), in normalized image coordinates, lies in `polygon`.

    Source: even-odd rule; a ray to the right crosses the border an odd number of times if it starts inside.
    """
    x, y = float(point[0]), float(point[1])
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside
