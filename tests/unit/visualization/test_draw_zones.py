"""Ignore zones drawn onto a frame."""

from __future__ import annotations

import numpy as np
import pytest

from falldet.visualization.overlay import draw_zones

SQUARE = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6))


@pytest.mark.parametrize("height", [240, 720])
def test_draw_zones_outlines_polygons_and_leaves_the_rest_visible(height: int) -> None:
    width = height * 4 // 3
    image = np.zeros((height, width, 3), np.uint8)
    draw_zones(image, (SQUARE,))
    for x, y in ((0.2, 0.4), (0.6, 0.4), (0.4, 0.2), (0.4, 0.6)):
        assert image[round(y * (height - 1)), round(x * (width - 1))].max() > 100
    assert not image[round(0.65 * height) :].any()
    assert not image[round(0.4 * height) : round(0.55 * height), round(0.3 * width) : round(0.55 * width)].any()
    untouched = np.zeros_like(image)
    draw_zones(untouched, ())
    assert not untouched.any()
