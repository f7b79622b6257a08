"""Boxes and poses compared: values worked out by hand, and what must hold for any input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from falldet.geometry import (
    box_area,
    box_containment,
    box_iou,
    keypoint_boxes,
    object_keypoint_similarity,
    square_boxes,
)
from falldet.skeleton import JOINT_COUNT, OKS_SIGMAS

sides = st.floats(-2000, 4000, width=32, allow_subnormal=False)
box_lists = hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.just(4)), elements=sides)
poses = hnp.arrays(np.float32, (3, JOINT_COUNT, 2), elements=st.floats(0, 2000, width=32, allow_subnormal=False))


def test_area_of_a_box_and_of_one_turned_over() -> None:
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
    ids=["the same", "half beside", "corner", "inside", "touching", "apart", "empty"],
)
def test_intersection_over_union_by_hand(other: tuple[int, ...], expected: float) -> None:
    boxes = np.array([[0, 0, 4, 4]], np.float32)
    assert box_iou(boxes, np.array([other], np.float32))[0, 0] == pytest.approx(expected)


def test_two_empty_boxes_do_not_overlap() -> None:
    empty = np.zeros((1, 4), np.float32)
    assert box_iou(empty, empty).tolist() == [[0.0]]


@given(box_lists, box_lists)
@settings(deadline=None)
def test_intersection_over_union_is_symmetric_and_a_share(boxes_a: np.ndarray, boxes_b: np.ndarray) -> None:
    overlap = box_iou(boxes_a, boxes_b)
    assert overlap.shape == (len(boxes_a), len(boxes_b))
    assert ((overlap >= 0) & (overlap <= 1 + 1e-5)).all()
    np.testing.assert_allclose(overlap, box_iou(boxes_b, boxes_a).T, atol=1e-6)


def test_square_has_the_longer_side_around_the_same_center() -> None:
    boxes = np.array([[10, 20, 50, 100], [0, 0, 80, 40]], np.float32)
    np.testing.assert_allclose(square_boxes(boxes, 1.25), [[-20, 10, 80, 110], [-10, -30, 90, 70]])


def test_square_hardly_changes_when_a_body_tips_over() -> None:
    standing, lying = np.array([[0, 0, 40, 160]], np.float32), np.array([[-60, 60, 100, 100]], np.float32)
    assert box_iou(standing, lying)[0, 0] < 0.15
    assert box_iou(square_boxes(standing), square_boxes(lying))[0, 0] == pytest.approx(1.0)


def test_box_around_the_joints_that_are_seen() -> None:
    keypoints = np.array([[[5, 9], [1, 2], [100, 100]], [[3, 3], [4, 4], [5, 5]]], np.float32)
    scores = np.array([[0.9, 0.4, 0.0], [0, 0, 0]], np.float32)
    assert keypoint_boxes(keypoints, scores).tolist() == [[1, 2, 5, 9], [0, 0, 0, 0]]
    assert keypoint_boxes(keypoints, scores, min_score=0.5)[0].tolist() == [5, 9, 5, 9]


def test_similarity_of_one_joint_by_hand() -> None:
    here, there = np.zeros((1, 1, 2), np.float32), np.array([[[3, 4]]], np.float32)
    similarity = object_keypoint_similarity(here, there, np.ones((1, 1, 1)), np.array([400.0]), sigmas=np.array([0.1]))
    assert similarity[0, 0] == pytest.approx(np.exp(-25 / (2 * 400 * 0.2**2)))


def test_joints_count_by_their_weights() -> None:
    here = np.zeros((1, 2, 2), np.float32)
    there = np.array([[[0, 0], [1e4, 0]]], np.float32)  # one joint the same, one far away

    def alike(weights: list[float]) -> float:
        return float(
            object_keypoint_similarity(
                here, there, np.array([[weights]]), np.array([100.0]), sigmas=np.array([0.1, 0.1])
            )[0, 0]
        )

    assert alike([1, 1]) == pytest.approx(0.5)
    assert alike([3, 1]) == pytest.approx(0.75)
    assert alike([0, 1]) == pytest.approx(0.0)
    assert alike([0, 0]) == 0.0


@given(poses, st.floats(1, 1e6))
@settings(max_examples=50, deadline=None)
def test_a_pose_is_fully_alike_to_itself_and_all_lie_in_0_1(keypoints: np.ndarray, area: float) -> None:
    weights = np.ones((3, 3, JOINT_COUNT))
    similarity = object_keypoint_similarity(keypoints, keypoints, weights, np.full(3, area), OKS_SIGMAS)
    np.testing.assert_allclose(np.diag(similarity), 1.0, atol=1e-6)
    assert ((similarity >= 0) & (similarity <= 1 + 1e-6)).all()
    np.testing.assert_allclose(similarity, similarity.T, atol=1e-6)


@given(poses, st.floats(-100, 100), st.floats(-100, 100))
@settings(max_examples=50, deadline=None)
def test_similarity_falls_with_the_distance(keypoints: np.ndarray, right: float, down: float) -> None:
    def alike(share: float) -> float:
        moved = keypoints[:1] + np.float32([right, down]) * np.float32(share)
        return float(
            object_keypoint_similarity(keypoints[:1], moved, np.ones((1, 1, JOINT_COUNT)), np.array([1e4]))[0, 0]
        )

    assert alike(0.0) + 1e-6 >= alike(0.5)
    assert alike(0.5) + 1e-4 >= alike(1.0)


def test_containment_is_one_where_one_box_holds_the_other() -> None:
    boxes = np.array([[0, 0, 10, 10], [2, 2, 4, 4], [8, 0, 18, 10], [30, 30, 30, 40]], np.float32)
    expected = [[1, 1, 0.2, 0], [1, 1, 0, 0], [0.2, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(box_containment(boxes, boxes), expected, atol=1e-6)
