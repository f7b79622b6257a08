"""Non-maximum suppression in plain torch, in place of mmcv's compiled operator."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 1024
"""Boxes processed together; bounds the memory to BLOCK x (boxes kept so far) values."""


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Return the indices of the boxes that greedy non-maximum suppression keeps, highest score first.

    A box is suppressed when its intersection over union with a kept box of higher score exceeds the threshold. The
    result equals that of the box-by-box loop. It is computed block by block: the boxes kept so far suppress boxes of
    the block in one comparison. Within the block, suppression is repeated until nothing changes; each round fixes at
    least one more box.

    Args:
        boxes: (N, 4) x0 y0 x1 y1, pixels.
        scores: (N,).
        iou_threshold: in [0, 1].
        offset: 0, or 1 where the right and lower edges count as part of the box.

    Returns:
        (K,) int64 indices into `boxes`. Equal scores keep their order.

    Source: the arguments and the strict comparison of mmcv/ops/csrc/pytorch/cpu/nms.cpp.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order]  # (N, 4)
    kept = order.new_zeros(0)
    for block in torch.arange(len(order), device=order.device).split(BLOCK):
        candidates = ranked[block]
        free = ~(_iou(ranked[kept], candidates, offset) > iou_threshold).any(0)  # (B,)
        block, candidates = block[free], candidates[free]
        suppresses = (_iou(candidates, candidates, offset) > iou_threshold).triu(1)  # (B, B), row suppresses column
        alive = torch.ones_like(block, dtype=torch.bool)
        while True:
            still_alive = ~(suppresses & alive[:, None]).any(0)
            if torch.equal(still_alive, alive):
                break
            alive = still_alive
        kept = torch.cat([kept, block[alive]])
    return order[kept]


def _iou(a: Tensor, b: Tensor, offset: int) -> Tensor:
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = (high - low + offset).clamp_(min=0).prod(2)  # (A, B)
    area_a, area_b = ((box[:, 2:] - box[:, :2] + offset).prod(1) for box in (a, b))
    return intersection / (area_a[:, None] + area_b[None, :] - intersection)
