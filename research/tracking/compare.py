"""Who is who: falldet's tracker and its peers on composed scenes of two to six people with known identity.

    python research/tracking/compare.py videos/urfd/manifest.csv videos/gmdcsa24/manifest.csv --root videos/ \
        --trackers-python work_dirs/peers/trackers/bin/python

writes docs/tracking.md and research/results/tracking.json, and with --numbers, instead, docs/tracker_numbers.md. What the scenes
are is said in research/tracking/scenes.py, and in research/peers/roboflow_trackers.py how ByteTrack, OC-SORT and
C-BIoU are run and everybody is scored.

Everybody sees the same detections. Numbers are chosen on scenes of the clips of train and val: falldet's own are those
of configs/demo.py, a peer's are those of tracking_grid.py with the highest IDF1, the memory for somebody out of
sight included, the rest its own defaults. What is reported comes from clips of the test split, other people in other
rooms, under other seeds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from falldet.config import read_settings
from falldet.data.manifest import read_manifest
from falldet.errors import FalldetError
from falldet.geometry import box_iou
from falldet.pipeline.detector import Settings, pose_cache
from falldet.runtime import signals as cli
from falldet.stages.tracking import PoseTracker, TrackerSettings
from falldet.types import NO_TRACK
from research.tracking.grid import GREEDY_GRID, GRID, NUMBERS, Grid
from research.tracking.scenes import KINDS, TrackingScene, compose, read_sources
from research.tracking.table import (
    AROUND_FALL_S,
    NUMBER_TABLE,
    TABLE,
    Row,
    as_markdown,
    read_results,
    write_number_table,
    write_results,
)

ROOT = Path(__file__).resolve().parents[2]
DEV_SEEDS, REPORT_SEEDS, CROWD_SEEDS = range(4), range(1000, 1020), range(2000, 2003)
ROWS = ("falldet", "reference matching", "greedy IoU", *GRID)
INSTALL = (
    "`python3 -m venv work_dirs/peers/trackers && work_dirs/peers/trackers/bin/python -m pip install "
    "-r research/tracking/requirements.txt` installs it; give "
    "--trackers-python work_dirs/peers/trackers/bin/python"
)


def main() -> int:
    """Tune the peers, measure everybody or some, write the table."""
    arguments = parse_arguments()
    settings = Settings.from_groups(read_settings(ROOT / "configs" / "demo.py", arguments.cfg_options))
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    cache = pose_cache(arguments.poses, settings)
    dev = read_sources([clip for clip in clips if clip.split in ("train", "val")], cache)
    test = read_sources([clip for clip in clips if clip.split == "test"], cache)
    if not dev or not test:
        raise FalldetError("the manifests name no clips of train and test with one person; give urfd's and gmdcsa24's")
    chosen_on = [compose(dev, kind, seed) for kind in KINDS for seed in DEV_SEEDS]
    ours = {"falldet": settings.tracker, "reference matching": replace(settings.tracker, matching="reference")}
    if arguments.numbers:
        write_numbers(settings.tracker, chosen_on, arguments.trackers_python)
        return cli.EXIT_OK
    if arguments.dev:
        sys.stdout.write(
            as_markdown([own_row(n, s, chosen_on, [], arguments.trackers_python) for n, s in ours.items()])
        )
        return cli.EXIT_OK
    scenes = [compose(test, kind, seed) for kind in KINDS for seed in REPORT_SEEDS]
    crowd = [compose(test, KINDS[3], seed, count=6) for seed in CROWD_SEEDS]
    python = arguments.trackers_python
    wanted = [name for name in ROWS if name in (arguments.rows or ROWS)]

    def row(name: str) -> Row:
        if name in ours:
            return own_row(name, ours[name], scenes, crowd, python)
        if name in GRID:
            return peer_row(name, chosen_before.get(name) or tuned(name, chosen_on, python), scenes, crowd, python)
        return greedy_row(chosen_on, scenes, crowd, python)

    known = {row.name: row for row in read_results()}
    chosen_before = {} if arguments.tune else {name: row.options for name, row in known.items()}
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for measured in pool.map(row, wanted):
            known[measured.name] = measured
            write_results([known[name] for name in ROWS if name in known], scenes)
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))
    return cli.EXIT_OK


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="falldet's tracker and its peers on scenes with known identity.",
        epilog="example: %(prog)s videos/urfd/manifest.csv videos/gmdcsa24/manifest.csv --root videos/ "
        "--trackers-python work_dirs/peers/trackers/bin/python",
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files of clips with one person")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    parser.add_argument("--poses", type=Path, default=ROOT / "work_dirs" / "poses", help="poses are kept here")
    parser.add_argument("--trackers-python", required=True, help="the interpreter that Roboflow's trackers is for")
    parser.add_argument("--rows", nargs="+", choices=ROWS, help="measure only these, the others stay as they were")
    parser.add_argument("--tune", action="store_true", help="choose the peers' numbers anew, not those of the table")
    parser.add_argument("--jobs", type=int, default=2, help="peers at a time, one core each (default: 2)")
    parser.add_argument("--dev", action="store_true", help="only falldet, on the scenes that numbers are chosen on")
    parser.add_argument("--numbers", action="store_true", help="only docs/tracker_numbers.md, on the same scenes")
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="change single settings")
    return parser.parse_args()


def write_numbers(settings: TrackerSettings, scenes: Sequence[TrackingScene], python: str) -> None:
    """Write what each of the tracker's numbers does to IDF1 and to switches, the others as they are."""
    tried = [(name, value) for name, values in NUMBERS.items() for value in values]
    given = {f"{name} {value}": follow(replace(settings, **{name: value}), scenes)[0] for name, value in tried}
    runs = [{"name": name, "kind": "given", "family": "Identity"} for name in given]
    answers = ask(python, scenes, runs, given)
    rows = [
        (name, value, value == getattr(settings, name), answer["metrics"]["all"]["IDF1"], around_falls(scenes, ids))
        for (name, value), answer, ids in zip(tried, answers, given.values(), strict=True)
    ]
    write_number_table(rows, len(scenes))
    sys.stdout.write(NUMBER_TABLE.read_text(encoding="utf-8"))


