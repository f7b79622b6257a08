"""Turn labeled videos into the keypoint pickle that training reads.

python tools/extract_kpts.py videos/
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from falldet.runtime import signals as cli

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "demo.py"

EXAMPLES = """\
examples:
  python tools/extract_kpts.py videos/                 # videos/fall/*.mp4 and videos/not_fall/*.mp4
  python tools/extract_kpts.py videos/ --manifest videos/manifest.csv --out data/falls.pkl
  python tools/extract_kpts.py videos/ --pose yolox_s+hrnet_w32
A stopped run goes on where it was when it is started again.
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Extract keypoints from labeled videos.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "videos", type=Path, help="folder with fall/ and not_fall/, or what the manifest's paths start from"
    )
    parser.add_argument("--out", type=Path, default=Path("data/falls.pkl"), help="the pickle (default: data/falls.pkl)")
    parser.add_argument(
        "--manifest", type=Path, nargs="+", help="CSV files with path, label and, if known, subject, split, fall times"
    )
    parser.add_argument(
        "--people", type=int, default=1, help="people kept of each clip, the main person first (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the 70/15/15 split (default: 0)")
    parser.add_argument(
        "--cache", type=Path, default=Path("work_dirs/poses"), help="poses of finished videos are kept here"
    )
    parser.add_argument(
        "--pose",
        metavar="SOURCE",
        help="where keypoints come from: movenet (default) or such as yolox_s+hrnet_w32",
    )
    parser.add_argument(
        "--config", default=CONFIG, help="settings of pose source and tracker (default: configs/demo.py)"
    )
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="change single settings")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    from falldet.config import read_settings
    from falldet.data.manifest import clips_from_folder, read_manifest
    from falldet.extraction.clips import extract
    from falldet.pipeline.detector import Settings, pose_cache
    from falldet.pose.source import PoseSettings

    settings = Settings.from_groups(read_settings(arguments.config, arguments.cfg_options))
    if arguments.pose:
        settings = replace(settings, pose=PoseSettings(arguments.pose))
    if arguments.manifest:
        clips = [clip for path in arguments.manifest for clip in read_manifest(path, arguments.videos)]
    else:
        clips = clips_from_folder(arguments.videos)
    cache = pose_cache(arguments.cache, settings)
    result = extract(clips, arguments.out, cache, settings.tracker, arguments.people, arguments.seed)
    for split in ("train", "val", "test"):
        sys.stdout.write(f"{split:5}  {result.counts[split, 1]:5} falls  {result.counts[split, 0]:5} not falls\n")
    for path, reason in result.left_out:
        sys.stdout.write(f"left out: {path}: {reason}\n")
    sys.stdout.write(f"{result.path} written; {result.report} says what became of every video\n")
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
