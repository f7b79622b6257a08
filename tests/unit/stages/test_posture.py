"""How much a pose looks like lying."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.skeleton import HIPS, SHOULDERS
from falldet.stages.posture import UNKNOWN as CANT_TELL
from falldet.stages.posture import lying_degree, read_postures
from falldet.synthetic import SCENES
from falldet.types import People

FALLING = SCENES["fall_forward"]().truth(3.2)
LYING, UPRIGHT = 0.6, 0.4  # the shipped thresholds of configs/demo.py


def turned(people: People, degrees: float) -> np.ndarray:
    """The keypoints of `people`, each person turned around the hips."""
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    center = people.keypoints[:, list(HIPS)].mean(axis=1, keepdims=True)
    return (people.keypoints - center) @ rotation.T + center


def test_degree_rises_from_standing_to_lying(people_factory: Callable[..., People]) -> None:
    people = people_factory((100, 200))
    degrees = [float(lying_degree(turned(people, angle), people.scores)[0]) for angle in range(0, 91, 15)]
    assert degrees == sorted(degrees)
    assert degrees[0] < 0.2
    assert degrees[-1] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("degrees", [90, -90])
@pytest.mark.parametrize("height_px", [30, 400])
def test_lying_either_way_and_at_any_distance(
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
def test_postures_of_the_drawn_scenes(name: str, time_s: float, lowest: float, highest: float) -> None:
    people = SCENES[name]().truth(time_s)
    assert lowest <= lying_degree(people.keypoints, people.scores)[0] <= highest


def test_without_the_torso_the_width_decides(people_factory: Callable[..., People]) -> None:
    people = people_factory((100, 200))
    scores = people.scores.copy()
    scores[:, [*SHOULDERS, *HIPS]] = 0
    assert lying_degree(people.keypoints, scores)[0] < UPRIGHT
    assert lying_degree(turned(people, 90), scores)[0] > LYING


def test_one_shoulder_and_one_hip_are_enough(people_factory: Callable[..., People]) -> None:
    people = people_factory((100, 200))
    scores = people.scores.copy()
    scores[:, [SHOULDERS[0], HIPS[1]]] = 0
    assert lying_degree(people.keypoints, scores)[0] < UPRIGHT
    assert lying_degree(turned(people, 90), scores)[0] > LYING


def test_missing_joints_have_no_say(people_factory: Callable[..., People]) -> None:
    people = people_factory((100, 200), (400, 200))
    scores = people.scores.copy()
    scores[:, 9:11] = 0
    keypoints = people.keypoints.copy()
    before = lying_degree(keypoints, scores)
    keypoints[:, 9:11] = 1e4
    np.testing.assert_array_equal(lying_degree(keypoints, scores), before)


def test_nobody_and_somebody_without_a_joint() -> None:
    assert lying_degree(np.zeros((0, 17, 2)), np.zeros((0, 17))).shape == (0,)
    assert np.isfinite(lying_degree(np.zeros((1, 17, 2)), np.zeros((1, 17)))).all()


@given(st.floats(0, 360), st.floats(-300, 300), st.floats(-300, 300), st.floats(0.2, 5))
@settings(deadline=None)
def test_degree_lies_in_0_1_whatever_place_and_size(angle: float, right: float, down: float, scale: float) -> None:
    keypoints = FALLING.keypoints * scale + np.float32([right, down])
    people = People(keypoints, np.ones(keypoints.shape[:2]), np.zeros((1, 4)), np.ones(1))
    degree = lying_degree(turned(people, angle), people.scores)
    assert 0 <= degree[0] <= 1


def test_people_within_the_picture_are_not_cut_off(people_factory: Callable[..., People]) -> None:
    people = people_factory((300, 240), (500, 240))
    postures = read_postures(people.keypoints, people.scores, (480, 640))
    assert not postures.truncated.any()
    np.testing.assert_array_equal(postures.lying, lying_degree(people.keypoints, people.scores))


def test_a_pair_of_shoulders_at_the_lower_edge_does_not_lie(people_factory: Callable[..., People]) -> None:
    people = people_factory((300, 440), height_px=200)
    scores = people.scores.copy()
    scores[:, 7:] = 0  # nothing below the shoulders
    keypoints = np.where(scores[..., None] > 0, people.keypoints, 0)
    bottom = int(keypoints[..., 1].max()) + 1
    assert lying_degree(keypoints, scores)[0] > LYING
    postures = read_postures(keypoints, scores, (bottom, 640))
    assert postures.truncated[0]
    assert postures.lying[0] == CANT_TELL


def test_somebody_who_lies_at_the_edge_lies(people_factory: Callable[..., People]) -> None:
    people = people_factory((300, 240), height_px=200)
    lying = turned(people, 90)
    postures = read_postures(lying, people.scores, (480, int(lying[..., 0].max()) + 2))
    assert postures.truncated[0]
    assert postures.lying[0] > 0.95


def test_nobody_has_no_posture() -> None:
    postures = read_postures(np.zeros((0, 17, 2)), np.zeros((0, 17)), (480, 640))
    assert postures.lying.shape == postures.truncated.shape == (0,)


def test_the_place_is_the_hips_in_shares_of_the_picture(people_factory: Callable[..., People]) -> None:
    people = people_factory((100, 200), (300, 100))
    places = read_postures(people.keypoints, people.scores, (400, 1000)).places
    np.testing.assert_allclose(places, [[0.1, 0.5], [0.3, 0.25]], atol=1e-5)
    scores = people.scores.copy()
    scores[:, list(HIPS)] = 0
    places = read_postures(people.keypoints, scores, (400, 1000)).places
    assert places[0] == pytest.approx([0.1, 0.5], abs=0.01), "without hips the middle of the other joints"
