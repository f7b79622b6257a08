"""Random weights under OpenMMLab's official names, to time and test the baseline pipeline where those can't be had.

    python -m research.speed.random_weights work_dirs/random_weights
    FALLDET_CHECKPOINTS=work_dirs/random_weights python tools/benchmark.py video.mp4 --pose yolox_s+hrnet_w32

Writes one .pth file per network. The detector finds people everywhere and the pose network is confident of every joint;
`topdown.max_people` limits their number. Shapes, and so times, are those of the official weights. Needs OpenMMLab.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import nn

from falldet.cli.process import EXIT_OK, run
from falldet.models.zoo import CHECKPOINTS
from falldet.openmmlab.config import load_config
from falldet.openmmlab.inference import library_of, scope
from falldet.openmmlab.training import quiet_libraries
from research import CONFIGS

NETWORKS = {"yolox_s": "yolox_s_person", "hrnet_w32": "hrnet_w32_coco", "rtmpose_m": "rtmpose_m_coco"}
"""Checkpoint -> config in configs/."""

BOX_LOG_STRIDES = (0.0, 0.0, 1.5, 2.2)
"""Regression output of the detector for every box: centered on its cell, 4.5 strides wide, 9 strides high."""


def write_random_weights(folder: Path) -> None:
    """Write the weights of every network into `folder`, from a fixed seed."""
    quiet_libraries()
    folder.mkdir(parents=True, exist_ok=True)
    for name, config_name in NETWORKS.items():
        torch.manual_seed(0)
        config = load_config(CONFIGS / f"{config_name}.py")
        with scope(library_of(config)):
            if name == "yolox_s":
                from mmdet.registry import MODELS
            else:
                from mmpose.registry import MODELS
            network = MODELS.build(config.model)
        set_last_layers(network)
        torch.save({"state_dict": network.state_dict()}, folder / CHECKPOINTS[name].file_name)


def set_last_layers(network: nn.Module) -> None:
    """Set the last layers so that the network finds people; a detector finds them in its coarsest level only."""
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if "multi_level_conv_" in name:
            module.weight.data.zero_()
            module.bias.data.fill_(4.0 if "conv_obj.2" in name else -4.0)
        if "multi_level_conv_cls" in name:
            module.bias.data[0] = 4.0
        if "multi_level_conv_reg" in name:
            module.bias.data.copy_(torch.tensor(BOX_LOG_STRIDES))
        if name.endswith("head.final_layer") and module.out_channels == 17:
            module.weight.data.normal_(0, 0.01)
            module.bias.data.fill_(0.4)


def main() -> int:
    """Write the weights and say how to use them."""
    parser = argparse.ArgumentParser(
        description="Write random weights under OpenMMLab's official names.",
        epilog="example: python -m research.speed.random_weights work_dirs/random_weights",
    )
    parser.add_argument("folder", type=Path, help="where the files go, such as work_dirs/random_weights")
    folder = parser.parse_args().folder
    write_random_weights(folder)
    sys.stdout.write(f"use them with FALLDET_CHECKPOINTS={folder}\n")
    return EXIT_OK


if __name__ == "__main__":
    run(main)
