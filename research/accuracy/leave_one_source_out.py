"""How many falls does falldet find on cameras it has never seen? Each source left out of training in turn.

    python -m research.accuracy.leave_one_source_out --videos DATA
    python -m research.accuracy.leave_one_source_out --videos DATA --seeds 0 --folds urfd     # a part of it

Trains the two recipes of the shipped recognizer without the clips of a fold, of all splits, and replays those clips
through the pipeline; sources that show the same falls or people are left out together. A recognizer is, as the shipped
one, the mean of networks of both recipes: one pair a seed, and the pairs of the first two seeds together, which is what
is shipped. Writes docs/benchmarks/leave_one_source_out.md and research/results/leave_one_source_out.json. What is
trained or replayed stays in --out-dir, so that a run that was stopped resumes.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from falldet.build import export_checkpoint, train_recognizer
from falldet.cli.process import EXIT_OK, run
from falldet.data.manifest import ClipRecord, read_manifest
from falldet.evaluation.metrics import tally
from falldet.evaluation.replay import evaluate_clip, replay_clip
from falldet.extraction.clips import ExtractionJob, extract
from falldet.extraction.pose_cache import pose_cache
from falldet.io.files import atomic_write
from falldet.pipeline.config import Config
from falldet.stages.recognizer import Recognizer
from research import CONFIGS, PAGES, RESULTS, WORK_DIRS
from research.accuracy.source_table import SOURCES, Records, as_page, source_of

logger = logging.getLogger(__name__)

FOLDS: dict[str, tuple[str, ...]] = {
    "upfall": ("upfall",),
    "gmdcsa": ("gmdcsa24", "gmdcsa24b"),
    "urfd": ("urfd",),
    "wild": ("mixed", "caucafall", "survnofight"),
    "exercise": ("exercise",),
}
"""Folders whose clips are left out together, by fold."""

RECIPES = {"plain": CONFIGS / "stgcn_fall_best.py", "walk": CONFIGS / "stgcn_fall_best_walk.py"}
"""Configs whose networks are averaged; their networks are the same."""

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(6, 20))
PAGE, RECORD = PAGES / "leave_one_source_out.md", RESULTS / "leave_one_source_out.json"


def main() -> int:
    """Train, replay, and write the page from what is there."""
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = Config.from_groups({"movenet": {"threads": 1}})
    clips = {folder: read_clips(arguments.videos, folder) for fold in FOLDS.values() for folder in fold}
    annotations = arguments.out_dir / "falls.pkl"
    if not annotations.is_file():
        job = ExtractionJob(config, arguments.poses, people=6)
        extract([clip for own in clips.values() for clip in own], annotations, job)
    records: Records = {}
    for fold in arguments.folds:
        held_out = [clip for folder in FOLDS[fold] for clip in clips[folder]]
        for name, seeds in recognizers_of(arguments.seeds).items():
            checkpoints = [
                trained(arguments.out_dir, annotations, fold, recipe, seed) for seed in seeds for recipe in RECIPES
            ]
            record = replayed(arguments, config, fold, name, checkpoints, held_out)
            for source, by_threshold in record.items():
                records.setdefault(name, {})[source] = by_threshold
    with atomic_write(RECORD) as stream:
        json.dump({"thresholds": THRESHOLDS, "records": records}, stream, indent=1)
    with atomic_write(PAGE) as stream:
        stream.write(as_page(records))
    return EXIT_OK


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Leave one source out: falldet on cameras it has never seen.",
        epilog="example: python -m research.accuracy.leave_one_source_out --videos DATA",
    )
    parser.add_argument("--videos", type=Path, required=True, help="folder with a folder and manifest.csv a source")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    parser.add_argument("--folds", nargs="+", choices=FOLDS, default=list(FOLDS), help="(default: all)")
    parser.add_argument("--out-dir", type=Path, default=WORK_DIRS / "leave_one_source_out", help="folder of the runs")
    parser.add_argument("--poses", type=Path, default=WORK_DIRS / "poses", help="folder of the pose cache")
    return parser.parse_args()


def read_clips(videos: Path, folder: str) -> list[ClipRecord]:
    """Return the clips of one folder; none where it isn't there."""
    manifest = videos / folder / "manifest.csv"
    return read_manifest(manifest, videos) if manifest.is_file() else []


def recognizers_of(seeds: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the seeds of each recognizer by name: one of each seed, and one of the first two."""
    named = {f"seed {seed}": (seed,) for seed in seeds}
    return named | ({"shipped": (seeds[0], seeds[1])} if len(seeds) > 1 else {})


def trained(out_dir: Path, annotations: Path, fold: str, recipe: str, seed: int) -> Path:
    """Return the checkpoint of a network trained without a fold; trained now where it isn't there."""
    folder = out_dir / f"{fold}_{recipe}_{seed}"
    done = folder / "last_checkpoint"
    if not (done.is_file() and (folder / "complete").is_file()):
        overrides = [
            "train_dataloader.dataset.split=None",
            f"train_dataloader.dataset.leave_out={[f'{name}/' for name in FOLDS[fold]]}",
            *(f"{name}=None" for name in ("val_dataloader", "val_cfg", "val_evaluator")),
            "default_hooks.checkpoint.save_best=None",
        ]
        train_recognizer(RECIPES[recipe], work_dir=folder, seed=seed, overrides=overrides, ann_files=[str(annotations)])
        (folder / "complete").touch()
    return Path(done.read_text(encoding="utf-8").strip())


def replayed(
    arguments: argparse.Namespace,
    config: Config,
    fold: str,
    name: str,
    checkpoints: Sequence[Path],
    clips: Sequence[ClipRecord],
) -> dict[str, dict[str, dict]]:
    """Return the tally of each source of a fold at each threshold, from the file of an earlier run or replayed now."""
    path = arguments.out_dir / f"{fold}_{name.replace(' ', '_')}.json"
    if not path.is_file():
        onnx = export_checkpoint(RECIPES["plain"], checkpoints, path.with_suffix(".onnx"))
        recognizer, cache = Recognizer(onnx, threads=1), pose_cache(arguments.poses, config)
        found: dict[str, list] = {}
        for clip in clips:
            results = evaluate_clip(replay_clip(clip, cache.poses(clip.path), config, recognizer), config, THRESHOLDS)
            found.setdefault(source_of(clip.path.relative_to(arguments.videos).as_posix()), []).append(results[1:])
        record = {
            source: {f"{t:g}": asdict(tally([clip[i] for clip in rows])) for i, t in enumerate(THRESHOLDS)}
            for source, rows in found.items()
        }
        with atomic_write(path) as stream:
            json.dump(record, stream)
        logger.info("%s %s: %s", fold, name, ", ".join(source for source in SOURCES if source in record))
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run(main)
