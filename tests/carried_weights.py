"""Weights of the official YOLOX-nano, copied from Megvii's ONNX file into MMDetection's YOLOX-nano.

The two networks differ in names alone: the convolutions of the file are in the order in which Megvii's code runs them
(yolox/models/darknet.py, yolo_pafpn.py, yolo_head.py), with their batch normalization folded in.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper

EPSILON = 0.001
"""Of MMDetection's batch normalization, which is the identity at a variance of 1 - EPSILON."""

CONFIG = '_base_ = "mmdet::yolox/yolox_nano_8xb8-300e_coco.py"\nmodel = dict(test_cfg=dict(score_thr=0.3))\n'


def carry(onnx_path: Path, target: Path) -> Path:
    """Write the weights of an ONNX file as a state dict for MMDetection's YOLOX-nano and return its path."""
    graph = onnx.load(str(onnx_path)).graph
    arrays = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    weights = {}
    for name, node in zip(convolution_names(), convolutions, strict=True):
        weight, bias = arrays[node.input[1]], arrays[node.input[2]]
        if "multi_level_conv_" in name:
            weights |= {f"{name}.weight": weight, f"{name}.bias": bias}
            continue
        weights |= {
            f"{name}.conv.weight": weight,
            f"{name}.bn.weight": torch.ones_like(bias),
            f"{name}.bn.bias": bias,
            f"{name}.bn.running_mean": torch.zeros_like(bias),
            f"{name}.bn.running_var": torch.full_like(bias, 1 - EPSILON),
            f"{name}.bn.num_batches_tracked": torch.tensor(0),
        }
    torch.save({"state_dict": weights}, target)
    return target


def convolution_names() -> Iterator[str]:
    """Yield MMDetection's names of all convolutions in the order in which Megvii's code runs them."""
    yield "backbone.stem.conv"
    for stage, blocks in ((1, 1), (2, 3), (3, 3), (4, 1)):
        yield from _separable(f"backbone.stage{stage}.0")
        if stage == 4:
            yield from (f"backbone.stage4.1.{name}" for name in ("conv1", "conv2"))
        yield from _csp(f"backbone.stage{stage}.{2 if stage == 4 else 1}", blocks)
    for level in (0, 1):
        yield f"neck.reduce_layers.{level}"
        yield from _csp(f"neck.top_down_blocks.{level}", 1)
    for level in (0, 1):
        yield from _separable(f"neck.downsamples.{level}")
        yield from _csp(f"neck.bottom_up_blocks.{level}", 1)
    for level in (0, 1, 2):
        yield f"neck.out_convs.{level}"
        for branch, outputs in (("cls", ("cls",)), ("reg", ("reg", "obj"))):
            for number in (0, 1):
                yield from _separable(f"bbox_head.multi_level_{branch}_convs.{level}.{number}")
            yield from (f"bbox_head.multi_level_conv_{output}.{level}" for output in outputs)


def _csp(name: str, blocks: int) -> Iterator[str]:
    yield f"{name}.main_conv"
    yield f"{name}.short_conv"
    for number in range(blocks):
        yield f"{name}.blocks.{number}.conv1"
        yield from _separable(f"{name}.blocks.{number}.conv2")
    yield f"{name}.final_conv"


def _separable(name: str) -> Iterator[str]:
    yield f"{name}.depthwise_conv"
    yield f"{name}.pointwise_conv"
