"""Augmented windows: what each transform changes, what it leaves alone, and its seeded randomness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)
from falldet.openmmlab.augmentation import (
    LEGS,
    DistortSkeleton,
    DropJoints,
    HoldPose,
    StartLate,
    WalkSkeleton,
)

pytestmark = pytest.mark.openmmlab

KINDS = (WalkSkeleton, StartLate, HoldPose, DistortSkeleton, DropJoints)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The transforms seed their generators from numpy's global one."""
    np.random.seed(0)  # noqa: NPY002


def sample(rng: np.random.Generator, label: int = 0) -> dict[str, Any]:
    """A window of a person who moves to the right, one joint missing."""
    keypoints = rng.uniform(100, 300, (1, 1, 17, 2)) + np.arange(48)[None, :, None, None] * [1.0, 0.0]
    scores = np.full((1, 48, 17), 0.8, np.float32)
    scores[0, :, 3] = 0
    valid = np.ones(48, np.float32)
    return {"keypoint": keypoints.astype(np.float32), "keypoint_score": scores, "valid": valid, "label": label}


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_keeps_shapes_and_missing_joints(kind: Callable, rng: np.random.Generator) -> None:
    transform = kind(share=1.0)
    for label in (0, 1) * 10:
        given = sample(rng, label)
        before = {name: np.copy(value) for name, value in given.items()}
        after = transform.transform(given)
        changed = False
        for name, value in before.items():
            assert np.shape(after[name]) == value.shape
            assert np.asarray(after[name]).dtype == value.dtype
            assert np.isfinite(after[name]).all()
            changed |= not np.array_equal(after[name], value)
        assert (after["keypoint_score"][0, :, 3] == 0).all()
        assert changed


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_changes_its_share_of_the_windows(kind: Callable, rng: np.random.Generator) -> None:
    transform, untouched = kind(share=0.25), 0
    for _ in range(200):
        given = sample(rng)
        before = {name: np.copy(value) for name, value in given.items()}
        transform.transform(given)
        untouched += all(np.array_equal(given[name], value) for name, value in before.items())
    assert 125 <= untouched <= 175
    with pytest.raises(ValueError, match=r"share = 1\.5"):
        kind(share=1.5)


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_repeats_with_the_seed_of_the_run(kind: Callable) -> None:
    runs = []
    for seed in (3, 3, 4):
        np.random.seed(seed)  # noqa: NPY002
        transform, given = kind(share=1.0), sample(np.random.default_rng(0))
        after = transform.transform(given)
        runs.append([after[name].tobytes() for name in ("keypoint", "keypoint_score", "valid")])
    assert runs[0] == runs[1] != runs[2]


def test_start_late_holds_the_first_pose_and_marks_it(rng: np.random.Generator) -> None:
    given = sample(rng)
    before = given["keypoint"].copy()
    after = StartLate(share=1.0).transform(given)
    first = int(after["valid"].argmax())
    assert 1 <= first <= 24
    assert (after["keypoint"][:, :first] == before[:, first : first + 1]).all()
    assert (after["keypoint"][:, first:] == before[:, first:]).all()
    assert (after["valid"][first:] == 1).all()


def test_hold_pose_repeats_the_poses_around_a_gap_and_marks_its_stale_middle(rng: np.random.Generator) -> None:
    for _ in range(50):
        given = sample(rng)
        before = given["keypoint"].copy()
        after = HoldPose(share=1.0).transform(given)
        moved = np.flatnonzero((after["keypoint"] != before).any(axis=(0, 2, 3)))
        start, stop = moved[0], moved[-1] + 1
        assert stop - start <= 12
        repeats = {step for step in range(48) if np.array_equal(after["keypoint"][0, step], before[0, start - 1])}
        assert start in repeats
        assert (after["valid"] == 0).sum() <= max(stop - start - 6, 0)


def test_walk_skeleton_lets_the_person_grow_evenly_and_a_faller_walk_at_the_beginning(rng: np.random.Generator) -> None:
    walk = WalkSkeleton(share=1.0, shift=(0.0, 0.0), growth=2.0)
    for label in (0, 1):
        given = sample(rng, label)
        before = given["keypoint"].copy()
        after = walk.transform(given)["keypoint"]
        size, now = np.ptp(before, axis=(2,)).max(axis=-1)[0], np.ptp(after, axis=(2,)).max(axis=-1)[0]
        steps = np.diff(now / size)
        assert (steps >= -1e-4).all() or (steps <= 1e-4).all()
        if label:
            np.testing.assert_allclose(after[:, 18:], before[:, 18:], atol=1e-2)


def test_distort_skeleton_with_all_parameters_off_changes_nothing(rng: np.random.Generator) -> None:
    given = sample(rng)
    before = given["keypoint"].copy()
    after = DistortSkeleton(tilt_degrees=0, stretch=1, jitter=0).transform(given)
    np.testing.assert_allclose(after["keypoint"], before, atol=1e-3)


def test_distort_skeleton_leaves_a_window_without_joints_alone() -> None:
    given = {"keypoint": np.zeros((1, 48, 17, 2), np.float32), "keypoint_score": np.zeros((1, 48, 17), np.float32)}
    assert (DistortSkeleton().transform(given)["keypoint"] == 0).all()


def test_drop_joints_drops_the_legs(rng: np.random.Generator) -> None:
    after = DropJoints(lowest_factor=1.0, joint=0.0, limb=0.0, legs=1.0).transform(sample(rng))
    assert (after["keypoint_score"][..., LEGS] == 0).all()
    assert (after["keypoint_score"][..., [0, 1, 2, 4, 5, 11, 12]] == np.float32(0.8)).all()
