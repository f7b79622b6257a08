"""Measure the whole pipeline on labeled videos, at the level of fall events."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from falldet.cli import options
from falldet.cli.process import EXIT_OK
from falldet.models.shipped import shipped_folder
from falldet.terminal import printable

if TYPE_CHECKING:
    from falldet.evaluation.matching import ClipResult
    from falldet.pipeline.config import Config

EXAMPLES = """\
  falldet evaluate videos/manifest.csv --split test
  falldet evaluate a.csv b.csv --root videos/ --checkpoint work_dirs/stgcn_fall/epoch_80.pth
  falldet evaluate videos/manifest.csv --split train --hard-negatives data/hard/   # train on false alarms
  falldet evaluate videos/manifest.csv --jobs 8                                    # eight videos at a time
Poses are kept: a second run with other settings of the later stages takes seconds.
"""

THRESHOLDS = tuple(score / 100 for score in range(5, 100, 5))
"""Alert thresholds of the operating curve."""

OUT_DIR = Path("work_dirs/evaluate")

RETRAIN = """\
falldet train configs/stgcn_fall_best.py --add-ann-file {path} \
--cfg-options load_from={weights} optim_wrapper.optimizer.lr=0.0005"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and times of the falls")
    parser.add_argument("--root", type=Path, help="root of the manifests' paths (default: their own folder)")
    parser.add_argument(
        "--split", nargs="+", choices=options.SPLITS, default=options.SPLITS, help="only these (default: all)"
    )
    parser.add_argument("--out-dir", type=Path, default=OUT_DIR, help=f"folder for the report (default: {OUT_DIR})")
    parser.add_argument("--jobs", type=int, help="videos at the same time (default: one for each core)")
    parser.add_argument(
        "--hard-negatives", type=Path, metavar="DIR", help="write every false alarm there as training data, with a plot"
    )
    options.add_cache(parser)
    options.add_checkpoint(parser)
    options.add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, and show the report."""
    config = options.config_from(arguments)
    from falldet.data.consistency import consistent_clips, warn_of_shared_subjects
    from falldet.data.manifest import read_manifest
    from falldet.evaluation.report import write_report
    from falldet.evaluation.runner import EvaluationJob, evaluate_clips, operating_curve
    from falldet.runtime.parallel import available_cores

    clips = consistent_clips([clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)])
    warn_of_shared_subjects(clips, [clip.split for clip in clips])
    clips = [clip for clip in clips if clip.split in (None, *arguments.split)]
    jobs = available_cores() if arguments.jobs is None else arguments.jobs
    evaluated, left_out = evaluate_clips(clips, EvaluationJob(config, THRESHOLDS, arguments.cache), jobs)
    results, analyses = [clip.result for clip in evaluated], [clip.analysis for clip in evaluated]
    curve = operating_curve(evaluated, THRESHOLDS)
    write_report(arguments.out_dir, results, analyses, curve, config.events.threshold, left_out)
    sys.stdout.write((arguments.out_dir / "report.md").read_text(encoding="utf-8"))
    sys.stdout.write(f"\nreport.md, report.json and operating_curve.png written to {printable(arguments.out_dir)}\n")
    if arguments.hard_negatives:
        write_hard_negatives(arguments.hard_negatives, results, arguments.cache, config)
    return EXIT_OK


def write_hard_negatives(folder: Path, results: Sequence[ClipResult], cache: Path, config: Config) -> None:
    """Write the false alarms of `results` as training data, and tell how to train on them."""
    from falldet.evaluation.hard_negatives import mine_hard_negatives
    from falldet.extraction.pose_cache import pose_cache

    mined = mine_hard_negatives(folder, results, pose_cache(cache, config), config)
    if mined.path is None:
        sys.stdout.write(f"no false alarm to train on; {len(mined.left_out)} were left out\n")
        return
    sys.stdout.write(
        f"{mined.taken} hard negatives written to {printable(mined.path)}, {len(mined.left_out)} were left out. Check "
        f"the plots in {printable(folder)} first: a fall among them would be trained as none. Then train with\n"
        f"{RETRAIN.format(path=mined.path, weights=initial_weights(config.recognizer.checkpoint))}\n"
    )


def initial_weights(checkpoint: str) -> Path:
    """Return the weights that training starts from: the .pth file that raised the alarms, or else the shipped one."""
    return Path(checkpoint) if checkpoint.endswith(".pth") else shipped_folder("checkpoints") / "stgcn_fall.pth"
