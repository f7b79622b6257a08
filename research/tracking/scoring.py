"""Tracking metrics of composed scenes, by the scorer of Roboflow's trackers in its own environment."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from falldet.types import NO_TRACK
from research.peers.environment import TRACKERS
from research.tracking.scenes import KINDS, TrackingScene

AROUND_FALL_S = 3.0
"""A switch counts as one around a fall from this long before the descent to this long after it."""


@dataclass(frozen=True, slots=True)
class Run:
    """One tracker to score.

    Attributes:
        name: of the run.
        kind: of Roboflow's tracker: "bytetrack", "ocsort" or "cbiou"; "given" for ids that were computed here.
        options: of Roboflow's tracker.
        ids: for "given", the id of every detection of each scene (M,).
        family: of the metrics: "HOTA", "CLEAR" or "Identity"; all three if empty.
    """

    name: str
    kind: str = "given"
    options: Mapping[str, Any] = field(default_factory=dict)
    ids: Sequence[np.ndarray] = ()
    family: str = ""


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one run.

    Attributes:
        metrics: by group of scenes ("all", "falls" for those with falls, and each kind), metrics by name.
        ids: the id of every detection of each scene (M,).
        frame_ms: by scene, milliseconds of processor time per frame; empty for given ids.
    """

    metrics: Mapping[str, Mapping[str, float]]
    ids: list[np.ndarray]
    frame_ms: Mapping[str, float]

    @property
    def idf1(self) -> float:
        """IDF1 over all scenes."""
        return self.metrics["all"]["IDF1"]


def score_runs(scenes: Sequence[TrackingScene], runs: Sequence[Run]) -> list[Scores]:
    """Return the scores of each run; raises FalldetError where Roboflow's trackers are not installed."""
    groups = {"all": [scene.name for scene in scenes], "falls": [scene.name for scene in scenes if scene.falls]}
    groups |= {kind: [scene.name for scene in scenes if scene.kind == kind] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="falldet-tracking-") as folder:
        file = Path(folder) / "scenes.npz"
        np.savez(file, **_arrays(scenes, runs))
        answers = TRACKERS.ask(
            {
                "scenes": str(file),
                "groups": {group: names for group, names in groups.items() if names},
                "fps": {scene.name: scene.fps for scene in scenes},
                "runs": [_request(run) for run in runs],
            }
        )
    return [
        Scores(answer["metrics"], [np.array(answer["ids"][scene.name]) for scene in scenes], answer["ms"])
        for answer in answers
    ]


def _request(run: Run) -> dict[str, Any]:
    request: dict[str, Any] = {"name": run.name, "kind": run.kind, "options": dict(run.options)}
    return request | ({"family": run.family} if run.family else {})


def _arrays(scenes: Sequence[TrackingScene], runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """Return the arrays that research/peers/roboflow_trackers.py reads."""
    arrays: dict[str, np.ndarray] = {}
    for index, scene in enumerate(scenes):
        people, frames = [frame.people for frame in scene.frames], scene.frames
        values: dict[str, Any] = {
            "time_s": [frame.time_s for frame in frames],
            "counts": [len(each) for each in people],
            "boxes": np.concatenate([each.boxes for each in people]),
            "scores": np.concatenate([each.box_scores for each in people]),
            "true_counts": [len(frame.true_ids) for frame in frames],
            "true_ids": np.concatenate([frame.true_ids for frame in frames]),
            "true_boxes": np.concatenate([frame.true_boxes for frame in frames]),
        }
        values |= {run.name: run.ids[index] for run in runs if run.kind == "given"}
        arrays |= {f"{scene.name}/{name}": np.asarray(value) for name, value in values.items()}
    return arrays


def switches_around_falls(scenes: Sequence[TrackingScene], ids: Sequence[np.ndarray]) -> int:
    """Return how often the person who falls gets another track id within `AROUND_FALL_S` of the descent.

    Args:
        scenes: with or without falls.
        ids: the id of every detection of each scene (M,).
    """
    switches = 0
    for scene, scene_ids in zip(scenes, ids, strict=True):
        stops = np.cumsum([len(frame.people) for frame in scene.frames])
        for person, start_s, end_s in scene.falls:
            last = NO_TRACK
            for frame, stop in zip(scene.frames, stops, strict=True):
                own = scene_ids[stop - len(frame.people) : stop][frame.identities == person]
                now = set(own.tolist()) - {NO_TRACK}
                if now and last not in now:
                    near = start_s - AROUND_FALL_S <= frame.time_s <= end_s + AROUND_FALL_S
                    switches += int(last != NO_TRACK and near)
                    last = min(now)
    return switches
