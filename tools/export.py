"""Write a trained network as ONNX: python tools/export.py configs/stgcn_fall.py work_dirs/stgcn_fall/best.pth."""

import argparse
import sys
from pathlib import Path

from falldet import cli
from falldet.errors import FalldetError


def main() -> None:
    """Parse the arguments and export."""
    parser = argparse.ArgumentParser(
        description="Write a recogniser as one ONNX file for the demo, and its bare weights beside it; "
        "or a detector or pose network, which the demo also does by itself.",
        epilog="example: python tools/export.py configs/stgcn_fall.py work_dirs/stgcn_fall/epoch_80.pth",
    )
    parser.add_argument("config", help="config of the run")
    parser.add_argument("checkpoint", help=".pth file of the run")
    parser.add_argument("more", nargs="*", type=Path, help=".pth files of other seeds: the mean of all is written")
    parser.add_argument("--out", help="the .onnx file (default: <name of the config>.onnx beside the checkpoint)")
    args = parser.parse_args()
    out = args.out or Path(args.checkpoint).with_name(f"{Path(args.config).stem}.onnx")

    from falldet.openmmlab.config import load_config
    from falldet.openmmlab.export import export_recogniser
    from falldet.openmmlab.export_pose import export_pose_network
    from falldet.openmmlab.reference import LIBRARIES

    if load_config(args.config).model.type not in LIBRARIES:
        written = export_recogniser(args.config, args.checkpoint, out, *args.more)
    elif args.more:
        raise FalldetError("only recognisers can be averaged; give one checkpoint")
    else:
        written = export_pose_network(args.config, args.checkpoint, out)
    sys.stdout.write(f"{written}\n")


if __name__ == "__main__":
    cli.run(main)
