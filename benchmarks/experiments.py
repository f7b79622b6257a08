"""What each part of the recipe brings, measured on sources that the model has not seen.

python benchmarks/experiments.py                                              lists the rows and how to run each
python benchmarks/experiments.py recipe no-motion --videos videos/ --jobs 2     runs them, a finished run not again
python benchmarks/experiments.py --table                                      writes docs/experiments.md

Grouped cross-validation, the groups being whole sources: one fold trains without URFD and is judged on URFD, the
other trains without GMDCSA-24 and the surveillance clips and is judged on these. Clips of the test split take no part,
neither in training nor in judging. What both folds count is added before F1 is taken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falldet import cli

ROOT = Path(__file__).resolve().parent.parent
RESULTS, TABLE = ROOT / "docs" / "experiments.json", ROOT / "docs" / "experiments.md"
THRESHOLDS = tuple(score / 100 for score in range(10, 100, 5))

VIDEOS, KEYPOINTS = "train_dataloader.dataset.datasets.0.dataset", "train_dataloader.dataset.datasets.1"
SHORT = (
    "model.backbone.base_channels=16",
    "model.cls_head.in_channels=64",
    "train_cfg.max_epochs=1",
    "train_cfg.val_begin=9",
    "param_scheduler.0.T_max=1",
    "param_scheduler.0.convert_to_iter_based=True",
)
"""The study's schedule: a narrower network and one epoch, so that a run takes three to four minutes of one core."""

RULE = ("fusion.rule=higher_score", "fusion.delay_s=0.0", "events.alert_score=0.8", "events.sure_score=0.95")
ALERT_SCORE = 0.8
"""The study compares recognisers under the reference's rule of fusion; benchmarks/fusion.py compares the rules."""

FOLDS = {"urfd": ("urfd",), "others": ("gmdcsa24", "survnofight")}
"""Fold -> the sources it leaves out of training and is judged on."""

GROUPS = {"ceiling": ("cam1",), "surveillance": ("survnofight",)}
"""Group of videos -> what their paths hold; the rest is at eye level, at home."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Attributes:
        what: what differs from the recipe.
        train: settings of configs/stgcn_fall_best.py.
        live: settings of configs/demo.py.
        keypoints: annotation files that are learnt from beside the videos'.
    """

    what: str
    train: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    keypoints: tuple[str, ...] = ("fallvision.pkl",)


def _window(setting: str) -> tuple[str, str]:
    return f"{VIDEOS}.window.{setting}", f"{KEYPOINTS}.window.{setting}"


def _step(number: int, setting: str) -> tuple[str, str]:
    """Return a setting of one step of the training pipeline, for both kinds of clips."""
    return f"{VIDEOS}.pipeline.{number}.{setting}", f"{KEYPOINTS}.pipeline.{number}.{setting}"


DISTURB, NORMALISE = 3, 4
"""Places of DisturbSkeleton and NormaliseSkeleton in the training pipeline."""

