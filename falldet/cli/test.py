"""Measure a trained recognizer on a split: metrics, confusion_matrix.png, pr_curve.png and metrics.json.

The config is Python code, and runs: name only configs that you trust.
"""

from __future__ import annotations

import argparse
import sys

from falldet.cli import options
from falldet.cli.process import EXIT_OK

EXAMPLES = """\
  falldet test configs/stgcn_fall.py work_dirs/stgcn_fall/epoch_80.pth
  falldet test configs/stgcn_fall.py work_dirs/stgcn_fall/epoch_80.pth --split val --out-dir results
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    options.add_network_config(parser)
    parser.add_argument("checkpoint", help=".pth file of the run")
    parser.add_argument("--split", default="test", help="train, val or test (default: test)")
    options.add_annotation_files(parser)
    options.add_splits(parser)
    parser.add_argument("--out-dir", help="folder for the files (default: test_<split> next to the checkpoint)")


def run(arguments: argparse.Namespace) -> int:
    """Measure, and show the table."""
    from falldet.build import evaluate_recognizer

    found = evaluate_recognizer(
        arguments.config,
        arguments.checkpoint,
        split=arguments.split,
        out_dir=arguments.out_dir,
        ann_files=arguments.ann_file,
        splits=arguments.splits,
    )
    sys.stdout.write(f"{arguments.split}: {found}\n")
    return EXIT_OK
