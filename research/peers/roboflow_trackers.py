"""ByteTrack, OC-SORT and C-BIoU of Roboflow's trackers 2.6.1 on composed scenes, and its scorer for every tracker.

    python3 -m venv work_dirs/peers/trackers
    work_dirs/peers/trackers/bin/python -m pip install -r research/peers/requirements_trackers.txt

Runs in that environment and imports nothing of falldet; research/tracking/scoring.py calls it. Reads a JSON object from
standard input:

- `scenes`: path of an .npz with `<scene>/time_s`, `/counts`, `/boxes`, `/scores` of the detections and `/true_counts`,
  `/true_ids`, `/true_boxes` of the ground truth;
- `groups`: the scenes' names by group; `fps`: by scene;
- `runs`: a list of {name, kind, options, family}. The kind "given" takes its ids from `<scene>/<name>` in the file.
  With a `family` only its metrics are computed.

Writes JSON to standard output: for each run `metrics` by group, `ids` by scene, and `ms` by scene, the milliseconds of
processor time per frame.

The trackers get the detections of every frame with scores, the scene's nominal frame rate and the frame's true time.
The scorer is trackers.eval, which gives TrackEval's numbers: boxes match from an IoU of 0.5.
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
"""Name, function for a scene, function that adds scenes up, and the metrics that are taken."""

NO_TRACK = -1
"""Id of a detection without a track, as falldet.types has it."""


def main() -> None:
    """Read the request from standard input and write the answer to standard output."""
    request = json.load(sys.stdin)
    with np.load(request["scenes"]) as file:
        arrays = dict(file)
    answer = [measure(run, arrays, request["groups"], request["fps"]) for run in request["runs"]]
    json.dump(answer, sys.stdout)


def measure(
    run: dict[str, Any], arrays: dict[str, np.ndarray], groups: dict[str, list[str]], fps: dict[str, float]
) -> Any:
    """Return the metrics by group, the ids and the milliseconds per frame by scene of one tracker."""
    ids, took_ms = {}, {}
    metrics: dict[str, dict[str, float]] = {}
    for scene in sorted({name for names in groups.values() for name in names}):
        if run["kind"] == "given":
            ids[scene] = arrays[f"{scene}/{run['name']}"]
        else:
            ids[scene], took_ms[scene] = track(run, arrays, scene, fps[scene])
    families = [family for family in FAMILIES if run.get("family", family[0]) == family[0]]
    parts = {scene: [family[1](*pairs(arrays, scene, ids[scene])) for family in families] for scene in ids}
    for group, names in groups.items():
        metrics[group] = {}
        for index, (_, _, aggregate, keys) in enumerate(families):
            total = aggregate([parts[scene][index] for scene in names])
            metrics[group] |= {key: float(total[key]) for key in keys}
    return {"metrics": metrics, "ids": {scene: found.tolist() for scene, found in ids.items()}, "ms": took_ms}


def track(run: dict[str, Any], arrays: dict[str, np.ndarray], scene: str, fps: float) -> tuple[np.ndarray, float]:
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
        detections = sv.Detections(
            boxes[rows].reshape(-1, 4), confidence=scores[rows], class_id=np.zeros(count, int), data={"row": rows}
        )
        tracked = tracker.update(detections, timestamp=float(time_s))
        if len(tracked):
            found[tracked.data["row"]] = tracked.tracker_id
    return found, 1000 * (time.process_time() - started) / len(stops)


def pairs(arrays: dict[str, np.ndarray], scene: str, ids: np.ndarray) -> tuple[list[Any], list[Any], list[Any]]:
    """Return true ids, ids and IoU of each frame, without the detections that have no id; ids are counted from 0."""
    true_ids, given, overlaps = [], [], []
    true_stops, stops = np.cumsum(arrays[f"{scene}/true_counts"]), np.cumsum(arrays[f"{scene}/counts"])
    index_of = {track_id: index for index, track_id in enumerate(np.unique(ids[ids != NO_TRACK]))}
    for frame, (true_stop, stop) in enumerate(zip(true_stops, stops, strict=True)):
        true = slice(true_stop - arrays[f"{scene}/true_counts"][frame], true_stop)
        rows = np.arange(stop - arrays[f"{scene}/counts"][frame], stop)
        rows = rows[ids[rows] != NO_TRACK]
        true_ids.append(arrays[f"{scene}/true_ids"][true])
        given.append(np.array([index_of[track_id] for track_id in ids[rows]], dtype=int))
        overlaps.append(box_iou(arrays[f"{scene}/true_boxes"][true], arrays[f"{scene}/boxes"][rows], box_format="xyxy"))
    return true_ids, given, overlaps


if __name__ == "__main__":
    main()
