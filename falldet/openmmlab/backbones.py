"""Backbones of our own, small variations on MMAction2's."""

from __future__ import annotations

from typing import Any

import torch
from mmaction.models.backbones import STGCN
from mmaction.registry import MODELS


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
