"""Postures: the lying degree, truncation by the image border, and positions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.skeleton import HIPS, SHOULDERS
from falldet.stages.events import EventSettings
from falldet.stages.posture import UNKNOWN, lying_degree, read_postures
from falldet.synthetic import SCENES
from falldet.types import People

FALLING = SCENES["fall_forward"]().truth(3.2)
LYING, UPRIGHT = EventSettings().lying_threshold, EventSettings().upright_threshold


def turned(people: People, degrees: float) -> np.ndarray:
    """The keypoints of `people`, each person turned around the hips."""
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    center = people.keypoints[:, list(HIPS)].mean(axis=1, keepdims=True)
    return (people.keypoints - center) @ rotation.T + center


def test_lying_degree_rises_from_standing_to_lying(people_factory: Callable[..., People]) -> None:
    people = people_factory((100, 200))
    degrees = [float(lying_degree(turned(people, angle), people.scores)[0]) for angle in range(0, 91, 15)]
    assert degrees == sorted(degrees)
    assert degrees[0] < 0.2
    assert degrees[-1] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("degrees", [90, -90])
@pytest.mark.parametrize("height_px", [30, 400])
def test_lying_degree_is_high_either_way_and_at_any_distance(
    people_factory: Callable[..., People], degrees: float, height_px: float
) -> None:
    people = people_factory((500, 500), height_px=height_px)
    assert lying_degree(turned(people, degrees), people.scores)[0] > 0.95


@pytest.mark.parametrize(
    ("name", "time_s", "lowest", "highest"),
    [
        ("sample", 0.5, 0.0, UPRIGHT),
        ("sample", 3.9, UPRIGHT, 0.8),  # bent over to the floor
        ("sample", 9.0, 0.9, 1.0),
        ("squat", 1.4, UPRIGHT, LYING),
        ("activities", 10.0, 0.0, UPRIGHT),  # sitting
        *((f"fall_{name}", 2.0, 0.0, UPRIGHT) for name in ("forward", "backward", "sideways", "corner")),
        *((f"fall_{name}", 5.5, 0.8, 1.0) for name in ("forward", "backward", "sideways", "left", "corner", "tilted")),
    ],
)
def test_lying_degree_of_the_synthetic_scenes(name: str, time_s: float, lowest: float, highest: float) -> None:
    people = SCENES[name]().truth(time_s)
    assert lowest <= lying_degree(people.keypoints, people.scores)[0] <= highest


def test_lying_degree_follows_the_width_without_a_torso(people_factory: Callable[..., People]) -> None:
    people = people_factory((100, 200))
    scores = people.scores.copy()
    scores[:, [*SHOULDERS, *HIPS]] = 0
    assert lying_degree(people.keypoints, scores)[0] < UPRIGHT
    assert lying_degree(turned(people, 90), scores)[0] > LYING


def test_lying_degree_needs_one_shoulder_and_one_hip(people_factory: Callable[..., People]) -> None:
    people = people_factory((100, 200))
    scores = people.scores.copy()
    scores[:, [SHOULDERS[0], HIPS[1]]] = 0
    assert lying_degree(people.keypoints, scores)[0] < UPRIGHT
    assert lying_degree(turned(people, 90), scores)[0] > LYING


def test_lying_degree_ignores_missing_joints(people_factory: Callable[..., People]) -> None:
    people = people_factory((100, 200), (400, 200))
    scores = people.scores.copy()
    scores[:, 9:11] = 0
    keypoints = people.keypoints.copy()
    before = lying_degree(keypoints, scores)
    keypoints[:, 9:11] = 1e4
    np.testing.assert_array_equal(lying_degree(keypoints, scores), before)


def test_lying_degree_takes_no_people_and_no_joints() -> None:
    assert lying_degree(np.zeros((0, 17, 2)), np.zeros((0, 17))).shape == (0,)
    assert np.isfinite(lying_degree(np.zeros((1, 17, 2)), np.zeros((1, 17)))).all()


@given(st.floats(0, 360), st.floats(-300, 300), st.floats(-300, 300), st.floats(0.2, 5))
@settings(deadline=None)
def test_lying_degree_is_in_0_1_at_any_position_and_size(angle: float, right: float, down: float, scale: float) -> None:
    keypoints = FALLING.keypoints * scale + np.float32([right, down])
    people = People(keypoints, np.ones(keypoints.shape[:2]), np.zeros((1, 4)), np.ones(1))
    degree = lying_degree(turned(people, angle), people.scores)
    assert 0 <= degree[0] <= 1


def test_read_postures_takes_no_person_inside_the_image_for_truncated(people_factory: Callable[..., People]) -> None:
    people = people_factory((300, 240), (500, 240))
    postures = read_postures(people.keypoints, people.scores, (480, 640))
    assert not postures.truncated.any()
    np.testing.assert_array_equal(postures.lying, lying_degree(people.keypoints, people.scores))


def test_read_postures_takes_no_shoulders_at_the_lower_border_for_lying(people_factory: Callable[..., People]) -> None:
    people = people_factory((300, 440), height_px=200)
    scores = people.scores.copy()
    scores[:, 7:] = 0  # nothing below the shoulders
    keypoints = np.where(scores[..., None] > 0, people.keypoints, 0)
    bottom = int(keypoints[..., 1].max()) + 1
    assert lying_degree(keypoints, scores)[0] > LYING
    postures = read_postures(keypoints, scores, (bottom, 640))
    assert postures.truncated[0]
    assert postures.lying[0] == UNKNOWN


def test_read_postures_takes_a_person_who_lies_at_the_border_for_lying(people_factory: Callable[..., People]) -> None:
    people = people_factory((300, 240), height_px=200)
    lying = turned(people, 90)
    postures = read_postures(lying, people.scores, (480, int(lying[..., 0].max()) + 2))
    assert postures.truncated[0]
    assert postures.lying[0] > 0.95


def test_read_postures_takes_no_people() -> None:
    postures = read_postures(np.zeros((0, 17, 2)), np.zeros((0, 17)), (480, 640))
    assert postures.lying.shape == postures.truncated.shape == (0,)


def test_read_postures_gives_the_hips_in_normalized_image_coordinates(people_factory: Callable[..., People]) -> None:
    people = people_factory((100, 200), (300, 100))
    positions = read_postures(people.keypoints, people.scores, (400, 1000)).positions
    np.testing.assert_allclose(positions, [[0.1, 0.5], [0.3, 0.25]], atol=1e-5)
    scores = people.scores.copy()
    scores[:, list(HIPS)] = 0
    positions = read_postures(people.keypoints, scores, (400, 1000)).positions
    assert positions[0] == pytest.approx([0.1, 0.5], abs=0.01), "without hips the center of the joints' box"
