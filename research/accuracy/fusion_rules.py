"""How the scores of overlapping windows are best fused: each rule at each delay, with the shipped recognizer.

    python research/accuracy/fusion_rules.py videos/urfd/manifest.csv videos/gmdcsa24/manifest.csv videos/survnofight/manifest.csv \
        --root videos/

writes docs/fusion.md and research/results/fusion.json. Every video is observed once and decided under every rule. A frame waits
`latency_s` for further windows that cover it; without delay the first one settles it, so that the rules are one.
The alert score of a row is that of configs/demo.py and, in another column, the one with the best F1 on train and val,
because noisy-or and the mean give other scores. The recognizer has learnt from train and was chosen on val: only test
is new to it, and nothing here is chosen on test.

`--runs work_dirs/experiments/recipe` compares the rules on sources that the recognizers of research/accuracy/experiments.py
had not seen; the shipped rule and alert score were chosen there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from tqdm import tqdm

from falldet.config import read_settings
from falldet.data.manifest import ClipRecord, read_manifest
from falldet.errors import FalldetError
from falldet.evaluation.markdown import table
from falldet.evaluation.metrics import EventMetrics, compute_metrics
from falldet.evaluation.replay import ReplayedClip, judge, replay_clip
from falldet.io.files import atomic_write
from falldet.pipeline.detector import Pipeline, Settings, pose_cache
from falldet.pose.source import NoPoseSource
from falldet.runtime import signals as cli
from falldet.stages.fusion import FusionSettings, Rule
from research.accuracy.experiments import FOLDS

ROOT = Path(__file__).resolve().parents[2]
RESULTS, TABLE = ROOT / "docs" / "fusion.json", ROOT / "docs" / "fusion.md"
DELAYS_S = (0.0, 0.25, 0.5, 1.0)
SCORES = (*(score / 100 for score in range(30, 100, 5)), 0.97, 0.99)
HELD_OUT: tuple[tuple[Rule, float, float], ...] = (
    ("higher_score", 0.0, 0.95),
    ("higher_score", 0.5, 0.95),
    ("mean", 0.5, 0.95),
    ("noisy_or", 0.25, 0.99),
    ("noisy_or", 0.5, 0.95),
    ("noisy_or", 0.5, 0.99),
)
CHOSEN_ON, REPORTED = ("train", "val"), ("test",)


def main() -> int:
    """Observe all videos, decide them under every rule, write the table."""
    parser = argparse.ArgumentParser(
        description="Rules of fusion, measured.", epilog="example: %(prog)s videos/manifest.csv --root videos/"
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and the falls' times")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    parser.add_argument(
        "--runs", type=Path, help="instead: the rules on unseen sources, by the runs in work_dirs/experiments/recipe"
    )
    parser.add_argument("--poses", type=Path, default=ROOT / "work_dirs" / "poses", help="poses are kept here")
    arguments = parser.parse_args()
    settings = Settings.from_groups(read_settings(ROOT / "configs" / "demo.py", ["movenet.precision=f32"]))
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    if missing := [split for split in (*CHOSEN_ON, *REPORTED) if split not in {clip.split for clip in clips}]:
        raise FalldetError(f"no clip has the split {missing[0]!r}; name some in a manifest")
    if arguments.runs:
        sys.stdout.write(held_out(arguments.runs, clips, arguments.poses, settings))
        return cli.EXIT_OK
    cache, pipeline = pose_cache(arguments.poses, settings), Pipeline(settings, pose_source=NoPoseSource())
    observed = [replay_clip(clip, cache.poses(clip.path), pipeline) for clip in tqdm(clips, unit="clip", disable=None)]
    rows = [measure(rule, latency_s, observed, settings) for latency_s in DELAYS_S for rule in get_args(Rule)]
    with atomic_write(RESULTS) as stream:
        json.dump(rows, stream, indent=1)
    with atomic_write(TABLE) as stream:
        stream.write(as_markdown(rows, settings))
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))
    return cli.EXIT_OK


def measure(rule: Rule, latency_s: float, observed: Sequence[ReplayedClip], settings: Settings) -> dict[str, Any]:
    """Return a row: figures on train and val and on test, at the shipped alert score and at the best one."""
    fusion = FusionSettings(rule, latency_s, max(settings.fusion.max_wait_s, latency_s))
    changed = replace(settings, fusion=fusion)
    judged = [(clip.clip.split, judge(clip, changed, SCORES)) for clip in observed]

    def figures(splits: Sequence[str], place: int) -> EventMetrics:
        return compute_metrics([results[place] for split, results in judged if split in splits])

    best = max(range(len(SCORES)), key=lambda i: (figures(CHOSEN_ON, 1 + i).f1 or 0, SCORES[i]))
    row: dict[str, Any] = {"rule": rule, "latency_s": latency_s, "best_score": SCORES[best]}
    for name, splits in (("train and val", CHOSEN_ON), ("test", REPORTED)):
        row[name], row[f"{name}, best score"] = as_record(figures(splits, 0)), as_record(figures(splits, 1 + best))
    return row


def held_out(runs: Path, clips: Sequence[ClipRecord], poses: Path, settings: Settings) -> str:
    """Return the table of the rules on clips whose source each run's recognizer had not seen, mean over its seeds."""
    seeds = sorted({path.name for path in runs.glob("*/seed*")})
    sets = [
        [watched for fold in FOLDS for watched in unseen(runs / fold / seed, fold, clips, poses, settings)]
        for seed in seeds
    ]
    rows = []
    for rule, latency_s, immediate_threshold in HELD_OUT:
        fusion = FusionSettings(rule, latency_s, max(settings.fusion.max_wait_s, latency_s))
        events = replace(settings.events, alert_threshold=min(SCORES), immediate_threshold=immediate_threshold)
        changed = replace(settings, fusion=fusion, events=events)
        judged = [[judge(clip, changed, SCORES) for clip in observed] for observed in sets]
        figures = [[compute_metrics([clip[1 + i] for clip in seed]) for i in range(len(SCORES))] for seed in judged]
        f1 = np.array([[each.f1 or 0 for each in seed] for seed in figures]).mean(axis=0)
        best = int(f1.argmax())
        found, false = (np.mean([getattr(seed[best], name) for seed in figures]) for name in ("right", "false"))
        cells = (f"{SCORES[best]:g}", f"{f1[best]:.3f}", f"{found:.1f} of {figures[0][0].falls}", f"{false:.1f}")
        rows.append((rule, f"{latency_s:g} s", f"{immediate_threshold:g}", f"{f1[SCORES.index(0.8)]:.3f}", *cells))
    head = ("rule", "frame waits", "sure score", "F1 at 0.8", "best alert score", "F1 there", "found", "false alarms")
    return "\n".join(table(head, rows)) + "\n"


