"""The recognizer's input: resampling, normalization and preparation of windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.stages.preprocessing import (
    MAX_GAP_S,
    STALE_S,
    WINDOW_FRAMES,
    causal_input,
    normalize,
    prepare,
    resample,
    sample_causal,
    uniform_indices,
)
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
def test_normalize_leaves_missing_joints_at_0_and_no_others(mode: str) -> None:
    keypoints, scores = motion()
    moved = normalize(keypoints, scores, HW, mode)  # type: ignore[arg-type]
    assert moved.dtype == np.float32
    assert (moved[scores == 0] == 0).all()
    assert (moved[scores > 0] != 0).any(axis=-1).all()


def test_normalize_image_maps_the_frame_to_minus_1_1() -> None:
    keypoints = np.array([[[0, 0], [640, 480], [320, 240], [480, 120], [10, 10]]], np.float32)
    scores = np.array([[1, 1, 1, 1, 0]], np.float32)
    expected = [[[-1, -1], [1, 1], [0, 0], [0.5, -0.5], [0, 0]]]
    np.testing.assert_allclose(normalize(keypoints, scores, HW, "image"), expected, atol=1e-7)


def test_normalize_image_equals_mmaction() -> None:
    """MMAction2's PreNormalize2D: (xy - size / 2) / (size / 2)."""
    keypoints, scores = motion(missing=0)
    expected = keypoints / (np.array([640, 480]) / 2) - 1
    np.testing.assert_allclose(normalize(keypoints, scores, HW, "image"), expected, atol=1e-6)


def test_normalize_person_by_hand() -> None:
    """The median of the box centers is the origin, the median of the longer sides is the unit."""
    steps = [((0, 0), (10, 20)), ((100, 0), (140, 20)), ((200, 0), (210, 30))]  # longer sides 20, 40, 30
    keypoints = np.array(steps, np.float32)
    moved = normalize(keypoints, np.ones((3, 2), np.float32), HW, "person")
    np.testing.assert_allclose(moved, (keypoints - [120, 10]) / 30, atol=1e-6)


@given(st.integers(0, 50), st.floats(-500, 500), st.floats(-500, 500), st.floats(0.3, 4))
@settings(max_examples=40, deadline=None)
def test_normalize_person_is_invariant_to_position_and_scale(
    seed: int, right: float, down: float, scale: float
) -> None:
    keypoints, scores = motion(seed)
    moved = (keypoints * np.float32(scale) + np.float32([right, down])) * (scores[..., None] > 0)
    np.testing.assert_allclose(
        normalize(moved, scores, (999, 999), "person"), normalize(keypoints, scores, HW, "person"), atol=1e-4
    )


def test_normalize_person_keeps_the_path_through_the_window() -> None:
    keypoints, scores = motion(missing=0)
    walking = keypoints + np.arange(20, dtype=np.float32)[:, None, None] * [20, 0]
    still = normalize(keypoints, scores, HW, "person")[..., 0].mean(axis=1)
    moved = normalize(walking, scores, HW, "person")[..., 0].mean(axis=1)
    assert np.ptp(moved) > np.ptp(still) + 0.5


def test_normalize_person_ignores_frames_without_joints() -> None:
    keypoints, scores = motion(missing=0)
    expected = normalize(keypoints, scores, HW, "person")
    gap = np.zeros((5, 17, 2), np.float32), np.zeros((5, 17), np.float32)
    longer = normalize(np.concatenate([keypoints, gap[0]]), np.concatenate([scores, gap[1]]), HW, "person")
    np.testing.assert_allclose(longer[:20], expected, atol=1e-6)
    assert (longer[20:] == 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("joints", [0, 1])
def test_normalize_gives_finite_numbers_of_no_joint_and_of_one(mode: str, joints: int) -> None:
    scores = np.zeros((2, 6, 17), np.float32)
    scores[..., :joints] = 1
    keypoints = np.full((2, 6, 17, 2), 50, np.float32) * (scores[..., None] > 0)
    assert np.isfinite(normalize(keypoints, scores, HW, mode)).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_normalize_treats_each_person_of_a_batch_alone(mode: str) -> None:
    pairs = [motion(seed) for seed in range(3)]
    keypoints, scores = (np.stack(values) for values in zip(*pairs, strict=True))
    together = normalize(keypoints, scores, HW, mode)  # type: ignore[arg-type]
    for row, (pose, score) in enumerate(pairs):
        np.testing.assert_allclose(together[row], normalize(pose, score, HW, mode), atol=1e-6)  # type: ignore[arg-type]


def test_normalize_refuses_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match="'hip' must be 'image' or 'person'"):
        normalize(*motion(), HW, "hip")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("frames", [1, 30, 48])
