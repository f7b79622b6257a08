"""Turn FallVision's keypoints into an annotation file that training reads.

python tools/convert_fallvision.py fallvision.npz
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from falldet.runtime import signals as cli


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Turn FallVision's keypoints into an annotation file.",
        epilog="example: python tools/convert_fallvision.py fallvision.npz --out data/fallvision.pkl",
    )
    parser.add_argument("keypoints", type=Path, help="the .npz of keypoints")
    parser.add_argument("--out", type=Path, default=Path("data/fallvision.pkl"), help="(default: data/fallvision.pkl)")
    arguments = parser.parse_args()
    from falldet.data.annotations import dump_annotations
    from falldet.data.fallvision import read_fallvision

    contents = read_fallvision(arguments.keypoints)
    dump_annotations(contents, arguments.out)
    sys.stdout.write(f"{len(contents['annotations'])} clips written to {arguments.out}\n")
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
