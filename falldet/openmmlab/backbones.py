"""The shipped recognizer's backbone: temporal convolutions over the last seconds of a track."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

VELOCITY_SCALE = 6.0
"""Factor on velocities, in body lengths per frame, that brings them to the size of positions."""


@MODELS.register_module()
class TemporalConv(BaseModule):
    """Residual dilated convolutions over time, on positions, velocities and scores of all joints at once.

    Velocities are computed inside the network, so that the exported model takes positions alone; a joint missing in
    either frame has none. Features are pooled three times: their mean, their maximum, and the mean of the last frames,
    which tells a fall that has just happened from one that is over.
    Source: the temporal convolutional network of Bai et al. (https://arxiv.org/abs/1803.01271), not causal within the
    window.

    Args:
        joints: V, joints of a person.
        channels: width of the network.
        dilations: dilation of each convolution.
        dropout: share of the features of each block that is dropped in training.
        last_frames: frames of the third pooling.
        init_cfg: as for MMEngine's BaseModule.
    """

    def __init__(
        self,
        joints: int = 17,
        channels: int = 64,
        dilations: Sequence[int] = (1, 2, 4, 8),
        dropout: float = 0.2,
        last_frames: int = 6,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.last_frames = last_frames
        self.stem = nn.Conv1d(joints * 5 + 1, channels, 1)
        self.blocks = nn.Sequential(*(_ConvBlock(channels, dilation, dropout) for dilation in dilations))
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features (N, M, 3 * channels, 1, 1) of x (N, M, T, V, 4): x, y, joint score and valid."""
        batch, people, frames, joint_count, channels = x.size()
        x = x.reshape(batch * people, frames, joint_count, channels)
        joints = torch.cat([x[..., :2], VELOCITY_SCALE * _velocity(x), x[..., 2:3]], dim=-1).flatten(2)
        inputs = torch.cat([joints, x[:, :, 0, 3:4]], dim=2).transpose(1, 2)  # (N * M, V * 5 + 1, T)
        features = torch.relu(self.norm(self.blocks(self.stem(inputs))))
        pooled = [features.mean(2), features.amax(2), features[:, :, -self.last_frames :].mean(2)]
        features = torch.cat(pooled, dim=1)
        return features.reshape(batch, people, features.size(1), 1, 1)


class _ConvBlock(nn.Module):
    """A residual step (N, C, T) -> (N, C, T): dilated convolution, batch norm, ReLU, mixing of channels, dropout."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.dropout(self.mix(torch.relu(self.norm(self.conv(x)))))


def _velocity(x: torch.Tensor) -> torch.Tensor:
    """Return velocities (N, T, V, 2) of windows (N, T, V, 4), in body lengths per frame; 0 where a joint is missing."""
    place, visible = x[..., :2], (x[..., 2:3] > 0).to(x.dtype)
    step = (place[:, 1:] - place[:, :-1]) * visible[:, 1:] * visible[:, :-1]
    return torch.cat([torch.zeros_like(step[:, :1]), step], dim=1)
