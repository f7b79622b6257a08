"""Augmentation of causal windows for training, in pixels, before they are normalized.

Each transform has a generator of its own, seeded from numpy's global one, which MMEngine seeds: equal seeds of a run
give equal windows. A joint is dropped by setting its score to 0; its place means nothing from then on.

All take the keys of `SampleCausal`: keypoint (M, T, V, 2) pixels, keypoint_score (M, T, V) and valid (T,); and label.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from falldet.stages.preprocessing import STALE_S

LEGS = (13, 14, 15, 16)
LIMBS = ((7, 9), (8, 10), (13, 15), (14, 16), (0, 1, 2, 3, 4))
"""Joints that go missing together: forearms, lower legs, head."""


class _Augmentation(BaseTransform):
    """A transform with a generator of its own, applied to a share of the windows.

    Args:
        share: share of the windows that is changed.
    """

    def __init__(self, share: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"{type(self).__name__}.share = {share} must lie between 0 and 1")
        self.share = share
        self.rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002  # the one MMEngine seeds

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change the window or leave it as it is."""
        if self.rng.random() < self.share:
            self.augment(results)
        return results

    @abstractmethod
    def augment(self, results: dict[str, Any]) -> None:
        """Change the window."""


@TRANSFORMS.register_module()
class WalkSkeleton(_Augmentation):
    """Let the person also walk evenly for a part of the window: a shift, and growth around the pose's own center.

    So walking towards the camera or out of the image resembles a fall less. A person who falls walks at the beginning
    of the window alone.

    Args:
        share: share of the windows that is changed.
        shift: largest shift sideways and up or down, body lengths.
        growth: largest growth, a factor; shrinking likewise.
    """

    def __init__(self, share: float = 0.5, shift: Sequence[float] = (2.0, 1.2), growth: float = 1.8) -> None:
        super().__init__(share)
        self.shift, self.growth = np.array(shift), growth

    def augment(self, results: dict[str, Any]) -> None:
        """Replace the keypoints."""
        keypoints, visible = results["keypoint"], results["keypoint_score"] > 0
        steps = keypoints.shape[1]
        falls = results["label"] == 1
        begin = 0.0 if falls else self.rng.uniform(0, 0.7)
        length = self.rng.uniform(0.1, 0.35) if falls else self.rng.uniform(0.3, 1.0)
        strength = length if falls else 1.0  # the same speed
        walked = np.clip((np.arange(steps) / steps - begin) / length, 0, 1)
        count = np.maximum(visible.sum(axis=2), 1)[..., None]
        center = ((keypoints * visible[..., None]).sum(axis=2) / count)[:, :, None]
        shift = self.rng.uniform(-1, 1, 2) * self.shift * body_length(keypoints, visible) * strength
        growth = np.exp(self.rng.uniform(-1, 1) * np.log(self.growth) * strength)
        factor = (growth ** (walked - 1))[:, None, None]  # 1 at the end of the walk
        results["keypoint"] = (center + (keypoints - center) * factor + walked[:, None, None] * shift).astype(
            np.float32
        )


