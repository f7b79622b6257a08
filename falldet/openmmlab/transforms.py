"""Transforms of the training pipeline: deterministic frame sampling and the recognizer's normalization.

They call `falldet.stages.preprocessing`, as the live pipeline does, so that training and inference are the same.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from falldet.errors import FalldetError
from falldet.stages.preprocessing import Normalization, causal_input, normalize, sample_causal, uniform_indices

MODES = get_args(Normalization)


@TRANSFORMS.register_module()
class SampleMidpoints(BaseTransform):
    """Take the middle frame of each of `clip_len` equal parts of the clip, without randomness.

    A clip shorter than `clip_len` repeats neighboring frames. A window of `clip_len` frames stays as it is.

    Required keys: total_frames.
    Added keys: frame_inds (clip_len,) int32, clip_len, frame_interval, num_clips.

    Args:
        clip_len: number of frames to take.
    """

    def __init__(self, clip_len: int = 48) -> None:
        self.clip_len = clip_len

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the indices of the sampled frames."""
        indices = uniform_indices(results["total_frames"], self.clip_len)
        results["frame_inds"] = (indices + results.get("start_index", 0)).astype(np.int32)
        results.update(clip_len=self.clip_len, frame_interval=None, num_clips=1)
        return results


@TRANSFORMS.register_module()
class SampleCausal(BaseTransform):
    """Sample a window at `clip_len` evenly spaced times, of which the last is the window's end.

    Required keys: window, a `falldet.types.Window`.
    Added keys: keypoint (1, T, V, 2) pixels, keypoint_score (1, T, V), valid (T,), total_frames T, num_clips.

    Args:
        clip_len: T, number of poses to take.
    """

    def __init__(self, clip_len: int = 48) -> None:
        self.clip_len = clip_len

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the sampled poses."""
        keypoints, scores, valid = sample_causal(results["window"], self.clip_len)
        results.update(keypoint=keypoints[None], keypoint_score=scores[None], valid=valid)
        results.update(total_frames=self.clip_len, num_clips=1)
        return results


@TRANSFORMS.register_module()
class NormalizeSkeleton(BaseTransform):
    """Convert pixels to the recognizer's coordinates; missing joints are exactly (0, 0).

    Comes after all transforms in pixels (flip, crop) and uses the image size they leave.

    Required keys: keypoint (M, T, V, 2) pixels, keypoint_score (M, T, V), img_shape (h, w); valid for "person_causal".
    Modified keys: keypoint. With "person_causal" it has four channels, and keypoint_score is removed.

    Args:
        mode: "image" maps the image to [-1, 1] in both directions, as MMAction2's PreNormalize2D; "person" centers on
            the person and divides by the person's size; "person_causal" does so for windows of `SampleCausal`.

    Raises:
        FalldetError: the mode is unknown.
    """

    def __init__(self, mode: Normalization = "image") -> None:
        if mode not in MODES:
            raise FalldetError(f"NormalizeSkeleton.mode = {mode!r} is unknown; use one of {', '.join(MODES)}")
        self.mode = mode

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Normalize the keypoints."""
        if self.mode == "person_causal":
            scores = results.pop("keypoint_score")
            valid = np.broadcast_to(results["valid"], scores.shape[:2])
            results["keypoint"] = causal_input(results["keypoint"], scores, valid)
            return results
        results["keypoint"] = normalize(
            results["keypoint"], results["keypoint_score"], tuple(results["img_shape"]), self.mode
        )
        return results
