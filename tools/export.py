"""Write a trained network as ONNX: python tools/export.py configs/stgcn_fall.py work_dirs/stgcn_fall/best.pth.

Or make a detector or pose network int8 for the demo: python tools/export.py configs/hrnet_w32_coco.py --int8 video.mp4
"""

import argparse
import sys
from pathlib import Path

from falldet.errors import FalldetError
from falldet.runtime import signals as cli

EXAMPLES = """\
examples:
  python tools/export.py configs/stgcn_fall.py work_dirs/stgcn_fall/epoch_80.pth
  python tools/export.py configs/hrnet_w32_coco.py --int8 video.mp4
  python tools/demo.py video.mp4 --pose yolox_s+hrnet_w32 --cfg-options topdown.precision=int8
"""


def main() -> None:
    """Parse the arguments and export."""
    parser = argparse.ArgumentParser(
        description="Write a recognizer as one ONNX file for the demo, and its bare weights beside it; "
        "or a detector or pose network, which the demo also does by itself.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config of the run")
    parser.add_argument("checkpoint", nargs="?", help=".pth file of the run; not with --int8")
    parser.add_argument("more", nargs="*", type=Path, help=".pth files of other seeds: the mean of all is written")
    parser.add_argument("--out", help="the .onnx file (default: <name of the config>.onnx beside the checkpoint)")
    parser.add_argument(
        "--int8",
        nargs="+",
        metavar="VIDEO",
        help="make a detector or pose network int8, by the people in these videos, and keep it in the cache for "
        "topdown.precision=int8; needs requirements/int8.txt",
    )
    args = parser.parse_args()
    if args.int8:
        if args.checkpoint or args.out:
            parser.error(
                "--int8 takes the checkpoint that the demo takes and writes into the cache; give only a config"
            )
        from falldet.pose.exported import find_network
        from falldet.pose.quantize import quantize_network

        sys.stdout.write(f"{quantize_network(find_network(args.config), args.int8)}\n")
        return
    if not args.checkpoint:
        parser.error("name the checkpoint")
    out = args.out or Path(args.checkpoint).with_name(f"{Path(args.config).stem}.onnx")

    from falldet.openmmlab.config import load_config
    from falldet.openmmlab.export import export_recognizer
    from falldet.openmmlab.export_pose import export_pose_network
    from falldet.openmmlab.inference import LIBRARIES

    if load_config(args.config).model.type not in LIBRARIES:
        written = export_recognizer(args.config, args.checkpoint, out, *args.more)
    elif args.more:
        raise FalldetError("only recognizers can be averaged; give one checkpoint")
    else:
        written = export_pose_network(args.config, args.checkpoint, out)
    sys.stdout.write(f"{written}\n")


if __name__ == "__main__":
    cli.run(main)
