"""The shipped recognizer's backbone: MMAction2's ST-GCN with joint motion as further input."""

from __future__ import annotations

from typing import Any

import torch
from mmaction.models.backbones import STGCN
from mmaction.registry import MODELS


@MODELS.register_module()
class MotionSTGCN(STGCN):
    """ST-GCN on joint positions and joint motion.

    The motion from each frame to the next is appended to the input as two channels, inside the network, so that the
    exported model takes the same input as a plain ST-GCN. A joint missing in either frame has no motion.
    Source: the joint-motion stream of 2s-AGCN (https://arxiv.org/abs/1912.06971), fused early.

    Args:
        in_channels: channels of the input, x, y and score.
        kwargs: as for STGCN.
    """

    def __init__(self, in_channels: int = 3, **kwargs: Any) -> None:
        super().__init__(in_channels=in_channels + 2, **kwargs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features (N, M, C', T', V) of x (N, M, T, V, C)."""
        position, visible = x[..., :2], (x[..., 2:3] > 0).to(x.dtype)
        step = (position[:, :, 1:] - position[:, :, :-1]) * visible[:, :, 1:] * visible[:, :, :-1]
        motion = torch.cat([torch.zeros_like(position[:, :, :1]), step], dim=2)
        return super().forward(torch.cat([x, motion], dim=-1))