ROWS = {
    "recipe": Row("configs/stgcn_fall_best.py at the study's schedule"),
    "videos-only": Row(
        "without FallVision, six epochs", ("train_cfg.max_epochs=6", "param_scheduler.0.T_max=6"), keypoints=()
    ),
    "scenes": Row("with 1,000 drawn scenes (tools/compose_scenes.py)", keypoints=("fallvision.pkl", "scenes.pkl")),
    "two-epochs": Row("two epochs", ("train_cfg.max_epochs=2", "param_scheduler.0.T_max=2")),
    "no-motion": Row("without motion channels", ("model.backbone.type=STGCN",)),
    "no-disturbance": Row(
        "without DisturbSkeleton",
        tuple(
            setting
            for name in ("tilt_degrees", "jitter", "drop_joint", "drop_limb", "drop_frames")
            for setting in _step(DISTURB, f"{name}=0.0")
        )
        + _step(DISTURB, "stretch=1.0"),
    ),
    "image": Row(
        "image coordinates instead of person-centred ones",
        (
            *_step(NORMALISE, "mode=image"),
            "val_dataloader.dataset.pipeline.2.mode=image",
            "test_dataloader.dataset.pipeline.2.mode=image",
        ),
    ),
    "speeds": Row("with windows at 0.8, 1 and 1.25 times the speed", _window("speeds=[0.8,1.0,1.25]")),
    "long-windows": Row("with windows of 2.7 s", _window("length_s=2.7"), ("windows.length_s=2.7",)),
}


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: annotation files, videos, cached poses, and where runs go."""

    data: Path
    videos: Path
    poses: Path
    work_dir: Path


def main() -> int:
    """List, run or tabulate the rows."""
    parser = argparse.ArgumentParser(
        description="What each part of the recipe brings.", epilog="example: %(prog)s recipe no-motion --videos videos/"
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to run (default: list them)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    parser.add_argument(
        "--data", type=Path, default=ROOT / "data", help="folder with falls.pkl, fallvision.pkl and scenes.pkl"
    )
    parser.add_argument("--videos", type=Path, help="folder with urfd/, gmdcsa24/ and survnofight/")
    parser.add_argument("--poses", type=Path, default=ROOT / "work_dirs" / "poses", help="poses are kept here")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs" / "experiments", help="runs go here")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one core each (default: 1)")
    parser.add_argument("--table", action="store_true", help="write docs/experiments.md and docs/experiments.json")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.rows) - set(ROWS)):
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if arguments.rows and not arguments.videos:
        parser.error("name the folder of the videos with --videos")
    if arguments.table:
        write_table(arguments.work_dir)
    elif not arguments.rows:
        for name, row in ROWS.items():
            sys.stdout.write(f"python benchmarks/experiments.py {name:15} --videos videos/   # {row.what}\n")
    else:
        places = Places(
            arguments.data.resolve(), arguments.videos.resolve(), arguments.poses, arguments.work_dir.resolve()
        )
        runs = [(name, fold, seed) for seed in arguments.seeds for name in arguments.rows for fold in FOLDS]
        with ProcessPoolExecutor(arguments.jobs) as pool:
            for future in [pool.submit(run, name, fold, seed, places) for name, fold, seed in runs]:
                sys.stdout.write(future.result())
                sys.stdout.flush()
    return cli.EXIT_OK


def run(name: str, fold: str, seed: int, places: Places) -> str:
    """Train and judge one row on one fold with one seed, unless that was done; return a line about it."""
    folder = places.work_dir / name / fold / f"seed{seed}"
    if (folder / "result.json").is_file():
        return f"{name} {fold} seed {seed}: done before\n"
    started = time.monotonic()
    checkpoint = train(ROWS[name], fold, seed, places, folder)
    trained = time.monotonic()
    result = judge(ROWS[name], fold, checkpoint, places) | {"train_s": round(trained - started)}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return (
        f"{name} {fold} seed {seed}: {trained - started:.0f} s to train, {time.monotonic() - trained:.0f} s to judge\n"
    )


def train(row: Row, fold: str, seed: int, places: Places, folder: Path) -> Path:
    """Train on everything but the fold's sources and return the checkpoint."""
    videos = places.data / "falls.pkl"
    left_out = "[" + ",".join(f"'{source}/'" for source in FOLDS[fold]) + "]"
    options = [
        *SHORT,
        *row.train,
        f"{VIDEOS}.leave_out={left_out}",
        f"val_dataloader.dataset.ann_file={videos}",
    ]
    command = [sys.executable, "tools/train.py", "configs/stgcn_fall_best.py", "--seed", str(seed)]
    command += ["--work-dir", str(folder)]
    if row.keypoints:
        keypoints = [str(places.data / name) for name in row.keypoints]
        options += [f"{VIDEOS}.ann_file={videos}", f"{KEYPOINTS}.ann_file={keypoints}"]
    else:
        command += ["--ann-file", str(videos)]
    epochs = [option.partition("=")[2] for option in options if option.startswith("train_cfg.max_epochs=")]
    checkpoint = folder / f"epoch_{epochs[-1]}.pth"
    if checkpoint.is_file():
        return checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.log").open("w", encoding="utf-8") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(
            [*command, "--cfg-options", *options], cwd=ROOT, check=True, stdout=log, stderr=log, env=environment
        )
    return checkpoint


def judge(row: Row, fold: str, checkpoint: Path, places: Places) -> dict[str, Any]:
    """Return for each group of the fold's videos the falls, and at each threshold those found and the false alarms."""
    from falldet.manifest import read_manifest
    from falldet.pipeline import Settings
    from falldet.settings import read_settings
    from falldet.workers import Judging, judge_clips

    live = [*RULE, *row.live, f"recogniser.checkpoint={checkpoint}", "recogniser.threads=1"]
    settings = Settings.from_groups(read_settings(ROOT / "configs" / "demo.py", live))
    manifests = [places.videos / source / "manifest.csv" for source in FOLDS[fold]]
    clips = [clip for path in manifests for clip in read_manifest(path, places.videos) if clip.split != "test"]
    judged, _ = judge_clips(clips, Judging(settings, THRESHOLDS, places.poses))
    groups: dict[str, Any] = {}
    for clip in judged:
        path = str(clip.result.clip.path)
        name = next((group for group, parts in GROUPS.items() if any(part in path for part in parts)), "eye level")
        group = groups.setdefault(name, {"falls": 0, "right": [0] * len(THRESHOLDS), "false": [0] * len(THRESHOLDS)})
        group["falls"] += len(clip.result.clip.fall_intervals)
        for place, result in enumerate(clip.at_thresholds):
            group["right"][place] += len(result.match.pairs)
            group["false"][place] += len(result.match.false)
    return {"groups": groups}


