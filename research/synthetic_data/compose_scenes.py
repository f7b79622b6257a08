"""Keypoint clips of random scenes, seen by cameras at all heights, as training data.

    python -m research.synthetic_data.compose_scenes --clips 2000 --out data/scenes.pkl

Writes a pickle as tools/extract_kpts.py does; every second clip has a fall.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from falldet.cli.process import EXIT_OK, run
from falldet.data.annotations import dump_annotations
from research.synthetic_data.pose_noise import keypoint_clips


def main() -> int:
    """Compose the clips and write them."""
    parser = argparse.ArgumentParser(
        description="Compose keypoint clips of synthetic people, every second one with a fall.",
        epilog="example: python -m research.synthetic_data.compose_scenes --clips 2000 --out data/scenes.pkl",
    )
    parser.add_argument("--clips", type=int, default=1000, help="number of clips (default: 1000, about two minutes)")
    parser.add_argument("--out", type=Path, default=Path("data/scenes.pkl"), help="(default: data/scenes.pkl)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same clips (default: 0)")
    arguments = parser.parse_args()
    if arguments.clips < 1:
        parser.error("--clips must be at least 1")
    clips = keypoint_clips(arguments.clips, np.random.default_rng(arguments.seed))
    annotations = list(tqdm(clips, total=arguments.clips, unit="clip", desc="composing", disable=None))
    split = {"train": [annotation["frame_dir"] for annotation in annotations]}
    dump_annotations({"split": split, "annotations": annotations}, arguments.out)
    sys.stdout.write(f"{len(annotations)} clips written to {arguments.out}\n")
    return EXIT_OK


if __name__ == "__main__":
    run(main)