def own_row(
    name: str, settings: TrackerSettings, scenes: Sequence[TrackingScene], crowd: Sequence[TrackingScene], python: str
) -> Row:
    """Measure falldet's tracker."""
    ids, _ = follow(settings, scenes)
    (answer,) = ask(python, scenes, [{"name": name, "kind": "given"}], {name: ids})
    return Row(name, {}, answer["metrics"], around_falls(scenes, ids), follow(settings, crowd)[1])


def greedy_row(
    dev: Sequence[TrackingScene], scenes: Sequence[TrackingScene], crowd: Sequence[TrackingScene], python: str
) -> Row:
    """Measure greedy matching of boxes, its numbers chosen on `dev`."""
    name = "greedy IoU"
    tried = {f"greedy {number}": options for number, options in enumerate(combinations(GREEDY_GRID))}
    given = {key: [greedy(scene, **options) for scene in dev] for key, options in tried.items()}
    answers = ask(python, dev, [{"name": key, "kind": "given", "family": "Identity"} for key in tried], given)
    best = max(zip(tried.values(), answers, strict=True), key=lambda pair: pair[1]["metrics"]["all"]["IDF1"])[0]
    ids = [greedy(scene, **best) for scene in scenes]
    (answer,) = ask(python, scenes, [{"name": name, "kind": "given"}], {name: ids})
    started = time.thread_time()
    for scene in crowd:
        greedy(scene, **best)
    took_ms = 1000 * (time.thread_time() - started) / max(sum(len(scene.frames) for scene in crowd), 1)
    return Row(name, best, answer["metrics"], around_falls(scenes, ids), took_ms)


def tuned(name: str, dev: Sequence[TrackingScene], python: str) -> Mapping[str, Any]:
    """Return the numbers of one of Roboflow's trackers that give the highest IDF1 on `dev`."""
    kind, grid = GRID[name]
    tried = combinations(grid)
    answers = ask(python, dev, [{"name": name, "kind": kind, "options": o, "family": "Identity"} for o in tried])
    return max(zip(tried, answers, strict=True), key=lambda pair: pair[1]["metrics"]["all"]["IDF1"])[0]


def peer_row(
    name: str,
    options: Mapping[str, Any],
    scenes: Sequence[TrackingScene],
    crowd: Sequence[TrackingScene],
    python: str,
) -> Row:
    """Measure one of Roboflow's trackers."""
    run = {"name": name, "kind": GRID[name][0], "options": options}
    (answer,) = ask(python, scenes, [run])
    (timed,) = ask(python, crowd, [run])
    frames = [len(scene.frames) for scene in crowd]
    took_ms = float(np.average([timed["ms"][scene.name] for scene in crowd], weights=frames))
    ids = [np.array(answer["ids"][scene.name]) for scene in scenes]
    return Row(name, options, answer["metrics"], around_falls(scenes, ids), took_ms)


