"""Train a recognizer: checkpoints, plots and metrics.json go into the work dir.

The config is Python code, and runs: name only configs that you trust.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from falldet.cli import options
from falldet.cli.process import EXIT_OK
from falldet.terminal import printable

EXAMPLES = """\
  falldet train configs/stgcn_fall.py
  falldet train configs/stgcn_fall.py --cfg-options train_cfg.max_epochs=20
  falldet train configs/stgcn_fall_best.py --add-ann-file data/hard/hard_negatives.pkl
  torchrun --nproc-per-node 2 tools/train.py configs/stgcn_fall.py --launcher pytorch
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_network_config(parser)
    parser.add_argument("--work-dir", help="folder for the run (default: work_dirs/<name of the config>)")
    options.add_annotation_files(parser)
    options.add_splits(parser)
    parser.add_argument("--add-ann-file", nargs="+", default=(), help="further annotation files to train on")
    parser.add_argument("--resume", action="store_true", help="resume from the newest checkpoint in the work dir")
    parser.add_argument("--launcher", choices=("none", "pytorch"), default="none", help="pytorch: started by torchrun")
    parser.add_argument("--seed", type=int, help="seed instead of the config's")
    options.add_cfg_options(parser, "train_cfg.max_epochs=20")


def run(arguments: argparse.Namespace) -> int:
    """Train."""
    from falldet.build import train_recognizer

    work_dir = train_recognizer(
        arguments.config,
        work_dir=arguments.work_dir,
        resume=arguments.resume,
        launcher=arguments.launcher,
        seed=arguments.seed,
        overrides=arguments.cfg_options,
        ann_files=arguments.ann_file,
        more_ann_files=arguments.add_ann_file,
        splits=arguments.splits,
    )
    tell_next(arguments.config, work_dir)
    return EXIT_OK


def tell_next(config: Path, work_dir: Path) -> None:
    """Tell what a run has written, and the commands that measure and use it."""
    best = sorted(work_dir.glob("best_*.pth"), key=lambda path: path.stat().st_mtime)
    newest = sorted(work_dir.glob("epoch_*.pth"), key=lambda path: path.stat().st_mtime)
    checkpoint = ([*newest, *best] or [work_dir / "epoch_N.pth"])[-1]
    sys.stdout.write(
        f"{printable(work_dir)} holds the checkpoints, learning_rate.png, loss.png, confusion_matrix.png and "
        f"metrics.json. Next:\n  falldet test {shlex.quote(str(config))} {shlex.quote(str(checkpoint))}\n"
        f"  falldet demo video.mp4 --checkpoint {shlex.quote(str(checkpoint))}\n"
    )
