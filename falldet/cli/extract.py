"""Turn labeled videos into the keypoint file that training reads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from falldet.cli import options
from falldet.cli.process import EXIT_OK
from falldet.terminal import printable

EXAMPLES = """\
  falldet extract videos/                 # videos/fall/*.mp4 and videos/not_fall/*.mp4
  falldet extract videos/ --manifest videos/manifest.csv --out data/falls.pkl
  falldet extract videos/ --pose yolox_s+hrnet_w32
  falldet extract videos/ --jobs 8        # eight videos at a time
A run that was stopped resumes where it was.
"""

OUT = Path("data/falls.pkl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("videos", type=Path, help="folder with fall/ and not_fall/, or root of the manifest's paths")
    parser.add_argument("--out", type=Path, default=OUT, help=f"the keypoint file (default: {OUT})")
    parser.add_argument(
        "--manifest", type=Path, nargs="+", help="CSV files with path, label and, if known, subject, split, fall times"
    )
    parser.add_argument(
        "--people", type=int, default=1, help="people kept of each clip, the main person first (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the 70/15/15 split (default: 0)")
    parser.add_argument(
        "--jobs", type=int, default=1, help="videos at the same time, each on one core; same results (default: 1)"
    )
    options.add_cache(parser)
    options.add_pose(parser)
    options.add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Extract, and tell the number of clips by split and label, and the videos that were left out."""
    config = options.config_from(arguments)
    from falldet.data.consistency import consistent_clips
    from falldet.data.folder import FolderClips, clips_from_folder
    from falldet.data.manifest import read_manifest
    from falldet.extraction.clips import ExtractionJob, extract

    if arguments.manifest:
        listed = [clip for path in arguments.manifest for clip in read_manifest(path, arguments.videos)]
        found = FolderClips(consistent_clips(listed), [])
    else:
        found = clips_from_folder(arguments.videos)
    job = ExtractionJob(config, arguments.cache, arguments.people)
    result = extract(found.clips, arguments.out, job, arguments.seed, arguments.jobs, found.left_out)
    for split in options.SPLITS:
        sys.stdout.write(f"{split:5}  {result.counts[split, 1]:5} falls  {result.counts[split, 0]:5} not falls\n")
    for path, reason in result.left_out:
        sys.stdout.write(f"left out: {printable(path)}: {printable(reason)}\n")
    sys.stdout.write(f"{printable(result.path)} written; {printable(result.report)} lists every video\n")
    return EXIT_OK
