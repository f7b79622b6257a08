"""Zones to ignore: what is inside, how they are drawn, and what a wrong zone is told."""

from __future__ import annotations

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.pipeline.detector import Settings
from falldet.stages.zones import checked_zones, in_zones
from falldet.visualization.overlay import draw_zones

SQUARE = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6))
ANGLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.3), (0.3, 0.3), (0.3, 1.0), (0.0, 1.0))  # the letter Γ


@pytest.mark.parametrize(
    ("place", "zones", "inside"),
    [
        ((0.4, 0.4), (SQUARE,), True),
        ((0.7, 0.4), (SQUARE,), False),
        ((0.4, 0.1), (SQUARE,), False),
        ((0.1, 0.4), (SQUARE,), False),
        ((0.1, 0.9), (ANGLE,), True),
        ((0.9, 0.1), (ANGLE,), True),
        ((0.9, 0.9), (ANGLE,), False),
        ((0.9, 0.9), (SQUARE, ((0.8, 0.8), (1.0, 0.8), (1.0, 1.0))), True),
        ((0.4, 0.4), (), False),
    ],
)
def test_a_place_is_in_a_zone_or_not(place: tuple[float, float], zones: tuple, inside: bool) -> None:
    assert in_zones(np.array(place), zones) is inside
    turned = tuple((*zone[2:], *zone[:2]) for zone in zones)
    assert in_zones(np.array(place), tuple(zone[::-1] for zone in turned)) is inside


def test_zones_of_a_settings_file_become_tuples() -> None:
    zones = [[[0.2, 0.2], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]]]
    assert checked_zones(zones) == (SQUARE,)
    assert Settings.from_groups({"events": {"ignore_zones": zones}}).events.ignore_zones == (SQUARE,)


@pytest.mark.parametrize(
    "zones",
    [
        [[[0.1, 0.1], [0.2, 0.2]]],
        [[[0.1, 0.1], [0.2, 0.2], [0.3, 1.2]]],
        [[[10, 20], [200, 20], [200, 400]]],
        [[[0.1, 0.1], [0.2, 0.2], [float("nan"), 0.2]]],
        [[[0.1, 0.1], [0.2, 0.2], [0.3]]],
        [[0.1, 0.2, 0.3]],
        ["bed"],
        [7],
    ],
    ids=["two points", "outside the picture", "pixels", "nan", "half a point", "no points", "a word", "a number"],
)
def test_a_wrong_zone_is_refused_with_an_example(zones: list) -> None:
    with pytest.raises(FalldetError, match=r"events: zone 1 is .* three or more points \[x, y\], in shares"):
        Settings.from_groups({"events": {"ignore_zones": zones}})


def test_zones_are_a_list() -> None:
    with pytest.raises(FalldetError, match=r"events.ignore_zones = 'bed' has the wrong type"):
        Settings.from_groups({"events": {"ignore_zones": "bed"}})


@pytest.mark.parametrize("height", [240, 720])
def test_zones_are_outlined_where_they_are_and_leave_the_rest_to_see(height: int) -> None:
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
