"""Preprocessing: windows in, the recognizer's input out; numpy only, shared with training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from falldet.skeleton import JOINT_COUNT
from falldet.types import Window

Normalization = Literal["image", "person", "person_causal"]
"""Coordinates of the recognizer's input; "person_causal" also names how windows are sampled in time."""

CHANNELS: dict[str, str] = {"image": "x,y,score", "person": "x,y,score", "person_causal": "x,y,score,valid"}
"""Channels of the recognizer's input, by normalization."""

WINDOW_FRAMES = 48
"""Frames of a resampled window: the clip length of the baseline recipe."""

MAX_GAP_S = 0.35
"""Time between two observations up to which poses are interpolated; across a longer gap the nearest pose is held."""

STALE_S = 0.5
"""Time to the nearest observation from which a sample is not valid."""

SIZE_PERCENTILE = 0.8
"""Percentile of the longer box sides that is the body length of "person_causal"."""


def resample(window: Window, frames: int = WINDOW_FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """Return `frames` poses at evenly spaced times of the window: keypoints (frames, K, 2), scores (frames, K).

    `prepare` calls it for the pipeline and `falldet.openmmlab.dataset` for training, for the normalizations "image" and
    "person". Resampling the result to the same number of frames does not change it.

    Each time, the middle of one of `frames` equal parts, takes the observation of the window nearest in time; the first
    and the last pose are held at the ends. So the speed of a motion does not depend on the frame rate.

    Args:
        window: poses of one track.
        frames: poses to return. Higher: finer in time, more computation.
    """
    length_s = window.stop_s - window.start_s
    moments = window.start_s + (np.arange(frames) + 0.5) * (length_s / frames)
    first = min(int(np.searchsorted(window.time_s, window.start_s)), len(window.time_s) - 1)
    inside = window.time_s[first:]
    nearest = first + np.searchsorted((inside[1:] + inside[:-1]) / 2, moments)
    return window.keypoints[nearest], window.scores[nearest]


def sample_causal(window: Window, frames: int = WINDOW_FRAMES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `frames` poses at evenly spaced times, of which the last is the window's end, and which of them are valid.

    Poses are interpolated linearly between observations up to `MAX_GAP_S` apart, so that the rate of pose estimation
    hardly matters. Across a longer gap, before the first and after the last observation, the nearest pose is held. A
    joint observed on one side of a gap only takes the nearest pose's state.

    Args:
        window: poses of one track; the observation before the window's start is used as well.
        frames: poses to return. Higher: finer in time, more computation.

    Returns:
        Keypoints (frames, K, 2) pixels, joint scores (frames, K) and valid (frames,) float32: 1 where the track had
        begun and an observation is at most `STALE_S` away, else 0.
    """
    time_s, keypoints, scores = window.time_s, window.keypoints, window.scores
    length_s = window.stop_s - window.start_s
    moments = window.stop_s - length_s + np.arange(1, frames + 1) * (length_s / frames)
    after = np.searchsorted(time_s, moments, side="right")
    left, right = np.maximum(after - 1, 0), np.minimum(after, len(time_s) - 1)
    gap_s = time_s[right] - time_s[left]
    share = np.clip((moments - time_s[left]) / np.where(gap_s > 0, gap_s, 1), 0, 1)
    nearer = (share >= 0.5)[:, None]
    share = np.where(gap_s <= MAX_GAP_S, share, nearer[:, 0])[:, None]
    both = (scores[left] > 0) & (scores[right] > 0)
    weight = np.where(both, share, nearer).astype(np.float32)  # (frames, K)
    sampled = keypoints[left] + weight[..., None] * (keypoints[right] - keypoints[left])
    joints = scores[left] + weight * (scores[right] - scores[left])
    distance_s = np.minimum(np.abs(moments - time_s[left]), np.abs(moments - time_s[right]))
    valid = (moments >= time_s[0]) & (distance_s <= STALE_S)
    return sampled.astype(np.float32), joints.astype(np.float32), valid.astype(np.float32)


def uniform_indices(total: int, count: int) -> np.ndarray:
    """Return `count` ascending indices (count,) int64 into `total` frames: the middles of equal parts.

    Where `total` is less than `count`, frames are repeated in order. Where both are equal, every frame is taken once.
    """
    return ((np.arange(count) + 0.5) * total / count).astype(np.int64)


def normalize(keypoints: np.ndarray, scores: np.ndarray, image_hw: tuple[int, int], mode: Normalization) -> np.ndarray:
    """Return keypoints (..., T, K, 2) in the coordinates the recognizer is trained on; missing joints stay (0, 0).

    "person_causal" has a function of its own, `causal_input`.

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


def causal_input(keypoints: np.ndarray, scores: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the input (N, T, K, 4) of a recognizer trained on "person_causal" windows: x, y, joint score and valid.

    x and y are in body lengths around the person. The origin is the median center of the joints' box, the body length
    the `SIZE_PERCENTILE` of its longer side, both over the valid frames, or over all where none is valid. Missing
    joints lie at the origin.

    Args:
        keypoints: (N, T, K, 2) pixels.
        scores: (N, T, K); 0 marks a missing joint.
        valid: (N, T), 0 or 1.
    """
    visible = scores > 0
    low = np.where(visible[..., None], keypoints, np.inf).min(axis=2)  # (N, T, 2)
    high = np.where(visible[..., None], keypoints, -np.inf).max(axis=2)
    found = visible.any(axis=2)  # (N, T)
    used = found & (valid > 0)
    used = np.where(used.any(axis=1, keepdims=True), used, found)
    low, high = np.where(found[..., None], low, 0), np.where(found[..., None], high, 0)
    center = _quantile((low + high) / 2, used, 0.5)  # (N, 2)
    size = np.maximum(_quantile((high - low).max(axis=-1, keepdims=True), used, SIZE_PERCENTILE), 1e-3)
    moved = np.where(visible[..., None], (keypoints - center[:, None, None]) / size[:, None, None], 0)
    flags = np.broadcast_to(valid[:, :, None, None], (*scores.shape, 1))
    return np.concatenate([moved, scores[..., None], flags], axis=-1).astype(np.float32)


def _quantile(values: np.ndarray, used: np.ndarray, share: float) -> np.ndarray:
    """Return the quantile (N, C) of `values` (N, T, C) over the frames `used` (N, T), linear; 0 without any."""
    ordered = np.sort(np.where(used[..., None], values, np.inf), axis=1)
    ordered = np.where(np.isfinite(ordered), ordered, 0)
    last = np.maximum(used.sum(axis=1) - 1, 0)
    below = np.floor(last * share).astype(np.int64)
    rows, part = np.arange(len(values)), (last * share - below)[:, None]
    return ordered[rows, below] * (1 - part) + ordered[rows, np.minimum(below + 1, last)] * part


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


@dataclass(frozen=True, slots=True)
class Preparation:
    """Preparation of a recognizer's input, as its training had it.

    Attributes:
        normalization: coordinates and sampling in time.
        frames: poses per window.
        window_s: length of the windows, seconds; None for whole clips.
    """

    normalization: Normalization
    frames: int
    window_s: float | None

    def as_metadata(self) -> dict[str, str]:
        """Return the preparation as entries of an ONNX file's metadata."""
        window_s = "" if self.window_s is None else f"{self.window_s:g}"
        channels = CHANNELS[self.normalization]
        return {
            "normalization": self.normalization,
            "frames": str(self.frames),
            "window_s": window_s,
            "channels": channels,
        }


def input_shape(mode: Normalization, frames: int) -> tuple[int, ...]:
    """Return the shape of the recognizer's input for one window, as `prepare` returns it."""
    shape = (frames, JOINT_COUNT, len(CHANNELS[mode].split(",")))
    return shape if mode == "person_causal" else (1, *shape)


def prepare(windows: Sequence[Window], mode: Normalization, frames: int = WINDOW_FRAMES) -> np.ndarray:
    """Return the recognizer's input for N windows.

    For "person_causal" it is (N, frames, K, 4) as `causal_input` returns it, for the others (N, 1, frames, K, 3):
    normalized x and y, and the joint's score.

    Args:
        windows: the N windows.
        mode: the recognizer's normalization.
        frames: poses per window.
    """
    if mode == "person_causal":
        sampled = [sample_causal(window, frames) for window in windows]
        keypoints, scores, valid = (np.stack(part) for part in zip(*sampled, strict=True))
        return causal_input(keypoints, scores, valid)
    batch = []
    for window in windows:
        keypoints, scores = resample(window, frames)
        batch.append(np.concatenate([normalize(keypoints, scores, window.image_hw, mode), scores[..., None]], axis=-1))
    return np.stack(batch)[:, None].astype(np.float32)
