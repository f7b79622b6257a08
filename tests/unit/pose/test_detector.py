"""The detector's input: an image scaled into a square."""

from __future__ import annotations

import numpy as np
import pytest

from falldet.pose.detector import PAD_VALUE, letterbox


@pytest.mark.parametrize(
    ("image_hw", "filled_hw"),
    [((240, 320), (48, 64)), ((320, 240), (64, 48)), ((64, 64), (64, 64)), ((20, 40), (32, 64))],
)
def test_letterbox_scales_to_fit_into_the_top_left_corner(
    image_hw: tuple[int, int], filled_hw: tuple[int, int]
) -> None:
    square = np.full((64, 64, 3), PAD_VALUE, np.uint8)
    scale_xy = letterbox(np.full((*image_hw, 3), 200, np.uint8), square)
    assert scale_xy.tolist() == pytest.approx([filled_hw[1] / image_hw[1], filled_hw[0] / image_hw[0]])
    assert (square[: filled_hw[0], : filled_hw[1]] == 200).all()
    assert (square[filled_hw[0] :] == PAD_VALUE).all()
    assert (square[:, filled_hw[1] :] == PAD_VALUE).all()
