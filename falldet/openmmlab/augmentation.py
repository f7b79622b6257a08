"""Training-time disturbances of a skeleton, in pixels, before it is normalised."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from falldet.windows import NOT_FALL


@TRANSFORMS.register_module()
class DisturbSkeleton(BaseTransform):
    """Turn, stretch, shake and thin out a skeleton, as other cameras and worse pose estimates would.

    Randomness comes from numpy's global generator, which MMEngine seeds.

    Required keys: keypoint (M, T, V, 2) pixels, keypoint_score (M, T, V).
    Modified keys: keypoint, keypoint_score.

    Args:
        tilt_degrees: the whole window is turned by up to this angle (a camera that is not level).
        stretch: width over height changes by up to this factor either way (a camera that looks down).
        jitter: standard deviation of noise on each joint in each frame, relative to the person's size.
        drop_joint: share of joint observations that go missing, one by one.
        drop_limb: probability that one joint is missing throughout.
        drop_frames: probability that up to a third of the frames are a straight way from pose to pose (the person was
            lost for a while).
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
        """Keep the numbers."""
        self.tilt_degrees, self.stretch, self.jitter = tilt_degrees, stretch, jitter
        self.drop_joint, self.drop_limb, self.drop_frames = drop_joint, drop_limb, drop_frames

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace keypoints and scores by disturbed copies; missing joints stay at (0, 0)."""
        random = np.random
        keypoints, scores = results["keypoint"].copy(), results["keypoint_score"].copy()
        seen = scores > 0
        if not seen.any():
            return results
        low, high = keypoints[seen].min(axis=0), keypoints[seen].max(axis=0)
        size = float((high - low).max())
        keypoints = (keypoints - (low + high) / 2) @ self._turn(random).T + (low + high) / 2
        keypoints = keypoints + random.normal(0, self.jitter * size, keypoints.shape)
        scores[random.random(scores.shape) < self.drop_joint] = 0
        if random.random() < self.drop_limb:
            scores[:, :, random.randint(scores.shape[2])] = 0
        if random.random() < self.drop_frames:
            self._bridge(random, keypoints, scores)
        results["keypoint"] = np.where(scores[..., None] > 0, keypoints, 0).astype(np.float32)
        results["keypoint_score"] = scores
        return results

    def _turn(self, random: Any) -> np.ndarray:
        angle = np.deg2rad(random.uniform(-self.tilt_degrees, self.tilt_degrees))
        wider = np.exp(random.uniform(-1, 1) * np.log(self.stretch) / 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return turn @ np.diag([wider, 1 / wider])

    @staticmethod
    def _bridge(random: Any, keypoints: np.ndarray, scores: np.ndarray) -> None:
        """Put a straight way in place of some frames, as resampling does where nobody was seen; in place."""
        frames = scores.shape[1]
        length = random.randint(2, max(3, frames // 3))
        start = random.randint(frames - length)
        share = np.linspace(0, 1, length + 1)[None, :, None]  # (1, length + 1, 1)
        part = slice(start, start + length + 1)
        first, last = keypoints[:, start, None], keypoints[:, start + length, None]
        both = (scores[:, start] > 0) & (scores[:, start + length] > 0)  # (M, V)
        way = first * (1 - share[..., None]) + last * share[..., None]
        keypoints[:, part] = np.where(both[:, None, :, None], way, first)
        scores[:, part] = np.where(
            both[:, None],
            scores[:, start, None] * (1 - share) + scores[:, start + length, None] * share,
            scores[:, start, None],
        )


@TRANSFORMS.register_module()
class CrossEdge(BaseTransform):
    """Let an edge of the picture cut a skeleton off, as happens where people stand near a camera or walk out of sight.

    Pose models press the joints that are out of sight against the edge, with low scores; so does this. Somebody who
    walks out sinks through the edge like somebody who falls, so only windows that are no fall walk out.

    Randomness comes from numpy's global generator, which MMEngine seeds.

    Required keys: keypoint (M, T, V, 2) pixels, keypoint_score (M, T, V), label.
    Modified keys: keypoint, keypoint_score.

    Args:
        cut: probability that the lower edge hides the legs, or a side edge a part of the body, throughout.
        leave: probability that somebody who doesn't fall walks out of the picture.
    """

    GONE = 0.8
    """Somebody with this share of the joints beyond the edge is no longer found; the last pose is held."""

    def __init__(self, cut: float = 0.15, leave: float = 0.25) -> None:
        """Keep the numbers."""
        self.cut, self.leave = cut, leave

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace keypoints and scores by cut-off copies, or leave them as they are."""
        random = np.random
        keypoints, scores = results["keypoint"], results["keypoint_score"]
        leaves = random.random() < self.leave and results["label"] == NOT_FALL
        if (not leaves and random.random() >= self.cut) or not (scores > 0).any():
            return results
        axis, sign = (1, 1) if random.random() < 0.7 else (0, random.choice([-1, 1]))
        way = keypoints[..., axis] * sign  # (M, T, V), growing towards the edge
        low, high = np.percentile(way[scores > 0], [2, 98])
        if leaves:
            way = self._walk(random, way, low, high - low)
            edge = low + random.uniform(0.7, 1.4) * (high - low)
        else:
            edge = low + random.uniform(0.55, 0.95) * (high - low)
        beyond = (way > edge) & (scores > 0)
        way = np.where(beyond, edge - np.abs(random.normal(0, 0.02 * (high - low), way.shape)), way)
        keypoints = keypoints.copy()
        keypoints[..., axis] = np.where(scores > 0, way * sign, 0)
        scores = np.where(beyond, scores * random.uniform(0.2, 0.7), scores)
        held = self._held((beyond | (scores == 0)).mean(axis=(0, 2)) < self.GONE)
        results["keypoint"] = keypoints[:, held].astype(np.float32)
        results["keypoint_score"] = scores[:, held].astype(np.float32)
        return results

    @staticmethod
    def _walk(random: Any, way: np.ndarray, low: float, size: float) -> np.ndarray:
        """Return `way` (M, T, V) of somebody who comes up to the edge and past it, growing as people do."""
        begun = np.linspace(0, 1, way.shape[1])[:, None] - random.uniform(0, 0.6)
        share = np.clip(begun, 0, 1) * random.uniform(0.8, 2.5)  # (T, 1) body lengths
        return low + (way - low) * (1 + random.uniform(0, 0.5) * share) + share * size

    @staticmethod
    def _held(found: np.ndarray) -> np.ndarray:
        """Return for each frame the last one (T,) in which somebody was `found` (T,), or the frame itself."""
        frames = np.arange(len(found))
        last = np.maximum.accumulate(np.where(found, frames, -1))
        return np.where(last >= 0, last, frames)
