"""Backbones of our own: a small variation on MMAction2's ST-GCN, and a plain network to compare it with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from mmaction.models.backbones import STGCN
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import nn


@MODELS.register_module()
class MotionSTGCN(STGCN):
    """ST-GCN that sees how joints move besides where they are.

    The motion from each frame to the next is put beside the input as further channels, inside the network, so that
    the exported model takes the same input as a plain ST-GCN. A joint missing in either frame has no motion.
    Source: the joint-motion stream of 2s-AGCN (https://arxiv.org/abs/1912.06971), fused early.

    Args:
        in_channels: channels of the input, x, y and score.
        kwargs: as for STGCN.
    """

    def __init__(self, in_channels: int = 3, **kwargs: Any) -> None:
        """Make room for two motion channels."""
        super().__init__(in_channels=in_channels + 2, **kwargs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features (N, M, C', T', V) of x (N, M, T, V, C)."""
        place, seen = x[..., :2], (x[..., 2:3] > 0).to(x.dtype)
        step = (place[:, :, 1:] - place[:, :, :-1]) * seen[:, :, 1:] * seen[:, :, :-1]
        motion = torch.cat([torch.zeros_like(place[:, :, :1]), step], dim=2)
        return super().forward(torch.cat([x, motion], dim=-1))


@MODELS.register_module()
class JointCNN(BaseModule):
    """Convolutions over time alone, which don't know that joints form a skeleton: what ST-GCN is compared with.

    All joints' channels are put side by side and pass through one-dimensional convolutions, each with batch
    normalization, ReLU and a stride of two; the input is batch-normalized first, as in ST-GCN.
    Source: the fully convolutional network of Wang et al. (https://arxiv.org/abs/1611.06455).

    Args:
        joints: V, joints of a person.
        in_channels: C, channels of the input, x, y and score.
        channels: output channels of each convolution.
        kernel_size: frames each convolution sees, an odd number.
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
        steps: list[nn.Module] = [nn.BatchNorm1d(joints * in_channels)]
        for before, after in pairwise([joints * in_channels, *channels]):
            steps += [
                nn.Conv1d(before, after, kernel_size, stride=2, padding=kernel_size // 2, bias=False),
                nn.BatchNorm1d(after),
                nn.ReLU(inplace=True),
            ]
        self.convolutions = nn.Sequential(*steps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features (N, M, C', T', 1) of x (N, M, T, V, C)."""
        batch, people, frames, joints, channels = x.shape
        flat = x.reshape(batch * people, frames, joints * channels).transpose(1, 2)
        features = self.convolutions(flat)  # (N * M, C', T')
        return features.reshape(batch, people, *features.shape[1:], 1)
