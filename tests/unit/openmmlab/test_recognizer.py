"""The recognizer in torch against its export in OpenVINO and against MMAction2's own inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import torch

from falldet import build
from falldet.errors import FalldetError
from falldet.openmmlab.config import load_config
from falldet.openmmlab.recognizer import (
    Preparation,
    TorchRecognizer,
    build_recognizer,
    read_preparation,
)
from falldet.stages.recognizer import Recognizer, RecognizerSettings
from falldet.types import Window

pytestmark = pytest.mark.openmmlab

ROOT = Path(__file__).resolve().parents[3]
BEST = ROOT / "configs" / "stgcn_fall_best.py"
SHIPPED = ROOT / "checkpoints" / "stgcn_fall.onnx"


def a_window(rng: np.random.Generator, frames: int = 48) -> Window:
    keypoints = np.cumsum(rng.normal(0, 2, (frames, 17, 2)), axis=0) + rng.uniform(100, 300, (17, 2))
    scores = rng.uniform(0, 1, (frames, 17)) * (rng.random((frames, 17)) > 0.1)
    times = np.arange(frames) / 24
    return Window(1, 0.0, 2.0, times, keypoints.astype(np.float32), scores.astype(np.float32), (360, 480))


def test_torch_recognizer_and_its_export_give_the_same_probabilities(rng: np.random.Generator) -> None:
    checkpoint = ROOT / "checkpoints" / "stgcn_fall.pth"
    settings = RecognizerSettings("torch", str(checkpoint), str(BEST))
    windows = [a_window(rng, frames) for frames in (48, 30, 7)]
    in_torch = build.build_recognizer(settings)
    live = build.build_recognizer(RecognizerSettings())
    assert (in_torch.normalization, in_torch.frames, in_torch.window_s) == (
        live.normalization,
        live.frames,
        live.window_s,
    )
    expected, found = ([score.probability for score in engine(windows)] for engine in (in_torch, live))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(FalldetError, match=r"needs a \.pth, not .*stgcn_fall\.onnx"):
        build.build_recognizer(RecognizerSettings("torch"))


def test_torch_recognizer_gives_the_score_of_inference_skeleton(rng: np.random.Generator) -> None:
    from mmaction.apis import inference_skeleton

    recognizer = TorchRecognizer(BEST, ROOT / "checkpoints" / "stgcn_fall.pth")
    window = a_window(rng)
    halves = np.round(window.keypoints * 4) / 4  # inference_skeleton stores joints as float16
    scores = window.scores.astype(np.float16).astype(np.float32)
    rounded = Window(1, 0.0, 2.0, window.time_s, halves, scores, window.image_hw)
    poses = [
        {"keypoints": joints[None], "keypoint_scores": row[None]} for joints, row in zip(halves, scores, strict=True)
    ]
    expected = inference_skeleton(recognizer.network, poses, window.image_hw, recognizer._pipeline).pred_score[1]
    assert recognizer([rounded])[0].probability == pytest.approx(float(expected), abs=1e-4)


def test_build_recognizer_gives_the_shipped_onnx_from_the_shipped_weights(rng: np.random.Generator) -> None:
    config = load_config(ROOT / "configs" / "stgcn_fall_best.py")
    network = build_recognizer(config, ROOT / "checkpoints" / "stgcn_fall.pth").eval()
    batch = rng.uniform(-1, 1, (5, 1, 48, 17, 3)).astype(np.float32)
    batch[..., 2] = np.abs(batch[..., 2])
    with torch.no_grad():
        expected = network.cls_head(network.backbone(torch.from_numpy(batch))).softmax(dim=1)[:, 1].numpy()
    recognizer = Recognizer(SHIPPED)
    np.testing.assert_allclose(recognizer.probabilities(batch), expected, atol=1e-4)
    assert (recognizer.normalization, recognizer.frames, recognizer.window_s) == ("person", 48, 2.0)


def test_read_preparation_gives_coordinates_frames_and_window_of_a_config() -> None:
    assert read_preparation(load_config(BEST)) == Preparation("person", 48, 2.0)
    assert read_preparation(load_config(BEST.with_name("stgcn_fall.py"))) == Preparation("image", 48, None)


def test_read_preparation_takes_the_default_length_of_a_window() -> None:
    config = load_config(BEST.with_name("stgcn_fall.py"))
    for split in ("train", "val", "test"):
        config[f"{split}_dataloader"].dataset.window = {}
    assert read_preparation(config).window_s == 2.0


@pytest.mark.parametrize(
    "override", ["val_dataloader.dataset.pipeline.2.mode=person", "test_dataloader.dataset.pipeline.0.type=PoseDecode"]
)
def test_read_preparation_refuses_splits_that_differ(override: str) -> None:
    config = load_config(BEST.with_name("stgcn_fall.py"), [override])
    with pytest.raises(FalldetError, match="prepare their input in different ways"):
        read_preparation(config)


def test_preparation_as_metadata_has_the_keys_of_the_onnx_file() -> None:
    assert Preparation("person", 48, 2.0).as_metadata() == {
        "normalization": "person",
        "frames": "48",
        "window_s": "2",
    }
    assert Preparation("image", 48, None).as_metadata()["window_s"] == ""
