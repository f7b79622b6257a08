"""Turn FallVision's keypoints into an annotation file that training reads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from falldet.cli.process import EXIT_OK

EXAMPLES = """\
  falldet convert fallvision.npz --out data/fallvision.pkl
"""

OUT = Path("data/fallvision.pkl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("keypoints", type=Path, help="the .npz of keypoints")
    parser.add_argument("--out", type=Path, default=OUT, help=f"the annotation file (default: {OUT})")


def run(arguments: argparse.Namespace) -> int:
    """Convert, and tell the number of clips."""
    from falldet.data.annotations import dump_annotations
    from falldet.data.fallvision import read_fallvision

    contents = read_fallvision(arguments.keypoints)
    dump_annotations(contents, arguments.out)
    sys.stdout.write(f"{len(contents['annotations'])} clips written to {arguments.out}\n")
    return EXIT_OK
