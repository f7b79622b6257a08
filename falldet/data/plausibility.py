"""Joints against the size of their images: coordinates that can't be pixels of it are told before any training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from falldet.errors import FalldetError

OUTSIDE_SHARE = 0.5
"""Share of the visible joints outside the image from which a clip's coordinates are taken for wrong."""

SWAPPED_SHARE = 0.05
"""The same, where with width and height exchanged at most a tenth of them would lie outside."""

NORMALIZED_MAX = 2.0
"""Largest coordinate of a clip up to which it can't be in pixels: no person is two pixels tall."""


CHECKED_FRAMES = 64
"""Frames of a clip that are checked, at equal distances."""


def check_joints(annotation: Mapping[str, Any], place: str) -> None:
    """Raise FalldetError where a clip's joints are in other units than pixels, or lie outside `img_shape`.

    Args:
        annotation: a clip, checked otherwise; its `img_shape` is (height, width).
        place: file and clip, for the message.
    """
    height, width = annotation["img_shape"]
    keypoint = annotation["keypoint"]
    step = max(1, keypoint.shape[1] // CHECKED_FRAMES)
    joints = keypoint[:, ::step][annotation["keypoint_score"][:, ::step] > 0]  # (N, 2)
    joints = joints[(joints != 0).any(axis=1)]
    if not len(joints):
        return
    largest = float(np.abs(joints).max())
    if largest <= NORMALIZED_MAX:
        raise FalldetError(
            f"{place}: the largest coordinate is {largest:.3g}, so keypoint is not in pixels; multiply x by the width "
            "and y by the height of the images"
        )
    outside = _share_outside(joints, width, height)
    swapped = _share_outside(joints, height, width)
    if outside > SWAPPED_SHARE and swapped <= outside / 10:
        raise FalldetError(
            f"{place}: {outside:.0%} of the joints lie outside img_shape = ({height}, {width}), and hardly any outside "
            f"({width}, {height}); write height first"
        )
    if outside > OUTSIDE_SHARE:
        raise FalldetError(
            f"{place}: {outside:.0%} of the joints lie outside img_shape = ({height}, {width}); correct img_shape, which "
            "is (height, width) of the images that keypoint is in pixels of"
        )


def _share_outside(joints: np.ndarray, width: int, height: int) -> float:
    low, high = -1.0, np.array([width, height]) + 1.0
    return float(((joints < low) | (joints > high)).any(axis=1).mean())
