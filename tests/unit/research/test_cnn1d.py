"""The 1-D CNN compared with the shipped recognizer: its shapes, its inputs, its config and its export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import torch
from mmaction.registry import MODELS
from mmengine.registry import DefaultScope

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)
from falldet.openmmlab.config import SPLITS, innermost_dataset, load_config
from falldet.openmmlab.export import export_recognizer
from falldet.stages.recognizer import Recognizer
from research.peers.cnn1d import JointCNN

pytestmark = pytest.mark.openmmlab

ROOT = Path(__file__).resolve().parents[3]
CNN = ROOT / "research" / "peers" / "cnn1d_fall.py"
BEST = ROOT / "configs" / "stgcn_fall_best.py"


@pytest.mark.parametrize(("batch", "people", "frames"), [(1, 1, 48), (3, 2, 48), (2, 1, 47)])
def test_joint_cnn_features_have_the_shape_of_the_head(batch: int, people: int, frames: int) -> None:
    features = JointCNN(channels=[8, 12])(torch.rand(batch, people, frames, 17, 3))
    assert features.shape == (batch, people, 12, 12, 1)


def test_joint_cnn_keeps_people_apart() -> None:
    network = JointCNN(channels=[8, 12]).eval()
    given = torch.rand(2, 2, 48, 17, 3)
    both = network(given)
    alone = network(given[1:, 1:])
    torch.testing.assert_close(both[1:, 1:], alone)


def test_joint_cnn_depends_on_joints_channels_and_the_order_of_frames() -> None:
    torch.manual_seed(0)
    network = JointCNN(channels=[8, 12]).eval()
    given = torch.rand(1, 1, 48, 17, 3)
    before = network(given)
    for joint, channel in [(0, 0), (16, 2), (8, 1)]:
        changed = given.clone()
        changed[..., joint, channel] += 1
        assert not torch.allclose(network(changed), before)
    assert not torch.allclose(network(given.flip(2)).mean(dim=3), before.mean(dim=3))


def test_cnn1d_config_changes_the_network_alone() -> None:
    cnn, best = load_config(CNN).to_dict(), load_config(BEST).to_dict()
    assert cnn["model"].pop("backbone")["type"] == "JointCNN"
    assert cnn.pop("custom_imports") == {"imports": ["falldet.openmmlab", "research.peers.cnn1d"]}
    best.pop("custom_imports")
    best["model"].pop("backbone")
    cnn["model"]["cls_head"].pop("in_channels")
    best["model"]["cls_head"].pop("in_channels")
    assert cnn == best


def test_cnn1d_config_exports_a_recognizer(tmp_path: Path, rng: np.random.Generator) -> None:
    config = load_config(CNN)
    with DefaultScope.overwrite_default_scope("mmaction"):
        network = MODELS.build(config.model).eval()
    torch.save(network.state_dict(), tmp_path / "cnn.pth")
    exported = export_recognizer(CNN, tmp_path / "cnn.pth", tmp_path / "cnn.onnx")
    batch = rng.uniform(-1, 1, (4, 48, 17, 4)).astype(np.float32)
    with torch.no_grad():
        expected = network.cls_head(network.backbone(torch.from_numpy(batch[:, None]))).softmax(dim=1)[:, 1].numpy()
    recognizer = Recognizer(exported)
    np.testing.assert_allclose(recognizer.probabilities(batch), expected, atol=1e-4)
    window_s = innermost_dataset(config, SPLITS[0])["window"]["length_s"]
    assert (recognizer.normalization, recognizer.frames, recognizer.window_s) == ("person_causal", 48, window_s)
