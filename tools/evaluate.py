"""Measure the live chain on labelled videos, at the level of fall events.

python tools/evaluate.py manifest.csv
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from falldet import cli

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "demo.py"

SPLITS = ("train", "val", "test")
THRESHOLDS = tuple(score / 100 for score in range(5, 100, 5))

EXAMPLES = """\
examples:
  python tools/evaluate.py videos/manifest.csv --split test
  python tools/evaluate.py a.csv b.csv --root videos/ --checkpoint work_dirs/stgcn_fall/epoch_80.pth
Poses are kept, so that a second run with other numbers takes seconds.
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure fall events on labelled videos.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and the falls' times")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    parser.add_argument("--split", nargs="+", choices=SPLITS, default=SPLITS, help="only these (default: all)")
    parser.add_argument("--config", default=CONFIG, help="settings of the live chain (default: configs/demo.py)")
    parser.add_argument("--checkpoint", help="recogniser, .onnx or .pth (default: the shipped one)")
    parser.add_argument(
        "--out-dir", type=Path, default=Path("work_dirs/evaluate"), help="(default: work_dirs/evaluate)"
    )
    parser.add_argument("--cache", type=Path, default=Path("work_dirs/poses"), help="poses are kept here")
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="change single settings")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    from falldet.evaluation import judge_all, observe_clips, sweep
    from falldet.manifest import read_manifest
    from falldet.pipeline import Settings, pose_cache
    from falldet.report import write_report
    from falldet.settings import read_settings

    settings = Settings.from_groups(read_settings(arguments.config, arguments.cfg_options))
    if arguments.checkpoint:
        settings = replace(settings, recogniser=replace(settings.recogniser, checkpoint=arguments.checkpoint))
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    clips = [clip for clip in clips if clip.split in (None, *arguments.split)]
    observed, left_out = observe_clips(clips, settings, pose_cache(arguments.cache, settings))
    threshold = settings.events.alert_score
    curve = sweep(observed, settings, THRESHOLDS)
    write_report(arguments.out_dir, judge_all(observed, settings), curve, threshold, left_out)
    sys.stdout.write((arguments.out_dir / "report.md").read_text(encoding="utf-8"))
    sys.stdout.write(f"\nreport.md, report.json and operating_curve.png written to {arguments.out_dir}\n")
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