def test_prepare_gives_the_shape_of_the_recognizer(mode: str, frames: int) -> None:
    windows = [window(seed, steps) for seed, steps in enumerate((1, 7, 20, 60))]
    batch = prepare(windows, mode, frames)  # type: ignore[arg-type]
    assert batch.shape == (4, 1, frames, 17, 3)
    assert batch.dtype == np.float32
    for row, one in enumerate(windows):
        np.testing.assert_array_equal(batch[row], prepare([one], mode, frames)[0])  # type: ignore[arg-type]


def test_prepare_gives_the_scores_of_the_resampled_window() -> None:
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


def window_at(times: list[float], start_s: float = 0.0, stop_s: float = 2.0) -> Window:
    values = np.array(times)
    keypoints = np.broadcast_to(values[:, None, None], (len(values), 17, 2)).astype(np.float32)
    return Window(1, start_s, stop_s, values, keypoints, np.ones((len(values), 17), np.float32), HW)


def test_resample_takes_the_observation_nearest_to_each_time() -> None:
    keypoints, scores = resample(window_at([0.1, 0.6, 1.1, 1.9]), frames=4)  # times 0.25, 0.75, 1.25, 1.75
    np.testing.assert_allclose(keypoints[:, 0, 0], [0.1, 0.6, 1.1, 1.9])
    assert scores.shape == (4, 17)
    keypoints, _ = resample(window_at([0.7, 0.8]), frames=4)  # held before the first and after the last
    np.testing.assert_allclose(keypoints[:, 0, 0], [0.7, 0.7, 0.8, 0.8])
    keypoints, _ = resample(window_at([1.3]), frames=4)
    np.testing.assert_allclose(keypoints[:, 0, 0], [1.3] * 4)


