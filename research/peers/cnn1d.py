"""The plain 1-D CNN that the shipped recognizer is compared with; cnn1d_fall.py is its config."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)


@MODELS.register_module()
class JointCNN(BaseModule):
    """Convolutions over time alone, without the graph of the skeleton.

    The channels of all joints are concatenated and pass through one-dimensional convolutions, each with batch
    normalization, ReLU and a stride of two; the input is batch-normalized first, as in ST-GCN.
    Source: the fully convolutional network of Wang et al. (https://arxiv.org/abs/1611.06455).

    Args:
        joints: V, joints of a person.
        in_channels: C, channels of the input: x, y and score, and valid for causal windows.
        channels: output channels of each convolution.
        kernel_size: frames under each kernel, an odd number.
        init_cfg: as for MMEngine's BaseModule.
    """

    def __init__(
        self,
        joints: int = 17,
        in_channels: int = 3,
        channels: Sequence[int] = (64, 96, 128, 128),
        kernel_size: int = 5,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        layers: list[nn.Module] = [nn.BatchNorm1d(joints * in_channels)]
        for before, after in pairwise([joints * in_channels, *channels]):
            layers += [
                nn.Conv1d(before, after, kernel_size, stride=2, padding=kernel_size // 2, bias=False),
                nn.BatchNorm1d(after),
                nn.ReLU(inplace=True),
            ]
        self.convolutions = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features (N, M, C', T', 1) of x (N, M, T, V, C)."""
        batch, people, frames, joints, channels = x.shape
        flat = x.reshape(batch * people, frames, joints * channels).transpose(1, 2)
        features = self.convolutions(flat)  # (N * M, C', T')
        return features.reshape(batch, people, *features.shape[1:], 1)