def write_table(work_dir: Path) -> None:
    """Write what has been run as docs/experiments.json and, for people, docs/experiments.md."""
    from falldet.files import finished_file

    results: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for path in sorted(work_dir.glob("*/*/seed*/result.json")):
        name, fold, seed = path.parts[-4:-1]
        results.setdefault(name, {}).setdefault(seed, {})[fold] = json.loads(path.read_text(encoding="utf-8"))
    with finished_file(RESULTS) as stream:
        json.dump(results, stream, indent=1)
    with finished_file(TABLE) as stream:
        stream.write(as_markdown(results))
    sys.stdout.write(f"{TABLE.relative_to(ROOT)} and {RESULTS.name} written\n")


def as_markdown(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of all rows that have been run, best threshold and the whole curve beside it."""
    place = THRESHOLDS.index(ALERT_SCORE)
    lines = [
        "# What each part of the recipe brings",
        "",
        "Fall events on sources left out of training (train and val splits), counts of both folds added; mean and "
        f"standard deviation over the seeds; where windows overlap the higher score wins; alert score "
        f"{ALERT_SCORE:g}. `python benchmarks/experiments.py` "
        "says how each row is made, and what a fold is.",
        "",
        "| row | what differs | seeds | F1 | F1 without ceiling views | falls found at eye level "
        "| from the ceiling | false alarms, surveillance | others | best F1 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        seeds = [_add(folds) for folds in results.get(name, {}).values() if set(folds) == set(FOLDS)]
        if seeds:
            lines.append(f"| {name} | {row.what} | {len(seeds)} | " + " | ".join(_cells(seeds, place)) + " |")
    lines += ["", "## The alert score", "", "F1 over both folds by alert score, row `recipe`, mean over the seeds.", ""]
    recipe = [_add(folds) for folds in results.get("recipe", {}).values() if set(folds) == set(FOLDS)]
    lines += [
        "| alert score | " + " | ".join(f"{score:g}" for score in THRESHOLDS) + " |",
        "|---" * (1 + len(THRESHOLDS)) + "|",
    ]
    for title, names in (("all", None), ("without ceiling views", ("eye level", "surveillance"))):
        means = [_mean([_f1(groups, i, names) for groups in recipe]) for i in range(len(THRESHOLDS))]
        lines.append(f"| F1, {title} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    return "\n".join(lines) + "\n"


def _add(folds: Mapping[str, Any]) -> dict[str, Any]:
    """Return the groups of all folds; no group is in two of them but "eye level", whose counts are added."""
    total: dict[str, Any] = {}
    for fold in folds.values():
        for name, group in fold["groups"].items():
            known = total.setdefault(name, {"falls": 0, "right": [0] * len(THRESHOLDS), "false": [0] * len(THRESHOLDS)})
            known["falls"] += group["falls"]
            for kind in ("right", "false"):
                known[kind] = [a + b for a, b in zip(known[kind], group[kind], strict=True)]
    return total


def _cells(seeds: list[dict[str, Any]], place: int) -> list[str]:
    no_ceiling = ("eye level", "surveillance")
    best = [max(_f1(groups, i) for i in range(len(THRESHOLDS))) for groups in seeds]
    return [
        _spread([_f1(groups, place) for groups in seeds]),
        _spread([_f1(groups, place, no_ceiling) for groups in seeds]),
        *(
            f"{_mean([g[n]['right'][place] for g in seeds]):.1f} of {seeds[0][n]['falls']}"
            for n in ("eye level", "ceiling")
        ),
        f"{_mean([g['surveillance']['false'][place] for g in seeds]):.1f}",
        f"{_mean([g['eye level']['false'][place] + g['ceiling']['false'][place] for g in seeds]):.1f}",
        _spread(best),
    ]


def _f1(groups: Mapping[str, Any], place: int, names: tuple[str, ...] | None = None) -> float:
    chosen = [group for name, group in groups.items() if names is None or name in names]
    right, falls = sum(g["right"][place] for g in chosen), sum(g["falls"] for g in chosen)
    return 2 * right / (right + sum(g["false"][place] for g in chosen) + falls)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _spread(values: list[float]) -> str:
    mean = _mean(values)
    deviation = (sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)) ** 0.5
    return f"{mean:.3f} ± {deviation:.3f}" if len(values) > 1 else f"{mean:.3f}"


if __name__ == "__main__":
    cli.run(main)
