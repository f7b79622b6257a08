"""What it costs never to have seen a source: the same clips judged by recognizers that learnt from it and that did not.

    python research/accuracy/cross_source.py --videos videos/ --jobs 2

trains at the study's schedule, with everything and with one source left out, and judges each on clips that neither
trained on: val and test of URFD, and of GMDCSA-24 with the surveillance clips, and FallVision's test split (keypoints
of another pose model; any alert within a fall clip is right). Runs are shared with research/accuracy/experiments.py. Writes
docs/cross_source.md and research/results/cross_source.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from falldet.data.annotations import load_annotations
from falldet.evaluation.markdown import table
from falldet.evaluation.metrics import compute_metrics
from falldet.evaluation.replay import ReplayedClip, judge, replay_clip
from falldet.io.files import atomic_write
from falldet.pipeline.detector import Pipeline, Settings, pose_cache
from falldet.pose.source import NoPoseSource
from falldet.runtime import signals as cli
from research.accuracy.keypoint_events import observed_clip
from research.accuracy.training_folds import ROOT, ROWS, Places, add_options, clips_of, live_settings, places_of, train

RESULTS, TABLE = ROOT / "docs" / "cross_source.json", ROOT / "docs" / "cross_source.md"


@dataclass(frozen=True, slots=True)
class Run:
    """One way of training: a row of the study, the sources it leaves out, and the target it is compared on."""

    row: str
    left_out: tuple[str, ...]
    targets: tuple[str, ...]


TARGETS = {"URFD": ("urfd",), "GMDCSA-24 and surveillance": ("gmdcsa24", "survnofight"), "FallVision": ()}
"""Target -> its sources of videos."""

RUNS = {
    "home": Run("recipe", (), tuple(TARGETS)),
    "urfd": Run("recipe", ("urfd",), ("URFD",)),
    "others": Run("recipe", ("gmdcsa24", "survnofight"), ("GMDCSA-24 and surveillance",)),
    "fallvision": Run("videos-only", (), ("FallVision",)),
}


def main() -> int:
    """Train, judge and write the table."""
    parser = argparse.ArgumentParser(
        description="What it costs never to have seen a source.", epilog="example: %(prog)s --videos videos/"
    )
    add_options(parser)
    arguments = parser.parse_args()
    if not arguments.videos:
        parser.error("name the folder of the videos with --videos")
    places = places_of(arguments)
    tasks = [(name, seed) for seed in arguments.seeds for name in RUNS]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        futures = {(name, seed): pool.submit(measure, name, seed, places) for name, seed in tasks}
        results: dict[str, dict[str, Any]] = {}
        for (name, seed), future in futures.items():
            results.setdefault(name, {})[f"seed{seed}"] = future.result()
            sys.stdout.write(f"{name} seed {seed}: done\n")
            sys.stdout.flush()
    with atomic_write(RESULTS) as stream:
        json.dump(results, stream)
    with atomic_write(TABLE) as stream:
        stream.write(as_markdown(results))
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))
    return cli.EXIT_OK


def measure(name: str, seed: int, places: Places) -> dict[str, Any]:
    """Train one run, unless that was done, and return its counts on each of its targets."""
    run = RUNS[name]
    folder = places.work_dir / run.row / name / f"seed{seed}"
    path = folder / "cross_source.json"
    if path.is_file():
        counts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return counts
    started = time.monotonic()
    checkpoint = train(ROWS[run.row], run.left_out, seed, places.data, folder)
    counts = {"train_s": round(time.monotonic() - started)}
    settings = live_settings(checkpoint)
    pipeline = Pipeline(settings, pose_source=NoPoseSource())
    for target in run.targets:
        judged = [judge(each, settings)[0] for each in observe(target, settings, pipeline, places)]
        figures = compute_metrics(judged)
        counts[target] = {
            "falls": figures.falls,
            "right": figures.true_positives,
            "false": figures.false_positives,
            "f1": figures.f1,
        }
    with atomic_write(path) as stream:
        json.dump(counts, stream)
    return counts


def observe(target: str, settings: Settings, pipeline: Pipeline, places: Places) -> list[ReplayedClip]:
    """Return a target's clips as the chain sees them."""
    if TARGETS[target]:
        clips = clips_of(TARGETS[target], ("val", "test"), places.videos)
        cache = pose_cache(places.poses, settings)
        return [replay_clip(clip, cache.poses(clip.path), pipeline) for clip in clips]
    contents = load_annotations(places.data / "fallvision.pkl")
    chosen = set(contents["split"]["test"])
    return [observed_clip(each, pipeline) for each in contents["annotations"] if each["frame_dir"] in chosen]


def as_markdown(results: dict[str, dict[str, Any]]) -> str:
    """Return the table."""
    away = {target: name for name, run in RUNS.items() if name != "home" for target in run.targets}
    rows = []
    for target, name in away.items():
        pairs = [[results[run][seed][target] for seed in sorted(results[run])] for run in ("home", name)]
        home, left_out = ([count["f1"] or 0.0 for count in counts] for counts in pairs)
        cells = [f"{np.mean(f1):.3f} ({min(f1):.3f} to {max(f1):.3f})" for f1 in (home, left_out)]
        found = [_mean_of(counts, "right") + ", " + _mean_of(counts, "false") + " false" for counts in pairs]
        drop = f"{100 * (np.mean(home) - np.mean(left_out)):.1f}"
        rows.append((target, str(pairs[0][0]["falls"]), cells[0], found[0], cells[1], found[1], drop))
    head = ("source", "falls", "F1, learnt from it too", "found", "F1, source left out", "found", "drop in points")
    seeds = len(results["home"])
    text = (
        f"Fall events on clips that nothing was trained on, mean and range over {seeds} seeds at the study's schedule, "
        "configs/demo.py's rule. `research/accuracy/cross_source.py` says what is left out and which clips these are."
    )
    return "\n".join(["# Sources left out", "", text, "", *table(head, rows), ""])


def _mean_of(counts: Sequence[dict[str, Any]], key: str) -> str:
    return f"{np.mean([count[key] for count in counts]):.1f}"


if __name__ == "__main__":
    cli.run(main)
