"""Render a synthetic scene, such as a fall, to a video file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from falldet.cli.process import EXIT_OK
from falldet.errors import FalldetError
from falldet.terminal import shown

EXAMPLES = """\
  falldet sample                          # sample.mp4: a person picks something up, walks and falls
  falldet sample two_people.mp4 --scene fall_in_company
"""

SCENE = "sample"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("out", nargs="?", type=Path, default=Path("sample.mp4"), help="(default: sample.mp4)")
    parser.add_argument("--scene", default=SCENE, help=f"name of the scene (default: {SCENE})")


def run(arguments: argparse.Namespace) -> int:
    """Render the scene and tell the times of its falls."""
    from falldet.synthetic import SCENES

    if arguments.scene not in SCENES:
        raise FalldetError(f"no scene {shown(arguments.scene)}; known are {', '.join(SCENES)}")
    scene = SCENES[arguments.scene]()
    scene.write_video(arguments.out)
    sys.stdout.write(f"{arguments.out}: {len(scene.frame_times())} frames\n")
    for person, start_s, stop_s in scene.falls():
        sys.stdout.write(f"person {person} falls from {start_s:.2f} s to {stop_s:.2f} s\n")
    return EXIT_OK
