"""Who keeps identities best? falldet's tracker and its peers on composed scenes of two to six people.

    python -m research.tracking.compare videos/urfd/manifest.csv videos/gmdcsa24/manifest.csv --root videos/

Writes docs/benchmarks/tracking.md and research/results/tracking.json. research/tracking/scenes.py says what the scenes
are, research/peers/roboflow_trackers.py how ByteTrack, OC-SORT and C-BIoU are run and how every tracker is scored; they
must be installed, as it says.

All trackers get the same detections. Settings are chosen on scenes of the clips of train and val: falldet's are its
defaults, a peer's are those of research/tracking/grid.py with the highest IDF1, its memory for a lost person included,
the rest the peer's own defaults. Reported are scenes of the test split's clips, other people in other rooms, from other
seeds.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from falldet.cli.process import EXIT_OK, run
from falldet.errors import FalldetError
from falldet.extraction.pose_cache import pose_cache
from falldet.pipeline.config import Config
from falldet.stages.tracking import PoseTracker
from research.clips import add_clip_arguments, read_clips
from research.peers.iou_matching import IouMatching
from research.tracking.grid import GREEDY_GRID, GRID, Grid
from research.tracking.ids import GreedyIou, Tracker, track_scenes
from research.tracking.scenes import KINDS, TrackingScene, compose
from research.tracking.scoring import Run, score_runs, switches_around_falls
from research.tracking.sources import read_sources
from research.tracking.table import PAGE, Row, as_markdown, read_results, write_results

DEV_SPLITS = ("train", "val")
DEV_SEEDS, REPORT_SEEDS, CROWD_SEEDS = range(4), range(1000, 1020), range(2000, 2003)
CROWD = 6
"""People of the scenes on which time is measured."""

GREEDY = "greedy IoU"
OWN_ROWS = ("falldet", "reference matching")
ROWS = (*OWN_ROWS, GREEDY, *GRID)


@dataclass(frozen=True, slots=True)
class Scenes:
    """Scenes to choose settings on, to report, and to measure time on."""

    dev: list[TrackingScene]
    reported: list[TrackingScene]
    crowd: list[TrackingScene]


def main() -> int:
    """Choose the peers' settings, measure all trackers or some, write the page."""
    arguments = parse_arguments()
    config = Config().with_overrides(arguments.cfg_options)
    if arguments.dev:
        scenes = dev_scenes(arguments, config)
        rows = [own_row(name, own_tracker(name, config), scenes, []) for name in OWN_ROWS]
        sys.stdout.write(as_markdown(rows))
        return EXIT_OK
    compared = Scenes(dev_scenes(arguments, config), *report_scenes(arguments, config))
    known = {row.name: row for row in read_results()}
    chosen = {} if arguments.tune else {name: row.options for name, row in known.items()}
    with ThreadPoolExecutor(arguments.jobs) as pool:
        measure = partial(measured_row, config=config, scenes=compared, chosen=chosen)
        for row in pool.map(measure, [name for name in ROWS if name in (arguments.rows or ROWS)]):
            known[row.name] = row
            write_results([known[name] for name in ROWS if name in known], compared.reported)
    sys.stdout.write(PAGE.read_text(encoding="utf-8"))
    return EXIT_OK


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="falldet's tracker and its peers on scenes with known identity.",
        epilog="example: python -m research.tracking.compare videos/urfd/manifest.csv --root videos/",
    )
    add_clip_arguments(parser)
    parser.add_argument("--rows", nargs="+", choices=ROWS, help="measure only these; the others stay as they were")
    parser.add_argument("--tune", action="store_true", help="choose the peers' settings anew")
    parser.add_argument("--jobs", type=int, default=2, help="peers at a time, one core each (default: 2)")
    parser.add_argument(
        "--dev",
        action="store_true",
        help="only falldet, on the scenes that settings are chosen on; writes nothing",
    )
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="replace falldet's settings")
    return parser.parse_args()


