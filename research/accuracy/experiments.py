"""What each part of the recipe brings, measured on sources that the model has not seen.

python research/accuracy/experiments.py                                              lists the rows and how to run each
python research/accuracy/experiments.py recipe no-motion --videos videos/ --jobs 2     runs them, a finished run not again
python research/accuracy/experiments.py --table                                      writes docs/experiments.md

Grouped cross-validation, the groups being whole sources: one fold trains without URFD and is judged on URFD, the
other trains without GMDCSA-24 and the surveillance clips and is judged on these. Clips of the test split take no part,
neither in training nor in judging. What both folds count is added before F1 is taken. Each run is judged by
configs/demo.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from falldet.evaluation.runner import EvaluationJob, evaluate_clips
from falldet.io.files import atomic_write
from falldet.runtime import signals as cli
from research.accuracy.experiments_table import as_markdown
from research.accuracy.training_folds import (
    ROOT,
    ROWS,
    THRESHOLDS,
    Places,
    Row,
    add_options,
    clips_of,
    live_settings,
    places_of,
    train,
)

RESULTS, TABLE = ROOT / "docs" / "experiments.json", ROOT / "docs" / "experiments.md"

FOLDS = {"urfd": ("urfd",), "others": ("gmdcsa24", "survnofight")}
"""Fold -> the sources it leaves out of training and is judged on."""

GROUPS = {"ceiling": ("cam1",), "surveillance": ("survnofight",)}
"""Group of videos -> what their paths hold; the rest is at eye level, at home."""


def main() -> int:
    """List, run or tabulate the rows."""
    parser = argparse.ArgumentParser(
        description="What each part of the recipe brings.", epilog="example: %(prog)s recipe no-motion --videos videos/"
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to run (default: list them)")
    parser.add_argument(
        "--table", action="store_true", help="write docs/experiments.md and research/results/experiments.json"
    )
    add_options(parser)
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.rows) - set(ROWS)):
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if arguments.rows and not arguments.videos:
        parser.error("name the folder of the videos with --videos")
    if arguments.table:
        write_table(arguments.work_dir)
    elif not arguments.rows:
        for name, row in ROWS.items():
            sys.stdout.write(f"python research/accuracy/experiments.py {name:15} --videos videos/   # {row.what}\n")
        sys.stdout.write("python research/accuracy/cross_source.py --videos videos/              # sources left out\n")
        sys.stdout.write(
            "python research/accuracy/retraining.py --videos videos/                # learnt from false alarms\n"
        )
    else:
        places = places_of(arguments)
        runs = [(name, fold, seed) for seed in arguments.seeds for name in arguments.rows for fold in FOLDS]
        with ProcessPoolExecutor(arguments.jobs) as pool:
            for shares in (False, True):  # whoever shares a training comes after it
                wave = [each for each in runs if bool(ROWS[each[0]].trained_as) is shares]
                for future in [pool.submit(run, *each, places) for each in wave]:
                    sys.stdout.write(future.result())
                    sys.stdout.flush()
    return cli.EXIT_OK


def run(name: str, fold: str, seed: int, places: Places) -> str:
    """Train and judge one row on one fold with one seed, unless that was done; return a line about it."""
    folder = places.work_dir / name / fold / f"seed{seed}"
    if (folder / "result.json").is_file():
        return f"{name} {fold} seed {seed}: done before\n"
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    row, trained_as = ROWS[name], ROWS[name].trained_as or name
    checkpoints = []
    for each in range(seed, seed + row.mean_of):
        place = places.work_dir / trained_as / fold / f"seed{each}"
        checkpoints.append(train(ROWS[trained_as], FOLDS[fold], each, places.data, place))
    checkpoint = checkpoints[0] if row.mean_of == 1 else _mean_of(checkpoints, folder / "mean.onnx")
    trained = time.monotonic()
    with atomic_write(folder / "result.json") as stream:
        json.dump(judge(row, fold, checkpoint, places), stream)
    return (
        f"{name} {fold} seed {seed}: {trained - started:.0f} s to train, {time.monotonic() - trained:.0f} s to judge\n"
    )


def _mean_of(checkpoints: list[Path], path: Path) -> Path:
    from falldet.openmmlab.export import config_beside, export_recognizer

    return export_recognizer(config_beside(checkpoints[0]), checkpoints[0], path, *checkpoints[1:])


def judge(row: Row, fold: str, checkpoint: Path, places: Places) -> dict[str, Any]:
    """Return for each group of the fold's videos the falls, and at each threshold those found and the false alarms."""
    clips = clips_of(FOLDS[fold], ("train", "val"), places.videos)
    judged, _ = evaluate_clips(clips, EvaluationJob(live_settings(checkpoint, row.live), THRESHOLDS, places.poses))
    groups: dict[str, Any] = {}
    for clip in judged:
        path = str(clip.result.clip.path)
        name = next((group for group, parts in GROUPS.items() if any(part in path for part in parts)), "eye level")
        group = groups.setdefault(name, {"falls": 0, "right": [0] * len(THRESHOLDS), "false": [0] * len(THRESHOLDS)})
        group["falls"] += len(clip.result.clip.fall_intervals)
        for place, at_threshold in enumerate(clip.at_thresholds):
            group["right"][place] += len(at_threshold.match.pairs)
            group["false"][place] += len(at_threshold.match.false_positives)
    return groups


def write_table(work_dir: Path) -> None:
    """Write what has been run as research/results/experiments.json and, for people, docs/experiments.md."""
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for path in sorted(work_dir.glob("*/*/seed*/result.json")):
        name, fold, seed = path.parts[-4:-1]
        results.setdefault(name, {}).setdefault(seed, {})[fold] = json.loads(path.read_text(encoding="utf-8"))
    with atomic_write(RESULTS) as stream:
        json.dump(results, stream)
    with atomic_write(TABLE) as stream:
        stream.write(as_markdown(results, FOLDS))
    sys.stdout.write(f"{TABLE.relative_to(ROOT)} and {RESULTS.name} written\n")


if __name__ == "__main__":
    cli.run(main)
