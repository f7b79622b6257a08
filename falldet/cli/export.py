"""Write a trained network as ONNX for the pipeline, or quantize a detector or pose network to int8.

The config is Python code, and runs: name only configs that you trust.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from falldet.cli import options
from falldet.cli.process import EXIT_OK
from falldet.errors import FalldetError

EXAMPLES = """\
  falldet export configs/stgcn_fall.py work_dirs/stgcn_fall/epoch_80.pth
  falldet export configs/stgcn_fall_best.py seed0.pth seed1.pth seed2.pth --out stgcn_fall.onnx   # their mean
  falldet export configs/hrnet_w32_coco.py --int8 video.mp4
  falldet demo video.mp4 --pose yolox_s+hrnet_w32 --cfg-options topdown.precision=int8
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_network_config(parser)
    parser.add_argument(
        "checkpoints", nargs="*", type=Path, help=".pth file of the run; of several seeds, the mean is written"
    )
    parser.add_argument(
        "--out", type=Path, help="the .onnx file (default: <name of the config>.onnx next to the checkpoint)"
    )
    parser.add_argument(
        "--int8",
        nargs="+",
        metavar="VIDEO",
        help="quantize a detector or pose network on the people in these videos, for topdown.precision=int8; "
        "needs the extra int8",
    )


def run(arguments: argparse.Namespace) -> int:
    """Export or quantize, and tell the path of the file."""
    if arguments.int8:
        if arguments.checkpoints or arguments.out:
            raise FalldetError(
                "--int8 quantizes the demo's own checkpoint into the cache; give a config, no checkpoint and no --out"
            )
        from falldet.build import quantize_network
        from falldet.pose.exported import find_network

        written = quantize_network(find_network(str(arguments.config)), arguments.int8)
    elif not arguments.checkpoints:
        raise FalldetError("no checkpoint to export; give the .pth file after the config")
    else:
        from falldet.build import export_checkpoint

        out = arguments.out or arguments.checkpoints[0].with_name(f"{arguments.config.stem}.onnx")
        written = export_checkpoint(arguments.config, arguments.checkpoints, out)
    sys.stdout.write(f"{written}\n")
    return EXIT_OK
