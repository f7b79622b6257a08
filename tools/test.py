"""Measure a trained recognizer on a split: python tools/test.py configs/stgcn_fall.py work_dirs/stgcn_fall/best.pth."""

import argparse
import sys

from falldet.runtime import signals as cli


def main() -> None:
    """Parse the arguments, measure, and show the table."""
    parser = argparse.ArgumentParser(
        description="Score a split; print the ratios and write confusion_matrix.png, pr_curve.png and metrics.json.",
        epilog="example: python tools/test.py configs/stgcn_fall.py work_dirs/stgcn_fall/epoch_80.pth --split test",
    )
    parser.add_argument("config", help="config of the run")
    parser.add_argument("checkpoint", help=".pth file of the run")
    parser.add_argument("--split", default="test", help="train, val or test (default: test)")
    parser.add_argument("--ann-file", nargs="+", default=(), help="annotation files instead of the config's")
    parser.add_argument("--out-dir", help="where the files go (default: test_<split> beside the checkpoint)")
    args = parser.parse_args()

    from falldet.openmmlab.testing import evaluate_checkpoint, table

    result = evaluate_checkpoint(args.config, args.checkpoint, args.split, args.out_dir, args.ann_file)
    sys.stdout.write(f"{args.split}: {result.samples} samples\n{table(result.report)}\nfiles: {result.folder}\n")


if __name__ == "__main__":
    cli.run(main)
