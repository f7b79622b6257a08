"""Preprocessing: windows in, the recognizer's input out; numpy only, shared with training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from falldet.types import Window

Normalization = Literal["image", "person"]

WINDOW_FRAMES = 48
"""Frames of a resampled window: the clip length of the baseline recipe."""


def resample(window: Window, frames: int = WINDOW_FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """Return `frames` poses at evenly spaced times of the window: keypoints (frames, K, 2), scores (frames, K).

    This is the only place where a window is resampled in time: `prepare` calls it for the pipeline and
    `falldet.data.window_labels` for training. Resampling the result to the same number of frames does not change it.

    Each time, the middle of one of `frames` equal parts, takes the observation nearest in time; the first and the last
    pose are held at the ends. So the speed of a motion does not depend on the frame rate.

    Args:
        window: poses of one track.
        frames: poses to return. Higher: finer in time, more computation.
    """
    length_s = window.stop_s - window.start_s
    moments = window.start_s + (np.arange(frames) + 0.5) * (length_s / frames)
    if len(window.time_s) == 1:
        nearest = np.zeros(frames, np.int64)
    else:
        halfway = (window.time_s[1:] + window.time_s[:-1]) / 2
        nearest = np.searchsorted(halfway, moments)
    return window.keypoints[nearest], window.scores[nearest]


def uniform_indices(total: int, count: int) -> np.ndarray:
    """Return `count` ascending indices (count,) int64 into `total` frames: the middles of equal parts.

    Where `total` is less than `count`, frames are repeated in order. Where both are equal, every frame is taken once.
    """
    return ((np.arange(count) + 0.5) * total / count).astype(np.int64)


def normalize(keypoints: np.ndarray, scores: np.ndarray, image_hw: tuple[int, int], mode: Normalization) -> np.ndarray:
    """Return keypoints (..., T, K, 2) in the coordinates the recognizer is trained on; missing joints stay (0, 0).

    Args:
        keypoints: (..., T, K, 2) pixels.
        scores: (..., T, K); 0 marks a missing joint.
        image_hw: height and width of the frame in pixels.
        mode: "image" maps the frame to [-1, 1] (MMAction2's PreNormalize2D). "person" subtracts the median box center
            over the window and divides by the median longer box side: invariant to position and scale.

    Raises:
        ValueError: `mode` is neither.
    """
    visible = scores[..., None] > 0
    if mode == "image":
        half_wh = np.array([image_hw[1], image_hw[0]], np.float32) / 2
        moved = (keypoints - half_wh) / half_wh
    elif mode == "person":
        center, size = _center_and_size(keypoints, visible)
        moved = (keypoints - center) / size
    else:
        raise ValueError(f"mode = {mode!r} must be 'image' or 'person'")
    return np.where(visible, moved, 0).astype(np.float32)


def _center_and_size(keypoints: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median box center (..., 1, 1, 2) and median longer box side (..., 1, 1, 1) over the frames."""
    low = np.where(visible, keypoints, np.inf).min(axis=-2)  # (..., T, 2)
    high = np.where(visible, keypoints, -np.inf).max(axis=-2)
    valid = visible.any(axis=(-1, -2))[..., None]  # (..., T, 1)
    low, high = np.where(valid, low, 0), np.where(valid, high, 0)
    center = _median((low + high) / 2, valid)
    longer = _median((high - low).max(axis=-1, keepdims=True), valid)
    return center[..., None, :], np.maximum(longer, 1)[..., None, :]


def _median(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the median (..., 1, C) of `values` (..., T, C) over the `valid` frames (..., T, 1); 0 without any.

    For so few frames it takes a tenth of the time of numpy's nanmedian.
    """
    ordered = np.sort(np.where(valid, values, np.inf), axis=-2)
    count = valid.sum(axis=-2, keepdims=True)
    middle = [np.take_along_axis(ordered, np.maximum(count - 1 + i, 0) // 2, axis=-2) for i in (0, 1)]
    return np.where(count > 0, (middle[0] + middle[1]) / 2, 0)


def prepare(windows: Sequence[Window], mode: Normalization, frames: int = WINDOW_FRAMES) -> np.ndarray:
    """Return the recognizer's input (N, 1, frames, K, 3) for N windows: normalized x and y, and the joint's score."""
    batch = []
    for window in windows:
        keypoints, scores = resample(window, frames)
        batch.append(np.concatenate([normalize(keypoints, scores, window.image_hw, mode), scores[..., None]], axis=-1))
    return np.stack(batch)[:, None].astype(np.float32)
