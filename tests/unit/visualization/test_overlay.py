"""The overlay: drawn into a copy of the frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from falldet.types import NO_TRACK, Event, EventState, People
from falldet.visualization.overlay import GRAY, RED, draw_overlay, draw_zones


@pytest.fixture
def people(people_factory: Callable[..., People]) -> People:
    return people_factory((100, 120), (200, 120)).with_track_ids(np.array([3, NO_TRACK]))


def event(track_id: int) -> Event:
    return Event("3-1", "a", track_id, 1.0, 2.0, None, 2.5, 0.9, EventState.FALLEN, (0.0, 0.0, 9.0, 9.0))


def near(image: np.ndarray, color: tuple[int, int, int]) -> int:
    """Number of pixels of about this color."""
    return int((np.abs(image.astype(int) - color).max(axis=2) < 12).sum())


@pytest.mark.parametrize("skeleton_only", [False, True])
def test_draw_overlay_leaves_its_image_as_it_is(people: People, skeleton_only: bool) -> None:
    image = np.full((240, 320, 3), 90, np.uint8)
    zone = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.4))
    drawn = draw_overlay(image, people, {3: 0.9}, {3: event(3)}, 0.5, (zone,), skeleton_only)
    assert (image == 90).all()
    assert drawn.shape == image.shape
    assert not np.shares_memory(drawn, image)
    assert (near(drawn, (90, 90, 90)) > drawn[..., 0].size / 2) is not skeleton_only


def test_draw_overlay_draws_events_red_and_unconfirmed_people_gray(people: People) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    calm, alarmed = (draw_overlay(image, people, {}, events, 0.5) for events in ({}, {3: event(3)}))
    assert near(calm, RED) == 0
    assert near(alarmed, RED) > 2 * (240 + 320)  # a frame at least one pixel wide
    assert near(calm, GRAY) > 20


def test_draw_zones_outlines_polygons_in_place() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    draw_zones(image, [((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))])
    assert image[60, 100:220].max(axis=1).min() > 100
    assert image[:50].max() == 0
