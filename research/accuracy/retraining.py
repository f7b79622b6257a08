"""What learning from one's own false alarms brings on cameras that the recognizer has never seen.

    python research/accuracy/retraining.py --videos videos/

goes the way of the README with its own commands, at the study's schedule. A recognizer that has not seen URFD watches
URFD's train split; tools/evaluate.py --hard-negatives mines its false alarms, at the shipped alert score and at a lower
one; tools/train.py --add-ann-file trains it for one more epoch, at a tenth of the learning rate, on what it had learnt
from and on these. One more epoch without them is the control. Judged on URFD's val and test splits, which nothing was
mined from, and on the train split. The base is shared with research/accuracy/experiments.py. Writes docs/retraining.md and
research/results/retraining.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from falldet.data.annotations import load_annotations
from falldet.errors import FalldetError
from falldet.evaluation.hard_negatives import FILE_NAME
from falldet.evaluation.markdown import table
from falldet.evaluation.metrics import compute_metrics
from falldet.evaluation.replay import judge, replay_clip
from falldet.io.files import atomic_write
from falldet.pipeline.detector import Pipeline, pose_cache
from falldet.pose.source import NoPoseSource
from falldet.runtime import signals as cli
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

RESULTS, TABLE = ROOT / "docs" / "retraining.json", ROOT / "docs" / "retraining.md"

SOURCE = "urfd"
MINED_FROM, FRESH = ("train",), ("val", "test")
"""Splits of the source."""

BASE, CONTROL = "base", "control"
MINED_AT = {"mined-0.97": 0.97, "mined-0.5": 0.5}
"""Way of training again -> the alert score at which is mined."""

WHAT = {
    BASE: "never saw the source",
    CONTROL: "one more epoch, nothing mined",
    **{way: f"one more epoch, mined at {score}" for way, score in MINED_AT.items()},
}


def main() -> int:
    """Mine, train, judge and write the table."""
    parser = argparse.ArgumentParser(
        description="What learning from one's own false alarms brings.", epilog="example: %(prog)s --videos videos/"
    )
    add_options(parser)
    arguments = parser.parse_args()
    if not arguments.videos:
        parser.error("name the folder of the videos with --videos")
    places = places_of(arguments)
    results: dict[str, dict[str, Any]] = {}
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for seed, counts in zip(
            arguments.seeds, pool.map(measure, arguments.seeds, [places] * len(arguments.seeds)), strict=True
        ):
            for way in WHAT:
                results.setdefault(way, {})[f"seed{seed}"] = counts[way]
            sys.stdout.write(f"seed {seed}: done\n")
            sys.stdout.flush()
    with atomic_write(RESULTS) as stream:
        json.dump(results, stream)
    with atomic_write(TABLE) as stream:
        stream.write(as_markdown(results))
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))
    return cli.EXIT_OK


def measure(seed: int, places: Places) -> dict[str, Any]:
    """Return each way's counts with one seed; what was done before is not done again."""
    base = train(ROWS["recipe"], (SOURCE,), seed, places.data, places.work_dir / "recipe" / SOURCE / f"seed{seed}")
    counts = {}
    for way in WHAT:
        path = folder_of(way, seed, places) / "retraining.json"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            counted = run(way, base, seed, places)
            with atomic_write(path) as stream:
                json.dump(counted, stream)
        counts[way] = json.loads(path.read_text(encoding="utf-8"))
    return counts


def folder_of(way: str, seed: int, places: Places) -> Path:
    """Return where a run goes."""
    return places.work_dir / "retraining" / way / f"seed{seed}"


def run(way: str, base: Path, seed: int, places: Places) -> dict[str, Any]:
    """Mine and train again, as the way demands, and return what was mined, how much was learnt from and the figures.

    Where nothing was mined, the control is what comes out.
    """
    if way == BASE:
        return {"judged": figures_of(base, places)}
    mined = None
    if way in MINED_AT:
        mined = mine_hard_negatives(base, MINED_AT[way], folder_of(way, seed, places) / "mined", places)
    folder = folder_of(way if mined else CONTROL, seed, places)
    again = Row(WHAT[way], (f"load_from={base}", "optim_wrapper.optimizer.lr=0.01"))
    checkpoint = train(again, (SOURCE,), seed, places.data, folder, [mined] if mined else [])
    return {
        "clips": len(load_annotations(mined)["annotations"]) if mined else 0,
        "samples": samples_in((folder / "train.log").read_text(encoding="utf-8")),
        "judged": figures_of(checkpoint, places),
    }