def combinations(grid: Grid) -> list[dict[str, Any]]:
    """Return every combination of a grid's values."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def follow(settings: TrackerSettings, scenes: Sequence[TrackingScene]) -> tuple[list[np.ndarray], float]:
    """Return falldet's id of every detection of each scene (M,), and milliseconds per frame."""
    tracker, ids = PoseTracker(settings), []
    took_s = 0.0
    for scene in scenes:
        tracker.reset()
        started = time.thread_time()
        found = [tracker.update(frame.seen, frame.time_s).track_ids for frame in scene.frames]
        took_s += time.thread_time() - started
        ids.append(np.concatenate(found))
    return ids, 1000 * took_s / max(sum(len(scene.frames) for scene in scenes), 1)


def greedy(scene: TrackingScene, min_iou: float, max_lost_s: float) -> np.ndarray:
    """Return ids (M,): the boxes that overlap most are one person, in turn; a box without one is a new person."""
    boxes: dict[int, tuple[float, np.ndarray]] = {}
    ids, last = [], 0
    for frame in scene.frames:
        boxes = {i: (seen_s, box) for i, (seen_s, box) in boxes.items() if frame.time_s - seen_s <= max_lost_s}
        known = list(boxes)
        found = np.full(len(frame.seen), NO_TRACK)
        overlap = box_iou(np.array([boxes[i][1] for i in known]).reshape(-1, 4), frame.seen.boxes)
        while overlap.size and overlap.max() >= min_iou:
            track, row = np.unravel_index(np.argmax(overlap), overlap.shape)
            found[row] = known[track]
            overlap[track], overlap[:, row] = -1, -1
        for row in np.flatnonzero(found == NO_TRACK):
            last += 1
            found[row] = last
        boxes |= {int(i): (frame.time_s, box) for i, box in zip(found, frame.seen.boxes, strict=True)}
        ids.append(found)
    return np.concatenate(ids)


def around_falls(scenes: Sequence[TrackingScene], ids: Sequence[np.ndarray]) -> int:
    """Return how often the person who falls gets another number from 3 s before the fall to 3 s after it."""
    switches = 0
    for scene, given in zip(scenes, ids, strict=True):
        stops = np.cumsum([len(frame.seen) for frame in scene.frames])
        for person, start_s, end_s in scene.falls:
            last = NO_TRACK
            for frame, stop in zip(scene.frames, stops, strict=True):
                now = set(given[stop - len(frame.seen) : stop][frame.seen_ids == person].tolist()) - {NO_TRACK}
                if now and last not in now:
                    near = start_s - AROUND_FALL_S <= frame.time_s <= end_s + AROUND_FALL_S
                    switches += int(last != NO_TRACK and near)
                    last = min(now)
    return switches


def ask(
    python: str,
    scenes: Sequence[TrackingScene],
    runs: Sequence[Mapping[str, Any]],
    given: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> list[dict[str, Any]]:
    """Run Roboflow's trackers and scorer in their own environment and return the answer for each run."""
    arrays: dict[str, np.ndarray] = {}
    for number, scene in enumerate(scenes):
        seen, frames = [frame.seen for frame in scene.frames], scene.frames
        values = {
            "time_s": [frame.time_s for frame in frames],
            "counts": [len(people) for people in seen],
            "boxes": np.concatenate([people.boxes for people in seen]),
            "scores": np.concatenate([people.box_scores for people in seen]),
            "true_counts": [len(frame.ids) for frame in frames],
            "true_ids": np.concatenate([frame.ids for frame in frames]),
            "true_boxes": np.concatenate([frame.boxes for frame in frames]),
        } | {name: ids[number] for name, ids in (given or {}).items()}
        arrays |= {f"{scene.name}/{name}": np.asarray(value) for name, value in values.items()}
    groups = {"all": [scene.name for scene in scenes], "falls": [scene.name for scene in scenes if scene.falls]}
    groups |= {kind: [scene.name for scene in scenes if scene.kind == kind] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scenes.npz"
        np.savez(file, **arrays)
        request = {
            "scenes": str(file),
            "groups": {group: names for group, names in groups.items() if names},
            "fps": {scene.name: scene.fps for scene in scenes},
            "runs": runs,
        }
        command = [python, str(ROOT / "benchmarks" / "peers" / "roboflow_trackers.py")]
        try:
            run = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True)
        except OSError as error:
            raise FalldetError(f"can't run --trackers-python {python} ({error.strerror}); {INSTALL}") from None
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise FalldetError(f"Roboflow's trackers stopped ({reason}); {INSTALL}") from None
    answers: list[dict[str, Any]] = json.loads(run.stdout)
    return answers


if __name__ == "__main__":
    cli.run(main)
