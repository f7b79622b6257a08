"""Geometry: values worked out by hand, and properties that hold for any input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from falldet.geometry import (
    Polygon,
    box_area,
    box_containment,
    box_iou,
    checked_polygons,
    keypoint_boxes,
    object_keypoint_similarity,
    point_in_polygon,
    square_boxes,
)
from falldet.skeleton import JOINT_COUNT, OKS_SIGMAS

sides = st.floats(-2000, 4000, width=32, allow_subnormal=False)
box_lists = hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.just(4)), elements=sides)
poses = hnp.arrays(np.float32, (3, JOINT_COUNT, 2), elements=st.floats(0, 2000, width=32, allow_subnormal=False))


def test_box_area_of_a_box_and_of_an_inverted_one() -> None:
    boxes = np.array([[0, 0, 4, 3], [2, 2, 2, 9], [5, 5, 1, 1]], np.float32)
    assert box_area(boxes).tolist() == [12, 0, 0]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 4, 4), 1.0),
        ((2, 0, 6, 4), 8 / 24),
        ((2, 2, 6, 6), 4 / 28),
        ((1, 1, 3, 3), 4 / 16),
        ((4, 0, 8, 4), 0.0),
        ((9, 9, 12, 12), 0.0),
        ((2, 2, 2, 2), 0.0),
    ],
    ids=["the same", "half", "corner", "inside", "touching", "apart", "empty"],
)
def test_box_iou_by_hand(other: tuple[int, ...], expected: float) -> None:
    boxes = np.array([[0, 0, 4, 4]], np.float32)
    assert box_iou(boxes, np.array([other], np.float32))[0, 0] == pytest.approx(expected)


def test_box_iou_of_two_empty_boxes_is_0() -> None:
    empty = np.zeros((1, 4), np.float32)
    assert box_iou(empty, empty).tolist() == [[0.0]]


@given(box_lists, box_lists)
@settings(deadline=None)
def test_box_iou_is_symmetric_and_in_0_1(boxes_a: np.ndarray, boxes_b: np.ndarray) -> None:
    overlap = box_iou(boxes_a, boxes_b)
    assert overlap.shape == (len(boxes_a), len(boxes_b))
    assert ((overlap >= 0) & (overlap <= 1 + 1e-5)).all()
    np.testing.assert_allclose(overlap, box_iou(boxes_b, boxes_a).T, atol=1e-6)


def test_square_boxes_have_the_longer_side_around_the_same_center() -> None:
    boxes = np.array([[10, 20, 50, 100], [0, 0, 80, 40]], np.float32)
    np.testing.assert_allclose(square_boxes(boxes, 1.25), [[-20, 10, 80, 110], [-10, -30, 90, 70]])


def test_square_boxes_change_little_in_a_fall() -> None:
    standing, lying = np.array([[0, 0, 40, 160]], np.float32), np.array([[-60, 60, 100, 100]], np.float32)
    assert box_iou(standing, lying)[0, 0] < 0.15
    assert box_iou(square_boxes(standing), square_boxes(lying))[0, 0] == pytest.approx(1.0)


def test_keypoint_boxes_contain_the_visible_joints() -> None:
    keypoints = np.array([[[5, 9], [1, 2], [100, 100]], [[3, 3], [4, 4], [5, 5]]], np.float32)
    scores = np.array([[0.9, 0.4, 0.0], [0, 0, 0]], np.float32)
    assert keypoint_boxes(keypoints, scores).tolist() == [[1, 2, 5, 9], [0, 0, 0, 0]]
    assert keypoint_boxes(keypoints, scores, min_score=0.5)[0].tolist() == [5, 9, 5, 9]


def test_object_keypoint_similarity_of_one_joint_by_hand() -> None:
    here, there = np.zeros((1, 1, 2), np.float32), np.array([[[3, 4]]], np.float32)
    similarity = object_keypoint_similarity(here, there, np.ones((1, 1, 1)), np.array([400.0]), sigmas=np.array([0.1]))
    assert similarity[0, 0] == pytest.approx(np.exp(-25 / (2 * 400 * 0.2**2)))


def test_object_keypoint_similarity_weights_the_joints() -> None:
    here = np.zeros((1, 2, 2), np.float32)
    there = np.array([[[0, 0], [1e4, 0]]], np.float32)  # one joint the same, one far away

    def similarity(weights: list[float]) -> float:
        return float(
            object_keypoint_similarity(
                here, there, np.array([[weights]]), np.array([100.0]), sigmas=np.array([0.1, 0.1])
            )[0, 0]
        )

    assert similarity([1, 1]) == pytest.approx(0.5)
    assert similarity([3, 1]) == pytest.approx(0.75)
    assert similarity([0, 1]) == pytest.approx(0.0)
    assert similarity([0, 0]) == 0.0


@given(poses, st.floats(1, 1e6))
@settings(max_examples=50, deadline=None)
def test_object_keypoint_similarity_of_a_pose_with_itself_is_1_and_all_are_in_0_1(
    keypoints: np.ndarray, area: float
) -> None:
    weights = np.ones((3, 3, JOINT_COUNT))
    similarity = object_keypoint_similarity(keypoints, keypoints, weights, np.full(3, area), OKS_SIGMAS)
    np.testing.assert_allclose(np.diag(similarity), 1.0, atol=1e-6)
    assert ((similarity >= 0) & (similarity <= 1 + 1e-6)).all()
    np.testing.assert_allclose(similarity, similarity.T, atol=1e-6)


@given(poses, st.floats(-100, 100), st.floats(-100, 100))
@settings(max_examples=50, deadline=None)
def test_object_keypoint_similarity_falls_with_the_distance(keypoints: np.ndarray, right: float, down: float) -> None:
    def similarity(share: float) -> float:
        moved = keypoints[:1] + np.float32([right, down]) * np.float32(share)
        return float(
            object_keypoint_similarity(keypoints[:1], moved, np.ones((1, 1, JOINT_COUNT)), np.array([1e4]))[0, 0]
        )

    assert similarity(0.0) + 1e-6 >= similarity(0.5)
    assert similarity(0.5) + 1e-4 >= similarity(1.0)


def test_box_containment_is_1_if_one_box_contains_the_other() -> None:
    boxes = np.array([[0, 0, 10, 10], [2, 2, 4, 4], [8, 0, 18, 10], [30, 30, 30, 40]], np.float32)
    expected = [[1, 1, 0.2, 0], [1, 1, 0, 0], [0.2, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(box_containment(boxes, boxes), expected, atol=1e-6)


SQUARE = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6))
ANGLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.3), (0.3, 0.3), (0.3, 1.0), (0.0, 1.0))  # the letter Γ


@pytest.mark.parametrize(
    ("point", "polygon", "inside"),
    [
        ((0.4, 0.4), SQUARE, True),
        ((0.7, 0.4), SQUARE, False),
        ((0.4, 0.1), SQUARE, False),
        ((0.1, 0.4), SQUARE, False),
        ((0.1, 0.9), ANGLE, True),
        ((0.9, 0.1), ANGLE, True),
        ((0.9, 0.9), ANGLE, False),
        ((0.9, 0.9), ((0.8, 0.8), (1.0, 0.8), (1.0, 1.0)), True),
    ],
)
def test_point_in_polygon(point: tuple[float, float], polygon: Polygon, inside: bool) -> None:
    turned = (*polygon[2:], *polygon[:2])
    for each in (polygon, turned, turned[::-1]):
        assert point_in_polygon(np.array(point), each) is inside


def test_checked_polygons_become_tuples() -> None:
    assert checked_polygons([[[0.2, 0.2], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]]]) == (SQUARE,)
    assert checked_polygons([]) == ()
