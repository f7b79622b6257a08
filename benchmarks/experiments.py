"""What each part of the recipe brings, measured on sources it was not trained on.

python benchmarks/experiments.py                                  lists the rows
python benchmarks/experiments.py base no-motion --seeds 0 1 2     runs them; a finished run is not run again
python benchmarks/experiments.py --table                          writes docs/experiments.md from what has been run

Grouped cross-validation, the groups being whole sources: one fold trains without URFD and is judged on URFD's falls and
daily activities, the other trains without GMDCSA-24 and the surveillance clips and is judged on them. Clips of the
test split take no part, neither in training nor in judging. Counts of both folds are added before F1 is taken.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "experiments.json"

VIDEOS, KEYPOINTS = "train_dataloader.dataset.datasets.0", "train_dataloader.dataset.datasets.1"
SHORT = (
    "model.backbone.base_channels=16",
    "model.cls_head.in_channels=64",
    "train_cfg.max_epochs=1",
    "train_cfg.val_begin=2",
    "param_scheduler.0.T_max=1",
    "param_scheduler.0.convert_to_iter_based=True",
)
"""The study's schedule: a narrower network and one epoch, so that a row of six runs takes half an hour of one core."""

FOLDS = {"urfd": ("urfd",), "others": ("gmdcsa24", "survnofight")}
"""Sources that a fold leaves out of training and is judged on."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Attributes:
        what: what differs from the row `base`, for the reader.
        train: settings of configs/stgcn_fall_best.py.
        live: settings of configs/demo.py.
        videos: the videos' annotation file in the data folder.
    """

    what: str
    train: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    videos: str = "falls.pkl"
    fallvision: bool = True


def _pipeline(step: int, setting: str) -> tuple[str, str]:
    """Return a setting of one step of the training pipeline, for both kinds of clips."""
    return f"{VIDEOS}.dataset.pipeline.{step}.{setting}", f"{KEYPOINTS}.pipeline.{step}.{setting}"


ROWS = {
    "base": Row("the recipe at the study's short schedule"),
    "videos-only": Row("no FallVision; nine epochs of the videos", ("train_cfg.max_epochs=9", "param_scheduler.0.T_max=9"), fallvision=False),
    "no-disturbance": Row("without DisturbSkeleton", _pipeline(3, "type='mmaction.Flip'") + _pipeline(3, "flip_ratio=0.0")),
    "no-motion": Row("without the motion channels", ("model.backbone.type=STGCN",)),
    "image": Row("image coordinates", _pipeline(4, "mode=image") + ("val_dataloader.dataset.pipeline.2.mode=image",)),
    "timing": Row("with young tracks and slow cameras", _pipeline(3, "late_start=0.2") + _pipeline(3, "low_rate=0.3")),
    "speeds": Row(
        "with windows at 0.8, 1 and 1.25 times the speed",
        (f"{VIDEOS}.dataset.window.speeds=[0.8,1.0,1.25]", f"{KEYPOINTS}.window.speeds=[0.8,1.0,1.25]"),
    ),
    "long-windows": Row(
        "windows of 2.7 s",
        (f"{VIDEOS}.dataset.window.length_s=2.7", f"{KEYPOINTS}.window.length_s=2.7"),
        ("windows.length_s=2.7",),
    ),
}


def main() -> int:
    """List, run or tabulate the rows."""
    parser = argparse.ArgumentParser(description="What each part of the recipe brings.")
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], metavar="ROW", help="rows to run (default: list them)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", nargs="+", choices=FOLDS, default=list(FOLDS))
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="folder with falls.pkl and fallvision.pkl")
    parser.add_argument("--videos", type=Path, help="folder with urfd/, gmdcsa24/ and survnofight/")
    parser.add_argument("--poses", type=Path, default=ROOT / "work_dirs" / "poses", help="cache of poses")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs" / "experiments")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one core each")
    arguments = parser.parse_args()
    runs = [(row, fold, seed) for row in arguments.rows for seed in arguments.seeds for fold in arguments.folds]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for future in [pool.submit(run, *each, arguments) for each in runs]:
            future.result()
    return 0


def run(name: str, fold: str, seed: int, arguments: argparse.Namespace) -> None:
    """Train and judge one row on one fold with one seed."""
    row, folder = ROWS[name], arguments.work_dir / name / fold / f"seed{seed}"
    if (folder / "events" / "report.json").is_file():
        return
    left_out = "leave_out=" + repr([f"{source}/" for source in FOLDS[fold]]).replace(" ", "")
    annotations = [arguments.data / row.videos]
    options = [*SHORT, *row.train, f"{VIDEOS}.dataset.{left_out}", f"val_dataloader.dataset.ann_file={annotations[0]}"]
    if row.fallvision:
        options += [f"{VIDEOS}.dataset.ann_file={annotations[0]}"]
        options += [f"{KEYPOINTS}.ann_file={arguments.data / 'fallvision.pkl'}"]
    command = ["tools/train.py", "configs/stgcn_fall_best.py", "--seed", str(seed), "--work-dir", str(folder)]
    command += ["--cfg-options", *options] + ([] if row.fallvision else ["--ann-file", str(annotations[0])])
    started = time.monotonic()
    _call(command, folder / "train.log")
    trained = time.monotonic()
    epochs = max([int(o.rpartition("=")[2]) for o in options if o.startswith("train_cfg.max_epochs")][-1:])
    command = ["tools/evaluate.py", *(f"{arguments.videos / source / 'manifest.csv'}" for source in FOLDS[fold])]
    command += ["--root", str(arguments.videos), "--split", "train", "val", "--cache", str(arguments.poses)]
    command += ["--checkpoint", str(folder / f"epoch_{epochs}.pth"), "--out-dir", str(folder / "events")]
    _call(command + (["--cfg-options", *row.live] if row.live else []), folder / "evaluate.log")
    sys.stdout.write(f"{name} {fold} seed {seed}: {trained - started:.0f} s to train, {time.monotonic() - trained:.0f} s to judge\n")
    sys.stdout.flush()


def _call(command: list[str], log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        subprocess.run(
            [sys.executable, *command], cwd=ROOT, check=True, stdout=stream, stderr=stream, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )


if __name__ == "__main__":
    sys.exit(main())
