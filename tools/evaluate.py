"""Measure the live chain on labeled videos, at the level of fall events.

python tools/evaluate.py manifest.csv
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from falldet.runtime import signals as cli

if TYPE_CHECKING:
    from falldet.evaluation.matching import ClipResult
    from falldet.pipeline.detector import Settings

RETRAIN = """\
python tools/train.py configs/stgcn_fall_best.py --add-ann-file {path} \
--cfg-options load_from={weights} optim_wrapper.optimizer.lr=0.01"""

SHIPPED_WEIGHTS = "checkpoints/stgcn_fall.pth"

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "demo.py"

SPLITS = ("train", "val", "test")
THRESHOLDS = (*(score / 100 for score in range(5, 100, 5)), 0.97, 0.99)

EXAMPLES = """\
examples:
  python tools/evaluate.py videos/manifest.csv --split test
  python tools/evaluate.py a.csv b.csv --root videos/ --checkpoint work_dirs/stgcn_fall/epoch_80.pth
  python tools/evaluate.py videos/manifest.csv --split train --hard-negatives data/hard/   # learn from false alarms
  python tools/evaluate.py videos/manifest.csv --jobs 8                                    # eight videos at a time
Poses are kept, so that a second run with other numbers takes seconds.
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure fall events on labeled videos.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and the falls' times")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    parser.add_argument("--split", nargs="+", choices=SPLITS, default=SPLITS, help="only these (default: all)")
    parser.add_argument("--config", default=CONFIG, help="settings of the live chain (default: configs/demo.py)")
    parser.add_argument("--checkpoint", help="recognizer, .onnx or .pth (default: the shipped one)")
    parser.add_argument(
        "--out-dir", type=Path, default=Path("work_dirs/evaluate"), help="(default: work_dirs/evaluate)"
    )
    parser.add_argument("--cache", type=Path, default=Path("work_dirs/poses"), help="poses are kept here")
    parser.add_argument("--jobs", type=int, help="videos looked at side by side (default: one for each core)")
    parser.add_argument(
        "--hard-negatives", type=Path, metavar="DIR", help="write every false alarm there, as training data and picture"
    )
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="change single settings")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    from falldet.config import read_settings
    from falldet.data.manifest import read_manifest
    from falldet.evaluation.report import write_report
    from falldet.evaluation.runner import EvaluationJob, available_cores, evaluate_clips, operating_curve
    from falldet.pipeline.detector import Settings

    settings = Settings.from_groups(read_settings(arguments.config, arguments.cfg_options))
    if arguments.checkpoint:
        settings = replace(settings, recognizer=replace(settings.recognizer, checkpoint=arguments.checkpoint))
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    clips = [clip for clip in clips if clip.split in (None, *arguments.split)]
    jobs = available_cores() if arguments.jobs is None else arguments.jobs
    judged, left_out = evaluate_clips(clips, EvaluationJob(settings, THRESHOLDS, arguments.cache), jobs)
    results, analyses = [clip.result for clip in judged], [clip.analysis for clip in judged]
    curve = operating_curve(judged, THRESHOLDS)
    write_report(arguments.out_dir, results, analyses, curve, settings.events.alert_threshold, left_out)
    sys.stdout.write((arguments.out_dir / "report.md").read_text(encoding="utf-8"))
    sys.stdout.write(f"\nreport.md, report.json and operating_curve.png written to {arguments.out_dir}\n")
    if arguments.hard_negatives:
        write_hard_negatives(arguments.hard_negatives, results, arguments.cache, settings)
    return cli.EXIT_OK


def write_hard_negatives(folder: Path, results: Sequence[ClipResult], cache: Path, settings: Settings) -> None:
    from falldet.evaluation.hard_negatives import mine_hard_negatives
    from falldet.pipeline.detector import Pipeline, pose_cache
    from falldet.pose.source import NoPoseSource

    pipeline = Pipeline(settings, pose_source=NoPoseSource())
    mined = mine_hard_negatives(folder, results, pose_cache(cache, settings), pipeline)
    if mined.path is None:
        sys.stdout.write(f"no false alarm to learn from; {len(mined.left_out)} were not taken\n")
        return
    sys.stdout.write(
        f"{mined.taken} hard negatives written to {mined.path}, {len(mined.left_out)} were not taken. Look at the "
        f"pictures in {folder} first: a fall among them would be learnt as none. Then train with\n"
        f"{RETRAIN.format(path=mined.path, weights=weights_of(settings.recognizer.checkpoint))}\n"
    )


def weights_of(checkpoint: str) -> str:
    """Return what training goes on from: the .pth file that raised the alarms, or else the shipped one."""
    return checkpoint if checkpoint.endswith(".pth") else SHIPPED_WEIGHTS


if __name__ == "__main__":
    cli.run(main)
