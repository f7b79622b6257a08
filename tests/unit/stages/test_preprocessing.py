"""The recognizer's input: normalization and preparation of windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.stages.recognizer import normalize, prepare, uniform_indices
from falldet.types import Window

HW = (480, 640)
MODES = ("image", "person")


def motion(seed: int = 0, steps: int = 20, missing: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Random keypoints (T, 17, 2) and scores (T, 17), some joints missing."""
    generator = np.random.default_rng(seed)
    scores = generator.uniform(0.1, 1, (steps, 17)) * (generator.random((steps, 17)) >= missing)
    keypoints = generator.uniform(100, 400, (steps, 17, 2)) * (scores[..., None] > 0)
    return keypoints.astype(np.float32), scores.astype(np.float32)


def window(seed: int = 0, steps: int = 20) -> Window:
    return Window(seed, 0.0, 2.0, np.arange(steps) * 2.0 / steps, *motion(seed, steps), HW)


@pytest.mark.parametrize("mode", MODES)
def test_missing_joints_stay_at_0_and_the_others_do_not(mode: str) -> None:
    keypoints, scores = motion()
    moved = normalize(keypoints, scores, HW, mode)  # type: ignore[arg-type]
    assert moved.dtype == np.float32
    assert (moved[scores == 0] == 0).all()
    assert (moved[scores > 0] != 0).any(axis=-1).all()


def test_image_mode_maps_the_frame_to_minus_1_1() -> None:
    keypoints = np.array([[[0, 0], [640, 480], [320, 240], [480, 120], [10, 10]]], np.float32)
    scores = np.array([[1, 1, 1, 1, 0]], np.float32)
    expected = [[[-1, -1], [1, 1], [0, 0], [0.5, -0.5], [0, 0]]]
    np.testing.assert_allclose(normalize(keypoints, scores, HW, "image"), expected, atol=1e-7)


def test_image_mode_is_that_of_the_reference() -> None:
    """MMAction2's PreNormalize2D: (xy - size / 2) / (size / 2)."""
    keypoints, scores = motion(missing=0)
    expected = keypoints / (np.array([640, 480]) / 2) - 1
    np.testing.assert_allclose(normalize(keypoints, scores, HW, "image"), expected, atol=1e-6)


def test_person_mode_by_hand() -> None:
    """The median of the box centers is the origin, the median of the longer sides is the unit."""
    steps = [((0, 0), (10, 20)), ((100, 0), (140, 20)), ((200, 0), (210, 30))]  # longer sides 20, 40, 30
    keypoints = np.array(steps, np.float32)
    moved = normalize(keypoints, np.ones((3, 2), np.float32), HW, "person")
    np.testing.assert_allclose(moved, (keypoints - [120, 10]) / 30, atol=1e-6)


@given(st.integers(0, 50), st.floats(-500, 500), st.floats(-500, 500), st.floats(0.3, 4))
@settings(max_examples=40, deadline=None)
def test_person_mode_depends_neither_on_place_nor_on_distance(
    seed: int, right: float, down: float, scale: float
) -> None:
    keypoints, scores = motion(seed)
    moved = (keypoints * np.float32(scale) + np.float32([right, down])) * (scores[..., None] > 0)
    np.testing.assert_allclose(
        normalize(moved, scores, (999, 999), "person"), normalize(keypoints, scores, HW, "person"), atol=1e-4
    )


def test_person_mode_keeps_the_way_through_the_window() -> None:
    keypoints, scores = motion(missing=0)
    walking = keypoints + np.arange(20, dtype=np.float32)[:, None, None] * [20, 0]
    still = normalize(keypoints, scores, HW, "person")[..., 0].mean(axis=1)
    moved = normalize(walking, scores, HW, "person")[..., 0].mean(axis=1)
    assert np.ptp(moved) > np.ptp(still) + 0.5


def test_person_mode_passes_over_steps_where_nobody_is_seen() -> None:
    keypoints, scores = motion(missing=0)
    expected = normalize(keypoints, scores, HW, "person")
    gap = np.zeros((5, 17, 2), np.float32), np.zeros((5, 17), np.float32)
    longer = normalize(np.concatenate([keypoints, gap[0]]), np.concatenate([scores, gap[1]]), HW, "person")
    np.testing.assert_allclose(longer[:20], expected, atol=1e-6)
    assert (longer[20:] == 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("joints", [0, 1])
def test_nobody_and_a_single_joint_give_finite_numbers_without_a_warning(mode: str, joints: int) -> None:
    scores = np.zeros((2, 6, 17), np.float32)
    scores[..., :joints] = 1
    keypoints = np.full((2, 6, 17, 2), 50, np.float32) * (scores[..., None] > 0)
    assert np.isfinite(normalize(keypoints, scores, HW, mode)).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_people_of_a_batch_are_normalised_each_for_themselves(mode: str) -> None:
    pairs = [motion(seed) for seed in range(3)]
    keypoints, scores = (np.stack(values) for values in zip(*pairs, strict=True))
    together = normalize(keypoints, scores, HW, mode)  # type: ignore[arg-type]
    for row, (pose, score) in enumerate(pairs):
        np.testing.assert_allclose(together[row], normalize(pose, score, HW, mode), atol=1e-6)  # type: ignore[arg-type]


def test_unknown_mode_is_named() -> None:
    with pytest.raises(ValueError, match="'hip' must be 'image' or 'person'"):
        normalize(*motion(), HW, "hip")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("frames", [1, 30, 48])
def test_prepared_windows_have_the_shape_of_the_recognizer(mode: str, frames: int) -> None:
    windows = [window(seed, steps) for seed, steps in enumerate((1, 7, 20, 60))]
    batch = prepare(windows, mode, frames)  # type: ignore[arg-type]
    assert batch.shape == (4, 1, frames, 17, 3)
    assert batch.dtype == np.float32
    for row, one in enumerate(windows):
        np.testing.assert_array_equal(batch[row], prepare([one], mode, frames)[0])  # type: ignore[arg-type]


def test_prepared_scores_are_those_of_the_resampled_window() -> None:
    batch = prepare([window(3, 48)], "image")
    np.testing.assert_array_equal(batch[0, 0, ..., 2], window(3, 48).scores)
    assert (batch[0, 0, ..., :2][window(3, 48).scores == 0] == 0).all()


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [(48, 48, list(range(48))), (4, 2, [1, 3]), (2, 4, [0, 0, 1, 1]), (1, 3, [0, 0, 0]), (10, 3, [1, 5, 8])],
)
def test_uniform_indices_are_the_middles_of_equal_parts(total: int, count: int, expected: list[int]) -> None:
    assert uniform_indices(total, count).tolist() == expected


@given(st.integers(1, 500), st.integers(1, 100))
@settings(deadline=None)
def test_uniform_indices_ascend_within_the_clip(total: int, count: int) -> None:
    indices = uniform_indices(total, count)
    assert len(indices) == count
    assert ((indices >= 0) & (indices < total)).all()
    assert (np.diff(indices) >= 0).all()