def mine_hard_negatives(checkpoint: Path, alert_threshold: float, folder: Path, places: Places) -> Path | None:
    """Mine the false alarms on the source's train split and return the annotation file, None if there are none.

    Raises:
        FalldetError: the mining failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "mine.log").open("w", encoding="utf-8") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = mining_command(checkpoint, alert_threshold, folder, places)
        done = subprocess.run(command, cwd=ROOT, check=False, stdout=log, stderr=log, env=environment)
    if done.returncode:
        raise FalldetError(f"mining into {folder} failed; mine.log there says why")
    path = folder / FILE_NAME
    return path if path.is_file() else None


def mining_command(checkpoint: Path, alert_threshold: float, folder: Path, places: Places) -> list[str]:
    """Return the command that a user would mine with."""
    command = [sys.executable, "tools/evaluate.py", str(places.videos / SOURCE / "manifest.csv")]
    command += ["--root", str(places.videos), "--split", *MINED_FROM, "--checkpoint", str(checkpoint)]
    command += ["--cache", str(places.poses), "--out-dir", str(folder / "report"), "--jobs", "1"]
    command += ["--hard-negatives", str(folder)]
    return [*command, "--cfg-options", f"events.alert_threshold={alert_threshold}", "recognizer.threads=1"]


def samples_in(log: str) -> int:
    """Return the number of samples that a training's log names."""
    found = re.search(r": (\d+) samples, ", log)
    if found is None:
        raise FalldetError("the training's log names no number of samples")
    return int(found[1])


def figures_of(checkpoint: Path, places: Places) -> dict[str, Any]:
    """Return falls, those found, false alarms and F1 on fresh clips and on those that were mined from."""
    settings = live_settings(checkpoint)
    pipeline = Pipeline(settings, pose_source=NoPoseSource())
    cache = pose_cache(places.poses, settings)
    figures = {}
    for name, splits in (("fresh", FRESH), ("mined from", MINED_FROM)):
        clips = clips_of((SOURCE,), splits, places.videos)
        observed = (replay_clip(clip, cache.poses(clip.path), pipeline) for clip in clips)
        judged = [judge(each, settings, THRESHOLDS) for each in observed]
        live, *others = (compute_metrics(results) for results in zip(*judged, strict=True))
        best = max(each.f1 or 0.0 for each in others)
        figures[name] = {
            "falls": live.falls,
            "right": live.true_positives,
            "false": live.false_positives,
            "f1": live.f1,
            "best f1": best,
        }
    return figures


def as_markdown(results: dict[str, dict[str, Any]]) -> str:
    """Return the page."""
    seeds = sorted(results[BASE])
    mined = []
    for way, score in MINED_AT.items():
        more = [results[way][seed]["samples"] - results[CONTROL][seed]["samples"] for seed in seeds]
        total = f"{np.mean([results[way][seed]['samples'] for seed in seeds]):,.0f}"
        clips = _each([results[way][seed]["clips"] for seed in seeds])
        mined.append((str(score), clips, _each(more), total))
    text = (
        f"A recognizer that never saw {SOURCE.upper()} learns from its own false alarms there, mined from the train "
        f"split and labeled as no fall, nothing else of {SOURCE.upper()} being trained on. Mean and range over "
        f"{len(seeds)} seeds at the study's schedule, configs/demo.py's rule; best F1 is that at the best alert score. "
        "`python research/accuracy/retraining.py --videos videos/` makes this page; nothing mined counts as the control."
    )
    head = ("mined at alert score", "clips, each seed", "samples of them, each seed", "all samples, mean")
    parts = [
        "# Learning from one's own false alarms",
        text,
        "\n".join(table(head, mined)),
        "## Clips that nothing was mined from (val and test splits)",
        _judged(results, "fresh"),
        "## Clips that were mined from (train split)",
        _judged(results, "mined from"),
    ]
    return "\n\n".join(parts) + "\n"


def _judged(results: dict[str, dict[str, Any]], clips: str) -> str:
    rows = []
    for way, what in WHAT.items():
        counts = [results[way][seed]["judged"][clips] for seed in sorted(results[way])]
        found = f"{_spread(counts, 'right', 1)} of {counts[0]['falls']}"
        rows.append((what, found, _spread(counts, "false", 1), _spread(counts, "f1", 3), _spread(counts, "best f1", 3)))
    return "\n".join(table(("recognizer", "falls found", "false alarms", "F1", "best F1"), rows))


def _spread(counts: Sequence[dict[str, Any]], key: str, digits: int) -> str:
    values = [count[key] or 0.0 for count in counts]
    low, high = (f"{value:.{digits if isinstance(value, float) else 0}f}" for value in (min(values), max(values)))
    return f"{np.mean(values):.{digits}f} ({low} to {high})"


def _each(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)


if __name__ == "__main__":
    cli.run(main)
