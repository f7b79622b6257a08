"""Whether temperature scaling makes probabilities true on sources the recognizer never saw, and what becomes of F1.

    python research/accuracy/calibration.py --videos videos/ --runs work_dirs/experiments/recipe

judges the finished runs of `research/accuracy/experiments.py recipe` and writes docs/calibration.md, .json and .png. Source of
the method: Guo et al., On Calibration of Modern Neural Networks, 2017.

Each fold's recognizer is judged on the train and val clips of the sources it was trained without. Its windows get the
labels that training would give them (`label_windows`): a fall where at least half of the going down lies in the window,
no fall where at most 0.15 does, others are left out. Who falls is decided as in training too, without looking at the
scores: the clip's main person, and whoever is not in sight beside them during a fall and so is taken for them under
another track id; a window of somebody else that holds a fall is left out.

A fold's probabilities are scaled by the temperature with the least log loss on the other fold's windows, so neither the
network nor the temperature has seen the source. Training counts a fall `CLASS_WEIGHT` times, which makes probabilities
too high on purpose and which no temperature takes back; so they are measured without that weight, too. Expected
calibration error compares the mean probability of a fall with the share of falls in bins of equal width, weighted by
their windows. Alerts are decided on the noisy-or of overlapping windows, and by a keep score and a sure score beside
the alert score: a temperature changes more than the threshold.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from tqdm import tqdm

from falldet.data.manifest import FallInterval
from falldet.errors import FalldetError
from falldet.evaluation.metrics import compute_metrics
from falldet.evaluation.replay import ReplayedClip, judge, replay_clip
from falldet.extraction.clips import DEFAULT_DESCENT_S, FALL_WEIGHT
from falldet.io.files import atomic_write
from falldet.pipeline.detector import Pipeline, Settings, pose_cache
from falldet.pose.source import NoPoseSource
from falldet.runtime import signals as cli
from falldet.types import NO_TRACK, WindowScore
from research.accuracy.calibration_page import as_markdown, reliability_plot
from research.accuracy.experiments import FOLDS
from research.accuracy.training_folds import ROOT, THRESHOLDS, clips_of, live_settings

RESULTS, PAGE, PICTURE = (ROOT / "docs" / f"calibration.{suffix}" for suffix in ("json", "md", "png"))
SCORES = (*THRESHOLDS, 0.995, 0.999)
FALL_OVERLAP, CLEAR_OVERLAP = 0.5, 0.15
"""Shares of the going down that make a window a fall and no fall in configs/stgcn_fall_best.py."""

CLASS_WEIGHT = 3.0
"""How much more a fall counts than another window in the loss of configs/stgcn_fall_best.py."""

BINS = 15
SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1, where their logit is infinite."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Takes the logarithm of `weight` from a probability's logit, then divides it by `temperature`."""

    temperature: float = 1.0
    weight: float = 1.0

    def __call__(self, fall: np.ndarray) -> np.ndarray:
        """Return probabilities (N,) scaled."""
        fall = np.clip(fall, SMALLEST, 1 - SMALLEST)
        return 1 / (1 + (self.weight * (1 - fall) / fall) ** (1 / self.temperature))


@dataclass(frozen=True, slots=True)
class Fold:
    """What a recognizer says of sources it has not seen.

    Attributes:
        observed: their clips.
        fall: (N,) probabilities of the windows that have a label.
        truth: (N,) bool, the labels.
    """

    observed: list[ReplayedClip]
    fall: np.ndarray
    truth: np.ndarray


def main() -> int:
    """Observe every fold with every seed, fit, judge, write."""
    parser = argparse.ArgumentParser(
        description="Temperature scaling on unseen sources.",
        epilog="example: %(prog)s --videos videos/ --runs work_dirs/experiments/recipe",
    )
    parser.add_argument("--videos", type=Path, required=True, help="folder with urfd/, gmdcsa24/, survnofight/")
    runs = ROOT / "work_dirs" / "experiments" / "recipe"
    parser.add_argument("--runs", type=Path, default=runs, help="runs of research/accuracy/experiments.py recipe")
    parser.add_argument("--poses", type=Path, default=ROOT / "work_dirs" / "poses", help="poses are kept here")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    arguments = parser.parse_args()
    seeds = [measure(arguments.runs, seed, arguments.videos, arguments.poses) for seed in arguments.seeds]
    results = {"scores": SCORES, "seeds": dict(zip((f"seed{seed}" for seed in arguments.seeds), seeds, strict=True))}
    with atomic_write(RESULTS) as stream:
        json.dump(results, stream)
    with atomic_write(PAGE) as stream:
        stream.write(as_markdown(results))
    reliability_plot(PICTURE, results)
    sys.stdout.write(PAGE.read_text(encoding="utf-8"))
    return cli.EXIT_OK


def measure(runs: Path, seed: int, videos: Path, poses: Path) -> dict[str, Any]:
    """Return for each fold of a seed and each scaling how true the windows are, and the events."""
    folds = {}
    for fold in FOLDS:
        checkpoints = sorted((runs / fold / f"seed{seed}").glob("epoch_*.pth"))
        if not checkpoints:
            raise FalldetError(
                f"no run in {runs / fold / f'seed{seed}'}; run research/accuracy/experiments.py recipe first"
            )
        settings = live_settings(checkpoints[-1].resolve())
        folds[fold] = observe(fold, settings, videos, poses)
    results = {}
    for fold, seen in folds.items():
        (other,) = (each for name, each in folds.items() if name != fold)
        scalings = {
            "trained": Scaling(),
            "temperature": fitted(other.fall, other.truth),
            "own": fitted(seen.fall, seen.truth),
            "weight": Scaling(weight=CLASS_WEIGHT),
            "both": fitted(other.fall, other.truth, CLASS_WEIGHT),
        }
        results[fold] = {
            name: {"temperature": scaling.temperature}
            | window_figures(scaling(seen.fall), seen.truth)
            | event_counts([rescored(clip, scaling) for clip in seen.observed], settings)
            for name, scaling in scalings.items()
        }
    return results


