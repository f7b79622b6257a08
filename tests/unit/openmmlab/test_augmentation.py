"""Augmented skeletons: shapes, missing joints, and no effect where it is off."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)
from falldet.openmmlab.augmentation import AugmentSkeleton

pytestmark = pytest.mark.openmmlab


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Transforms draw from numpy's global generator."""
    np.random.seed(0)  # noqa: NPY002


def sample(rng: np.random.Generator) -> dict:
    keypoints = rng.uniform(100, 300, (1, 48, 17, 2)).astype(np.float32)
    scores = rng.uniform(0.2, 1, (1, 48, 17)).astype(np.float32)
    scores[0, :, 3] = 0
    keypoints[scores == 0] = 0
    return {"keypoint": keypoints, "keypoint_score": scores}


def test_augment_skeleton_leaves_the_given_arrays_and_missing_joints_alone(rng: np.random.Generator) -> None:
    given = sample(rng)
    before = {name: value.copy() for name, value in given.items()}
    after = AugmentSkeleton().transform(dict(given))
    for name, value in before.items():
        assert (given[name] == value).all()
        assert after[name].shape == value.shape
        assert after[name].dtype == np.float32
    assert (after["keypoint"][after["keypoint_score"] == 0] == 0).all()
    assert (after["keypoint_score"][0, :, 3] == 0).all()
    assert np.isfinite(after["keypoint"]).all()
    assert not np.allclose(after["keypoint"], before["keypoint"])


def test_augment_skeleton_with_all_parameters_off_changes_nothing(rng: np.random.Generator) -> None:
    given = sample(rng)
    nothing = AugmentSkeleton(tilt_degrees=0, stretch=1, jitter=0, drop_joint=0, drop_limb=0, drop_frames=0)
    after = nothing.transform(dict(given))
    np.testing.assert_allclose(after["keypoint"], given["keypoint"], atol=1e-3)
    assert (after["keypoint_score"] == given["keypoint_score"]).all()


def test_augment_skeleton_leaves_a_window_without_joints_alone() -> None:
    given = {"keypoint": np.zeros((1, 48, 17, 2), np.float32), "keypoint_score": np.zeros((1, 48, 17), np.float32)}
    assert (AugmentSkeleton().transform(dict(given))["keypoint"] == 0).all()
