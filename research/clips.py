"""Labeled clips as the command lines of the studies name them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from falldet.data.annotations import SPLIT_NAMES
from falldet.data.manifest import ClipRecord, read_manifest
from falldet.errors import FalldetError
from research import WORK_DIRS


def add_clip_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the manifests, the folder that their paths start from, and the pose cache."""
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and the falls' times")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    parser.add_argument(
        "--poses", type=Path, default=WORK_DIRS / "poses", help="folder of the pose cache (default: work_dirs/poses)"
    )


def read_clips(arguments: argparse.Namespace, splits: Sequence[str] = SPLIT_NAMES) -> list[ClipRecord]:
    """Return the clips of the manifests that belong to `splits`; raises FalldetError where there is none."""
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    chosen = [clip for clip in clips if clip.split in splits]
    if not chosen:
        raise FalldetError(
            f"none of {len(clips)} clips belongs to {' or '.join(splits)}; give a manifest with a column `split`"
        )
    return chosen