def observe(fold: str, settings: Settings, videos: Path, poses: Path) -> Fold:
    """Return a fold's clips as the chain sees them, and their labeled windows."""
    pipeline, cache = Pipeline(settings, pose_source=NoPoseSource()), pose_cache(poses, settings)
    clips = clips_of(FOLDS[fold], ("train", "val"), videos)
    observed = [replay_clip(clip, cache.poses(clip.path), pipeline) for clip in tqdm(clips, desc=fold, disable=None)]
    windows = [window for clip in observed for window in labelled_windows(clip)]
    fall, truth = zip(*((score.fall, is_fall) for score, is_fall in windows), strict=True)
    return Fold(observed, np.array(fall), np.array(truth))


def labelled_windows(observed: ReplayedClip) -> list[tuple[WindowScore, bool]]:
    """Return the windows of a clip that have a label, and whether it is a fall."""
    falls = [_descent(interval) for interval in observed.clip.fall_intervals]
    seen: dict[int, dict[float, float]] = {}
    for frame in observed.frames:
        for track_id, surety in zip(frame.people.track_ids.tolist(), frame.people.box_scores.tolist(), strict=True):
            seen.setdefault(track_id, {})[frame.time_s] = surety
    seen.pop(NO_TRACK, None)
    during = {frame.time_s for frame in observed.frames if any(start <= frame.time_s < end for start, end in falls)}

    def presence(track_id: int) -> float:
        return sum(surety * (FALL_WEIGHT if at in during else 1) for at, surety in seen[track_id].items())

    first = max(sorted(seen), key=presence, default=NO_TRACK)
    bystanders = {track_id for track_id in seen if track_id != first and seen[track_id].keys() & seen[first] & during}
    windows = []
    for score in observed.window_scores:
        times = [at for at in seen[score.track_id] if score.start_s <= at < score.stop_s]
        overlaps = [(min(end, times[-1]) - max(start, times[0])) / (end - start) for start, end in falls]
        share = max(overlaps, default=0.0)
        if share <= CLEAR_OVERLAP or (share >= FALL_OVERLAP and score.track_id not in bystanders):
            windows.append((score, share >= FALL_OVERLAP))
    return windows


def _descent(fall: FallInterval) -> tuple[float, float]:
    return fall.start_s, fall.end_s if fall.fall_end_known else min(fall.end_s, fall.start_s + DEFAULT_DESCENT_S)


def fitted(fall: np.ndarray, truth: np.ndarray, weight: float = 1.0) -> Scaling:
    """Return the scaling with this weight and, from 0.05 to 20, the temperature of the least log loss."""

    def loss(logarithm: float) -> float:
        return log_loss(Scaling(math.exp(logarithm), weight)(fall), truth)

    best = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded")
    return Scaling(math.exp(best.x), weight)


def log_loss(fall: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean of minus the logarithm of what was given to the truth."""
    fall = np.clip(fall, SMALLEST, 1 - SMALLEST)
    return float(-np.log(np.where(truth, fall, 1 - fall)).mean())


def reliability(fall: np.ndarray, truth: np.ndarray) -> dict[str, list[float]]:
    """Return for each bin its windows, its falls and the sum of its probabilities."""
    places = np.minimum((fall * BINS).astype(int), BINS - 1)
    sums = {"windows": np.ones(len(fall)), "falls": truth, "probability": fall}
    return {name: np.bincount(places, weights, BINS).tolist() for name, weights in sums.items()}


def calibration_error(bins: dict[str, list[float]]) -> float:
    """Return the expected calibration error."""
    return float(np.abs(np.subtract(bins["falls"], bins["probability"])).sum() / np.sum(bins["windows"]))


def window_figures(fall: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Return how true the probabilities (N,) of windows are."""
    bins = reliability(fall, truth)
    return {
        "log_loss": log_loss(fall, truth),
        "ece": calibration_error(bins),
        "brier": float(((fall - truth) ** 2).mean()),
        "bins": bins,
    }


def rescored(observed: ReplayedClip, scaling: Scaling) -> ReplayedClip:
    """Return a clip with the probabilities of its windows scaled."""

    def changed(scores: list[WindowScore]) -> list[WindowScore]:
        falls = scaling(np.array([score.fall for score in scores])).tolist()
        return [replace(score, fall=fall) for score, fall in zip(scores, falls, strict=True)]

    frames = [replace(frame, window_scores=changed(frame.window_scores)) for frame in observed.frames]
    return replace(observed, frames=frames, rest=changed(observed.rest))


def event_counts(observed: Sequence[ReplayedClip], settings: Settings) -> dict[str, Any]:
    """Return the labeled falls and, at each alert score, those found and the false alarms."""
    judged = [judge(clip, settings, SCORES)[1:] for clip in observed]
    figures = [compute_metrics([clip[place] for clip in judged]) for place in range(len(SCORES))]
    return {
        "labeled": figures[0].falls,
        "right": [each.true_positives for each in figures],
        "false": [each.false_positives for each in figures],
    }


if __name__ == "__main__":
    cli.run(main)
