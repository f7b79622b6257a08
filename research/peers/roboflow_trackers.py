"""ByteTrack, OC-SORT and C-BIoU of Roboflow's trackers 2.6.1 on composed scenes, and its scorer for everybody.

    python3 -m venv work_dirs/peers/trackers
    work_dirs/peers/trackers/bin/python -m pip install -r research/tracking/requirements.txt

It runs in that environment, because it needs another numpy, and imports nothing of falldet; research/tracking/compare.py
calls it. The input is JSON on standard input: `scenes`, an .npz with `<scene>/time_s`, `/counts`, `/boxes`, `/scores`
of the detections and `/true_counts`, `/true_ids`, `/true_boxes`; `groups`, the scenes' names by group; `fps` by scene;
`runs`, a list of {name, kind, options}, the kind "given" taking its ids from `<scene>/<name>` in the file, and with a
`family` only its metrics being worked out. The output is JSON: for each run the metrics of each group, the ids of each
scene and the milliseconds of processor time a frame took.

The trackers get every frame's detections with scores, the scene's nominal frame rate and the frame's true time. The
scorer is trackers.eval, written to give TrackEval's figures: boxes match from an overlap of 0.5.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import supervision as sv
from trackers import BIoU, ByteTrackTracker, CBIoUTracker, OCSORTTracker
from trackers.eval import (
    aggregate_clear_metrics,
    aggregate_hota_metrics,
    aggregate_identity_metrics,
    box_iou,
    compute_clear_metrics,
    compute_hota_metrics,
    compute_identity_metrics,
)

KINDS = {"bytetrack": ByteTrackTracker, "ocsort": OCSORTTracker, "cbiou": CBIoUTracker}
FAMILIES = (
    ("HOTA", compute_hota_metrics, aggregate_hota_metrics, ("HOTA", "DetA", "AssA")),
    ("CLEAR", compute_clear_metrics, aggregate_clear_metrics, ("MOTA", "IDSW", "Frag")),
    ("Identity", compute_identity_metrics, aggregate_identity_metrics, ("IDF1",)),
)
NO_TRACK = -1


def main() -> None:
    """Read the request from standard input and write the answer to standard output."""
    request = json.load(sys.stdin)
    with np.load(request["scenes"]) as file:
        arrays = dict(file)
    scenes = request["groups"]  # group -> names of its scenes
    answer = [measure(run, arrays, scenes, request["fps"]) for run in request["runs"]]
    json.dump(answer, sys.stdout)


def measure(
    run: dict[str, Any], arrays: dict[str, np.ndarray], groups: dict[str, list[str]], fps: dict[str, float]
) -> Any:
    """Return what one tracker gives: metrics by group, ids by scene, milliseconds per frame by scene."""
    ids, took_ms, metrics = {}, {}, {}
    for scene in sorted({name for names in groups.values() for name in names}):
        if run["kind"] == "given":
            ids[scene] = arrays[f"{scene}/{run['name']}"]
        else:
            ids[scene], took_ms[scene] = follow(run, arrays, scene, fps[scene])
    families = [family for family in FAMILIES if run.get("family", family[0]) == family[0]]
    parts = {scene: [family[1](*pairs(arrays, scene, ids[scene])) for family in families] for scene in ids}
    for group, names in groups.items():
        metrics[group] = {}
        for number, (_, _, aggregate, keys) in enumerate(families):
            total = aggregate([parts[scene][number] for scene in names])
            metrics[group] |= {key: float(total[key]) for key in keys}
    return {"metrics": metrics, "ids": {scene: found.tolist() for scene, found in ids.items()}, "ms": took_ms}


def follow(run: dict[str, Any], arrays: dict[str, np.ndarray], scene: str, fps: float) -> tuple[np.ndarray, float]:
    """Return the id of every detection of a scene (M,), `NO_TRACK` where there is none, and milliseconds per frame."""
    options = dict(run["options"])
    if "buffer_ratio" in options:
        options["iou"] = BIoU(options.pop("buffer_ratio"))
    tracker = KINDS[run["kind"]](frame_rate=fps, **options)
    boxes, scores = arrays[f"{scene}/boxes"], arrays[f"{scene}/scores"]
    found = np.full(len(boxes), NO_TRACK)
    stops = np.cumsum(arrays[f"{scene}/counts"])
    started = time.process_time()
    for time_s, stop, count in zip(arrays[f"{scene}/time_s"], stops, arrays[f"{scene}/counts"], strict=True):
        rows = np.arange(stop - count, stop)
        seen = sv.Detections(
            boxes[rows].reshape(-1, 4), confidence=scores[rows], class_id=np.zeros(count, int), data={"row": rows}
        )
        tracked = tracker.update(seen, timestamp=float(time_s))
        if len(tracked):
            found[tracked.data["row"]] = tracked.tracker_id
    return found, 1000 * (time.process_time() - started) / len(stops)


def pairs(arrays: dict[str, np.ndarray], scene: str, ids: np.ndarray) -> tuple[list[Any], list[Any], list[Any]]:
    """Return true ids, given ids and overlaps, frame by frame, the detections without an id left out."""
    true_ids, given, overlaps = [], [], []
    true_stops, stops = np.cumsum(arrays[f"{scene}/true_counts"]), np.cumsum(arrays[f"{scene}/counts"])
    numbers = {number: place for place, number in enumerate(np.unique(ids[ids != NO_TRACK]))}
    for frame, (true_stop, stop) in enumerate(zip(true_stops, stops, strict=True)):
        true = slice(true_stop - arrays[f"{scene}/true_counts"][frame], true_stop)
        rows = np.arange(stop - arrays[f"{scene}/counts"][frame], stop)
        rows = rows[ids[rows] != NO_TRACK]
        true_ids.append(arrays[f"{scene}/true_ids"][true])
        given.append(np.array([numbers[number] for number in ids[rows]], dtype=int))
        overlaps.append(box_iou(arrays[f"{scene}/true_boxes"][true], arrays[f"{scene}/boxes"][rows], box_format="xyxy"))
    return true_ids, given, overlaps


if __name__ == "__main__":
    main()