def dev_scenes(arguments: argparse.Namespace, config: Config) -> list[TrackingScene]:
    """Return the scenes that settings are chosen on."""
    sources = read_sources(read_clips(arguments, DEV_SPLITS), pose_cache(arguments.poses, config))
    if not sources:
        raise FalldetError("train and val have no clip with one person; give the manifests of URFD and GMDCSA-24")
    return [compose(sources, kind, seed) for kind in KINDS for seed in DEV_SEEDS]


def report_scenes(arguments: argparse.Namespace, config: Config) -> tuple[list[TrackingScene], list[TrackingScene]]:
    """Return the reported scenes and the crowded ones."""
    sources = read_sources(read_clips(arguments, ["test"]), pose_cache(arguments.poses, config))
    if not sources:
        raise FalldetError("test has no clip with one person; give the manifests of URFD and GMDCSA-24")
    reported = [compose(sources, kind, seed) for kind in KINDS for seed in REPORT_SEEDS]
    return reported, [compose(sources, "falls and crossing", seed, CROWD) for seed in CROWD_SEEDS]


def measured_row(name: str, config: Config, scenes: Scenes, chosen: Mapping[str, Mapping[str, Any]]) -> Row:
    """Measure one tracker; a peer's settings are those of `chosen` or else the best of its grid."""
    if name in OWN_ROWS:
        return own_row(name, own_tracker(name, config), scenes.reported, scenes.crowd)
    if name == GREEDY:
        return greedy_row(scenes)
    return peer_row(name, chosen.get(name) or best_options(name, scenes.dev), scenes)


def own_tracker(name: str, config: Config) -> Tracker:
    """Return falldet's tracker or the reference project's matching."""
    return PoseTracker(config.tracker) if name == "falldet" else IouMatching(config.tracker.box_scale)


def own_row(name: str, tracker: Tracker, scenes: Sequence[TrackingScene], crowd: Sequence[TrackingScene]) -> Row:
    """Measure a tracker of this process."""
    ids, _ = track_scenes(tracker, scenes)
    (scores,) = score_runs(scenes, [Run(name, ids=ids)])
    return Row(name, {}, scores.metrics, switches_around_falls(scenes, ids), track_scenes(tracker, crowd)[1])


def greedy_row(scenes: Scenes) -> Row:
    """Measure greedy matching of boxes."""
    tried = combinations(GREEDY_GRID)
    runs = [
        Run(f"greedy {index}", ids=track_scenes(GreedyIou(**options), scenes.dev)[0], family="Identity")
        for index, options in enumerate(tried)
    ]
    best = _best(tried, scenes.dev, runs)
    row = own_row(GREEDY, GreedyIou(**best), scenes.reported, scenes.crowd)
    return Row(row.name, best, row.metrics, row.around_falls, row.crowd_ms)


def peer_row(name: str, options: Mapping[str, Any], scenes: Scenes) -> Row:
    """Measure one of Roboflow's trackers."""
    peer = Run(name, GRID[name][0], options)
    (scores,), (timed,) = score_runs(scenes.reported, [peer]), score_runs(scenes.crowd, [peer])
    frames = [len(scene.frames) for scene in scenes.crowd]
    crowd_ms = float(np.average([timed.frame_ms[scene.name] for scene in scenes.crowd], weights=frames))
    return Row(name, options, scores.metrics, switches_around_falls(scenes.reported, scores.ids), crowd_ms)


def best_options(name: str, scenes: Sequence[TrackingScene]) -> Mapping[str, Any]:
    """Return the options of one of Roboflow's trackers that give the highest IDF1."""
    kind, grid = GRID[name]
    tried = combinations(grid)
    return _best(tried, scenes, [Run(name, kind, options, family="Identity") for options in tried])


def _best(
    tried: Sequence[Mapping[str, Any]], scenes: Sequence[TrackingScene], runs: Sequence[Run]
) -> Mapping[str, Any]:
    scored = zip(tried, score_runs(scenes, runs), strict=True)
    return max(scored, key=lambda pair: pair[1].idf1)[0]


def combinations(grid: Grid) -> list[dict[str, Any]]:
    """Return every combination of a grid's values."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


if __name__ == "__main__":
    run(main)