@given(st.lists(st.floats(0, 1.99), min_size=1, max_size=70, unique=True).map(sorted), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_resample_equals_a_search_for_the_nearest(times: list[float], frames: int) -> None:
    found = resample(window_at(times), frames)[0][:, 0, 0]
    moments = (np.arange(frames) + 0.5) * 2.0 / frames
    distances = np.abs(np.array(times)[None] - moments[:, None]).min(axis=1)
    np.testing.assert_allclose(np.abs(found - moments), distances, atol=1e-6)
    assert (np.diff(found) >= 0).all()


@given(st.lists(st.floats(0, 1.99), min_size=1, max_size=70, unique=True).map(sorted), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_uniform_indices_leave_a_resampled_window_unchanged(times: list[float], frames: int) -> None:
    keypoints, _ = resample(window_at(times), frames)
    np.testing.assert_array_equal(keypoints[uniform_indices(frames, frames)], keypoints)


def test_prepare_resamples_as_training_does() -> None:
    keypoints, scores = resample(window(4, 31))
    batch = prepare([window(4, 31)], "image")
    assert batch.shape[2] == WINDOW_FRAMES
    np.testing.assert_array_equal(batch[0, 0, ..., :2], normalize(keypoints, scores, HW, "image"))
    np.testing.assert_array_equal(batch[0, 0, ..., 2], scores)


def test_resample_takes_no_observation_from_before_the_window() -> None:
    inside = window_at([0.1, 0.6, 1.1, 1.9])
    np.testing.assert_array_equal(resample(window_at([-0.2, 0.1, 0.6, 1.1, 1.9]))[0], resample(inside)[0])


def test_sample_causal_interpolates_and_ends_with_the_window() -> None:
    keypoints, scores, valid = sample_causal(window_at([0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.0 - 1e-9]), frames=8)
    np.testing.assert_allclose(keypoints[:, 0, 0], np.arange(1, 9) * 0.25, atol=1e-6)
    assert scores.shape == (8, 17)
    assert valid.tolist() == [1] * 8


def test_sample_causal_uses_the_observation_before_the_window() -> None:
    keypoints, _, valid = sample_causal(window_at([-0.1, 0.2]), frames=20)
    np.testing.assert_allclose(keypoints[:2, 0, 0], [0.1, 0.2], atol=1e-6)
    assert valid[:2].tolist() == [1, 1]


def test_sample_causal_holds_poses_across_long_gaps_and_at_the_ends() -> None:
    gap_s = MAX_GAP_S + 0.45
    keypoints, _, valid = sample_causal(window_at([0.5, 0.5 + gap_s]), frames=40)
    moments = np.arange(1, 41) * 0.05
    nearest = np.where(moments < 0.5 + gap_s / 2, 0.5, 0.5 + gap_s)
    clear = np.abs(moments - 0.5 - gap_s / 2) > 1e-6
    np.testing.assert_allclose(keypoints[clear, 0, 0], nearest[clear], atol=1e-6)
    distance = np.minimum(np.abs(moments - 0.5), np.abs(moments - 0.5 - gap_s))
    clear = np.abs(distance - STALE_S) > 1e-6
    np.testing.assert_array_equal(valid[clear], ((moments >= 0.5 - 1e-9) & (distance <= STALE_S))[clear])
    assert valid[0] == 0, "not valid before the track begins"


def test_sample_causal_takes_a_joint_seen_on_one_side_from_the_nearer_observation() -> None:
    sides = window_at([1.0, 1.3])
    sides.scores[0, 3] = 0
    keypoints, scores, _ = sample_causal(sides, frames=20)  # every 0.1 s
    assert scores[10, 3] == 0
    assert scores[11, 3] == 1
    assert keypoints[11, 3, 0] == pytest.approx(1.3)
    assert keypoints[11, 4, 0] == pytest.approx(1.2)


@pytest.mark.parametrize("fps", [8.0, 10.0, 15.0, 30.0])
def test_sample_causal_hardly_depends_on_the_rate_of_observations(fps: float) -> None:
    def at_rate(rate: float) -> Window:
        times = np.arange(0, 2, 1 / rate)
        xy = 100 + 30 * np.sin(2 * times)[:, None, None] * np.linspace(0.5, 1, 17)[:, None]
        poses = np.broadcast_to(xy, (len(times), 17, 2)).astype(np.float32)
        return Window(1, 0.0, 2.0, times, poses, np.ones((len(times), 17), np.float32), HW)

    fine, coarse = sample_causal(at_rate(60.0))[0], sample_causal(at_rate(fps))[0]
    moments = np.arange(1, 49) * 2 / 48
    held = moments > np.arange(0, 2, 1 / fps)[-1]
    assert np.abs(fine - coarse)[~held].max() < 1.0


def test_causal_input_by_hand() -> None:
    steps = [((0, 0), (10, 20)), ((100, 0), (140, 20)), ((200, 0), (210, 30))]  # longer sides 20, 40, 30
    keypoints, valid = np.array([steps], np.float32), np.array([[1, 1, 1]], np.float32)
    batch = causal_input(keypoints, np.ones((1, 3, 2), np.float32), valid)
    np.testing.assert_allclose(batch[..., :2], (keypoints - [120, 10]) / 36, atol=1e-6)  # 80th percentile
    assert (batch[..., 2:] == 1).all()


def test_causal_input_measures_the_person_over_valid_frames_alone() -> None:
    keypoints, scores = motion(1, 20, missing=0)
    valid = np.ones(20, np.float32)
    valid[:8] = 0
    other = keypoints.copy()
    other[:8] *= 3
    batch = causal_input(np.stack([keypoints, other]), np.stack([scores, scores]), np.stack([valid, valid]))
    np.testing.assert_allclose(batch[0, 8:], batch[1, 8:], atol=1e-6)
    assert (batch[:, :8, :, 3] == 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("joints", [0, 1])
def test_causal_input_gives_finite_numbers_of_no_joint_and_of_one(joints: int) -> None:
    scores = np.zeros((2, 6, 17), np.float32)
    scores[..., :joints] = 1
    for valid in (np.zeros((2, 6)), np.ones((2, 6))):
        assert np.isfinite(causal_input(np.full((2, 6, 17, 2), 50.0), scores, valid)).all()


def test_prepare_gives_causal_windows_one_by_one_or_together() -> None:
    windows = [window(seed, steps) for seed, steps in enumerate((1, 7, 20, 60))]
    batch = prepare(windows, "person_causal")
    assert batch.shape == (4, WINDOW_FRAMES, 17, 4)
    assert batch.dtype == np.float32
    for row, one in enumerate(windows):
        np.testing.assert_array_equal(batch[row], prepare([one], "person_causal")[0])
    assert (batch[..., :2][batch[..., 2] == 0] == 0).all()