@TRANSFORMS.register_module()
class StartLate(_Augmentation):
    """Let the track begin up to half a window later: until then its first pose is held and not valid.

    Args:
        share: share of the windows that is changed.
    """

    def __init__(self, share: float = 0.3) -> None:
        super().__init__(share)

    def augment(self, results: dict[str, Any]) -> None:
        """Replace the first poses."""
        first = int(self.rng.integers(1, len(results["valid"]) // 2 + 1))
        for key in ("keypoint", "keypoint_score"):
            results[key][:, :first] = results[key][:, first : first + 1]
        results["valid"][:first] = 0


@TRANSFORMS.register_module()
class HoldPose(_Augmentation):
    """Let the person be lost for up to a quarter of the window: the poses before and after are held, as at run time.

    Args:
        share: share of the windows that is changed.
        frames_per_s: frames of the window per second.
    """

    def __init__(self, share: float = 0.15, frames_per_s: float = 12.0) -> None:
        super().__init__(share)
        self.stale = round(STALE_S * frames_per_s)

    def augment(self, results: dict[str, Any]) -> None:
        """Replace the poses of a span."""
        steps = len(results["valid"])
        length = int(self.rng.integers(2, steps // 4 + 1))
        start = int(self.rng.integers(1, steps - length + 1))
        stop = start + length
        middle = stop if stop == steps else start + length // 2
        for key in ("keypoint", "keypoint_score"):
            poses = results[key]
            poses[:, start:middle] = poses[:, start - 1 : start]
            poses[:, middle:stop] = poses[:, min(stop, steps - 1)][:, None]
        last = steps if stop == steps else max(start + self.stale, stop - self.stale)
        results["valid"][start + self.stale : last] = 0


@TRANSFORMS.register_module()
class DistortSkeleton(_Augmentation):
    """Rotate, stretch and jitter a skeleton, as other cameras and worse pose estimates would.

    Args:
        share: share of the windows that is changed.
        tilt_degrees: largest rotation of the whole window, either way (a camera that is not level).
        stretch: largest factor on width over height, either way (a camera pitched down).
        jitter: standard deviation of the noise on each joint in each frame, body lengths.
    """

    def __init__(
        self, share: float = 1.0, tilt_degrees: float = 12.0, stretch: float = 1.3, jitter: float = 0.01
    ) -> None:
        super().__init__(share)
        self.tilt_degrees, self.stretch, self.jitter = tilt_degrees, stretch, jitter

    def augment(self, results: dict[str, Any]) -> None:
        """Replace the keypoints."""
        keypoints, visible = results["keypoint"], results["keypoint_score"] > 0
        if not visible.any():
            return
        center = keypoints[visible].mean(axis=0)
        angle = np.deg2rad(self.rng.uniform(-self.tilt_degrees, self.tilt_degrees))
        wider = np.exp(self.rng.uniform(-1, 1) * np.log(self.stretch) / 2)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved = (keypoints - center) @ (rotation @ np.diag([wider, 1 / wider])).T
        noise = self.rng.standard_normal(keypoints.shape, dtype=np.float32)
        noise *= self.jitter * body_length(keypoints, visible)
        results["keypoint"] = (moved + center + noise).astype(np.float32)


@TRANSFORMS.register_module()
class DropJoints(_Augmentation):
    """Lower the joint scores, and drop joints one by one, a limb, or both lower legs.

    Args:
        share: share of the windows that is changed.
        lowest_factor: all scores are multiplied by one factor from this to 1.
        joint: share of joint observations that go missing, one by one.
        limb: share of the windows in which one of `LIMBS` is missing.
        legs: share of the windows in which knees and ankles are missing.
    """

    def __init__(
        self,
        share: float = 1.0,
        lowest_factor: float = 0.7,
        joint: float = 0.03,
        limb: float = 0.15,
        legs: float = 0.1,
    ) -> None:
        super().__init__(share)
        self.lowest_factor, self.joint, self.limb, self.legs = lowest_factor, joint, limb, legs

    def augment(self, results: dict[str, Any]) -> None:
        """Replace the scores."""
        scores = results["keypoint_score"] * np.float32(self.rng.uniform(self.lowest_factor, 1))
        scores[self.rng.random(scores.shape, dtype=np.float32) < self.joint] = 0
        if self.rng.random() < self.limb:
            scores[..., LIMBS[self.rng.integers(len(LIMBS))]] = 0
        if self.rng.random() < self.legs:
            scores[..., LEGS] = 0
        results["keypoint_score"] = scores


def body_length(keypoints: np.ndarray, visible: np.ndarray) -> float:
    """Return the largest side of the joints' boxes of a window, in pixels; 0 where no joint is visible.

    Args:
        keypoints: (M, T, V, 2) pixels.
        visible: (M, T, V) bool.
    """
    low = np.where(visible[..., None], keypoints, np.inf).min(axis=2)
    high = np.where(visible[..., None], keypoints, -np.inf).max(axis=2)
    return float(np.where(np.isfinite(low), high - low, 0).max())
