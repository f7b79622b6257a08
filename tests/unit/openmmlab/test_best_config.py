"""The shipped recognizer's own parts: motion input, disturbances, and the two shipped files being one model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmaction", reason="needs OpenMMLab (`make install`)")

import torch

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)
from falldet.openmmlab.augmentation import AugmentSkeleton
from falldet.openmmlab.backbones import MotionSTGCN
from falldet.openmmlab.config import load_config
from falldet.openmmlab.recognizer import build_recognizer
from falldet.stages.recognizer import Recognizer

ROOT = Path(__file__).resolve().parents[3]
SMALL = dict(graph_cfg=dict(layout="coco", mode="stgcn_spatial"), base_channels=8, num_stages=2)


def test_motion_is_the_step_of_joints_seen_in_both_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    network = MotionSTGCN(**SMALL)
    given = torch.rand(1, 1, 4, 17, 3)
    given[0, 0, 2, 5] = 0  # a joint missing in the third frame
    seen = []
    monkeypatch.setattr("mmaction.models.backbones.STGCN.forward", lambda self, x: seen.append(x) or x)
    network(given)
    (features,) = seen
    assert features.shape == (1, 1, 4, 17, 5)
    torch.testing.assert_close(features[..., :3], given)
    motion = features[0, 0, :, :, 3:]
    torch.testing.assert_close(motion[1, 0], given[0, 0, 1, 0, :2] - given[0, 0, 0, 0, :2])
    assert (motion[0] == 0).all()
    assert (motion[2, 5] == 0).all()
    assert (motion[3, 5] == 0).all()


@pytest.fixture(autouse=True)
def same_chance_every_time() -> None:
    """Transforms draw from numpy's global generator."""
    np.random.seed(0)  # noqa: NPY002


def sample(rng: np.random.Generator) -> dict:
    keypoints = rng.uniform(100, 300, (1, 48, 17, 2)).astype(np.float32)
    scores = rng.uniform(0.2, 1, (1, 48, 17)).astype(np.float32)
    scores[0, :, 3] = 0
    keypoints[scores == 0] = 0
    return {"keypoint": keypoints, "keypoint_score": scores}


def test_disturbing_leaves_the_given_arrays_and_missing_joints_alone(rng: np.random.Generator) -> None:
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


def test_disturbing_by_nothing_changes_nothing(rng: np.random.Generator) -> None:
    given = sample(rng)
    nothing = AugmentSkeleton(tilt_degrees=0, stretch=1, jitter=0, drop_joint=0, drop_limb=0, drop_frames=0)
    after = nothing.transform(dict(given))
    np.testing.assert_allclose(after["keypoint"], given["keypoint"], atol=1e-3)
    assert (after["keypoint_score"] == given["keypoint_score"]).all()


def test_nobody_is_left_as_it_is() -> None:
    given = {"keypoint": np.zeros((1, 48, 17, 2), np.float32), "keypoint_score": np.zeros((1, 48, 17), np.float32)}
    assert (AugmentSkeleton().transform(dict(given))["keypoint"] == 0).all()


def test_the_shipped_weights_and_the_shipped_onnx_are_one_model(rng: np.random.Generator) -> None:
    config = load_config(ROOT / "configs" / "stgcn_fall_best.py")
    network = build_recognizer(config, ROOT / "checkpoints" / "stgcn_fall.pth").eval()
    batch = rng.uniform(-1, 1, (5, 1, 48, 17, 3)).astype(np.float32)
    batch[..., 2] = np.abs(batch[..., 2])
    with torch.no_grad():
        expected = network.cls_head(network.backbone(torch.from_numpy(batch))).softmax(dim=1)[:, 1].numpy()
    recognizer = Recognizer()
    np.testing.assert_allclose(recognizer.probabilities(batch), expected, atol=1e-4)
    assert (recognizer.normalization, recognizer.frames, recognizer.window_s) == ("person", 48, 2.0)
