"""The overlay: drawn into a copy of the frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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


def red_center(image: np.ndarray) -> np.ndarray:
    """Mean (x, y) of the red pixels off the frame and the title of an alarm."""
    red = (np.abs(image.astype(int) - RED).max(axis=2) < 40)[60:-12, 12:-12]
    return np.argwhere(red).mean(axis=0)[::-1] + np.array([12, 60])


@pytest.mark.parametrize(
    ("last_boxes", "center"), [(None, (60, 145)), ({7: np.array([200, 160, 290, 200])}, (245, 175))]
)
def test_draw_overlay_marks_where_a_person_without_a_skeleton_has_fallen(
    people: People, last_boxes: dict[int, np.ndarray] | None, center: tuple[float, float]
) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    fallen = {7: replace(event(7), box=(20.0, 130.0, 100.0, 170.0))}
    drawn = draw_overlay(image, People.none(), {}, fallen, 0.5, last_boxes=last_boxes)
    assert red_center(drawn) == pytest.approx(center, abs=15)
    skeleton = draw_overlay(image, people.with_track_ids(np.array([7, NO_TRACK])), {}, fallen, 0.5)
    assert np.abs(skeleton[150:180, 15:25].astype(int) - RED).max(axis=2).min() > 40  # no mark beside a skeleton
