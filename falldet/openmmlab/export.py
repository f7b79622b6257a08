"""Export of a trained recognizer as one ONNX file, whose metadata has the preparation of its input."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from falldet.io.files import atomic_write
from falldet.openmmlab.config import as_config, name_of
from falldet.openmmlab.logs import quiet_libraries
from falldet.openmmlab.onnx_file import as_onnx, check_parity
from falldet.openmmlab.recognizer import build_recognizer, read_preparation
from falldet.skeleton import JOINT_COUNT
from falldet.stages.preprocessing import CHANNELS, Preparation

TOLERANCE = 1e-4
"""Largest difference between the exported and the trained network's fall probability."""


def export_recognizer(
    config: Config | str | Path, checkpoint_path: str | Path, onnx_path: str | Path, *more: Path
) -> Path:
    """Write the recognizer as `onnx_path` and its weights next to it as .pth; return the ONNX file.

    Several checkpoints of one config, such as those of several seeds, become one recognizer that gives the mean of
    their probabilities; the .pth has the weights of the first.

    The ONNX graph maps `keypoints` float32, as `falldet.stages.preprocessing.prepare` returns them, to `fall` (N,), the
    probability of a fall: (N, T, 17, 4) for "person_causal", else (N, 1, T, 17, 3). Its metadata has
    `falldet.normalization`, `falldet.frames` (T), `falldet.window_s` (seconds; empty for training on whole clips),
    `falldet.channels`, `falldet.config` and `falldet.version`.

    The file is written only after its outputs in OpenVINO have been compared with the network's.

    Args:
        config: config of the training run. A file runs as code; `checked_config` builds the one of a work dir without.
        checkpoint_path: a training checkpoint or a state dict.
        onnx_path: the .onnx file to write.
        more: further checkpoints of the same config.

    Raises:
        FalldetError: a file is missing, config and checkpoint don't match, or the probabilities differ by more than
            1e-4.
    """
    quiet_libraries()
    config = as_config(config)
    preparation = read_preparation(config)
    metadata = {**preparation.as_metadata(), "config": name_of(config)}
    checkpoints = (Path(checkpoint_path), *more)
    network = _FallProbability([build_recognizer(config, checkpoint) for checkpoint in checkpoints]).eval()
    target = Path(onnx_path)
    example = _example(preparation)
    content = as_onnx(network, example, ["keypoints", "fall"], True, metadata)
    check_parity(network, content, [example, example[:1]], TOLERANCE)
    _write(target, content)
    weights = target.with_suffix(".pth")
    if weights.resolve() not in (checkpoint.resolve() for checkpoint in checkpoints):
        buffer = io.BytesIO()
        torch.save(network.recognizers[0].state_dict(), buffer)
        _write(weights, buffer.getvalue())
    return target


class _FallProbability(nn.Module):
    """The mean over several recognizers of the softmax probability of a fall."""

    def __init__(self, recognizers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.recognizers = nn.ModuleList(recognizers)

    def forward(self, keypoints: Tensor) -> Tensor:
        """Return fall probabilities (N,) of keypoints (N, 1, T, V, 3) or (N, T, V, 4)."""
        keypoints = keypoints if keypoints.ndim == 5 else keypoints[:, None]
        scores = [each.cls_head(each.backbone(keypoints)) for each in self.recognizers]  # (N, 2) each
        return torch.stack([score.softmax(dim=1)[:, 1] for score in scores]).mean(dim=0)


def _example(preparation: Preparation) -> Tensor:
    """Return three windows in normalized coordinates, with a tenth of the joints missing."""
    generator = np.random.default_rng(0)
    channels = len(CHANNELS[preparation.normalization].split(","))
    keypoints = generator.uniform(-1, 1, (3, preparation.frames, JOINT_COUNT, channels))
    keypoints[..., 2] = np.abs(keypoints[..., 2])
    keypoints[generator.random(keypoints.shape[:-1]) < 0.1] = 0
    if preparation.normalization == "person_causal":
        keypoints[..., 3] = 1
    else:
        keypoints = keypoints[:, None]
    return torch.from_numpy(keypoints.astype(np.float32))


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path, binary=True) as stream:
        stream.write(content)
