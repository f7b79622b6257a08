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
from falldet.openmmlab.export import export_recognizer
from falldet.openmmlab.recognizer import TorchRecognizer, build_recognizer, read_preparation
from falldet.stages.preprocessing import Preparation, prepare
from falldet.stages.recognizer import Recognizer, RecognizerSettings
from falldet.types import Window

pytestmark = pytest.mark.openmmlab

ROOT = Path(__file__).resolve().parents[3]
BEST = ROOT / "configs" / "stgcn_fall_best.py"
REFERENCE = ROOT / "configs" / "stgcn_fall.py"
WEIGHTS = ROOT / "checkpoints" / "stgcn_fall.pth"
SHIPPED = ROOT / "checkpoints" / "stgcn_fall.onnx"


def a_window(rng: np.random.Generator, frames: int = 48) -> Window:
    keypoints = np.cumsum(rng.normal(0, 2, (frames, 17, 2)), axis=0) + rng.uniform(100, 300, (17, 2))
    scores = rng.uniform(0, 1, (frames, 17)) * (rng.random((frames, 17)) > 0.1)
    times = np.arange(frames) / 24
    return Window(1, 0.0, 2.0, times, keypoints.astype(np.float32), scores.astype(np.float32), (360, 480))


def reference_weights(folder: Path) -> Path:
    """Random weights of the reference recipe, which takes a whole clip as its window."""
    import mmaction.models  # noqa: F401  # fills the registry
    from mmaction.registry import MODELS
    from mmengine.registry import DefaultScope

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmaction"):
        network = MODELS.build(load_config(REFERENCE).model)
    torch.save(network.state_dict(), folder / "reference.pth")
    return folder / "reference.pth"


@pytest.mark.parametrize("config", [BEST, REFERENCE], ids=["shipped", "reference"])
def test_torch_recognizer_and_its_export_give_the_same_probabilities(
    config: Path, rng: np.random.Generator, tmp_path: Path
) -> None:
    checkpoint = WEIGHTS if config == BEST else reference_weights(tmp_path)
    windows = [a_window(rng, frames) for frames in (48, 30, 7)]
    in_torch = build.build_recognizer(RecognizerSettings("torch", str(checkpoint), str(config)))
    exported = Recognizer(export_recognizer(config, checkpoint, tmp_path / "exported.onnx"))
    assert (in_torch.normalization, in_torch.frames, in_torch.window_s) == (
        exported.normalization,
        exported.frames,
        exported.window_s,
    )
    expected, found = ([score.probability for score in engine(windows)] for engine in (in_torch, exported))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(FalldetError, match=r"takes a \.pth file, not .*stgcn_fall\.onnx|needs a \.pth, not"):
        build.build_recognizer(RecognizerSettings("torch"))


def test_torch_recognizer_gives_the_score_of_inference_skeleton(rng: np.random.Generator, tmp_path: Path) -> None:
    from mmaction.apis import inference_skeleton

    recognizer = TorchRecognizer(REFERENCE, reference_weights(tmp_path))
    window = a_window(rng)
    halves = np.round(window.keypoints * 4) / 4  # inference_skeleton stores joints as float16
    scores = window.scores.astype(np.float16).astype(np.float32)
    rounded = Window(1, 0.0, 2.0, window.time_s, halves, scores, window.image_hw)
    poses = [
        {"keypoints": joints[None], "keypoint_scores": row[None]} for joints, row in zip(halves, scores, strict=True)
    ]
    expected = inference_skeleton(recognizer.network, poses, window.image_hw, recognizer._pipeline).pred_score[1]
    assert recognizer([rounded])[0].probability == pytest.approx(float(expected), abs=1e-4)


def test_build_recognizer_fits_the_shipped_weights_to_the_shipped_config(rng: np.random.Generator) -> None:
    network = build_recognizer(load_config(BEST), WEIGHTS).eval()
    batch = torch.from_numpy(prepare([a_window(rng) for _ in range(3)], "person_causal"))[:, None]
    with torch.no_grad():
        probabilities = network.cls_head(network.backbone(batch)).softmax(dim=1)[:, 1]
    assert ((probabilities > 0) & (probabilities < 1)).all()
    recognizer = Recognizer(SHIPPED)
    assert (recognizer.normalization, recognizer.frames, recognizer.window_s) == ("person_causal", 48, 4.0)


def test_export_recognizer_of_several_checkpoints_gives_the_mean_of_their_probabilities(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    weights = torch.load(WEIGHTS)
    other = {name: value * 0.9 if name.endswith("weight") else value for name, value in weights.items()}
    torch.save(other, tmp_path / "other.pth")
    windows = [a_window(rng, frames) for frames in (48, 30, 7)]
    files = {"one": (WEIGHTS,), "other": (tmp_path / "other.pth",), "both": (WEIGHTS, tmp_path / "other.pth")}
    scores = {}
    for name, (first, *more) in files.items():
        recognizer = Recognizer(export_recognizer(BEST, first, tmp_path / f"{name}.onnx", *more))
        scores[name] = np.array([score.probability for score in recognizer(windows)])
    np.testing.assert_allclose(scores["both"], (scores["one"] + scores["other"]) / 2, atol=1e-4)
    assert np.abs(scores["one"] - scores["other"]).max() > 1e-3


def test_read_preparation_gives_coordinates_frames_and_window_of_a_config() -> None:
    assert read_preparation(load_config(BEST)) == Preparation("person_causal", 48, 4.0)
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
        "channels": "x,y,score",
    }
    assert Preparation("person_causal", 48, 4.0).as_metadata()["channels"] == "x,y,score,valid"
    assert Preparation("image", 48, None).as_metadata()["window_s"] == ""