def unseen(
    run: Path, fold: str, clips: Sequence[ClipRecord], poses: Path, settings: Settings
) -> Iterator[ReplayedClip]:
    """Yield the clips of the sources that a run left out of training, with its recognizer's scores."""
    (checkpoint,) = run.glob("epoch_*.pth")
    recognizer = replace(settings.recognizer, checkpoint=str(checkpoint))
    pipeline = Pipeline(replace(settings, recognizer=recognizer), pose_source=NoPoseSource())
    cache = pose_cache(poses, settings)
    chosen = [clip for clip in clips if clip.split in CHOSEN_ON and set(FOLDS[fold]) & set(clip.path.parts)]
    for clip in tqdm(chosen, desc=f"{fold} {run.name}", unit="clip", disable=None):
        yield replay_clip(clip, cache.poses(clip.path), pipeline)


def as_record(figures: EventMetrics) -> dict[str, Any]:
    """Return what the table says of a set of videos."""
    return {
        "f1": round(figures.f1 or 0, 4),
        "right": figures.true_positives,
        "falls": figures.falls,
        "false": figures.false_positives,
        "median_delay_s": round(float(np.median(figures.delays_s)), 3) if figures.delays_s else None,
    }


def as_markdown(rows: Sequence[dict[str, Any]], settings: Settings) -> str:
    """Return the table."""
    lines = [
        "# How scores are fused",
        "",
        f"Fall events by rule and delay, all videos; alert score {settings.events.alert_threshold:g}, and the one with the "
        "best F1 on train and val. The delay of an alert is from the fall's start, the median. `research/accuracy/fusion_rules.py` "
        "says more.",
        "",
        "| frame waits | rule | train and val: F1 | found | false | delay | test: F1 | found | false | delay "
        "| best score | train and val: F1 | test: F1 |",
        "|---" * 13 + "|",
    ]
    for row in rows:
        cells = [f"{row['latency_s']:g} s", row["rule"]]
        for name in ("train and val", "test"):
            part = row[name]
            delay = "none" if part["median_delay_s"] is None else f"{part['median_delay_s']:.2f} s"
            cells += [f"{part['f1']:.3f}", f"{part['right']} of {part['falls']}", f"{part['false']}", delay]
        cells += [
            f"{row['best_score']:g}",
            *(f"{row[f'{n}, best score']['f1']:.3f}" for n in ("train and val", "test")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    cli.run(main)
