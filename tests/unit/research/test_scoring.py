"""Metrics of composed scenes."""

from __future__ import annotations

import numpy as np
import pytest

from falldet.types import NO_TRACK
from research.peers.environment import TRACKERS
from research.tracking.scenes import CLUTTER, TrackingScene, compose
from research.tracking.scoring import Run, score_runs, switches_around_falls
from research.tracking.sources import Source


def truth(scene: TrackingScene) -> np.ndarray:
    """Ids without a mistake: identity + 1, no track for clutter."""
    identities = np.concatenate([frame.identities for frame in scene.frames])
    return np.where(identities == CLUTTER, NO_TRACK, identities + 1)


def times(scene: TrackingScene) -> np.ndarray:
    return np.concatenate([np.full(len(frame.people), frame.time_s) for frame in scene.frames])


def test_switches_around_falls_counts_new_ids_of_the_person_who_falls(sources: list[Source]) -> None:
    scene = next(s for s in (compose(sources, "falls side by side", seed, 2) for seed in range(9)) if s.falls)
    ((person, start_s, _),) = scene.falls
    ids, time_s = truth(scene), times(scene)
    assert switches_around_falls([scene], [ids]) == 0
    own = ids == person + 1
    assert switches_around_falls([scene], [np.where(own & (time_s > start_s), 90, ids)]) == 1
    others = np.where(~own & (ids != NO_TRACK) & (time_s > start_s), 90, ids)
    assert switches_around_falls([scene], [others]) == 0


def test_score_runs_gives_ids_without_a_mistake_an_idf1_near_one(sources: list[Source]) -> None:
    if not TRACKERS.python.is_file():
        pytest.skip(f"needs Roboflow's trackers: {TRACKERS.installation}")
    scenes = [compose(sources, kind, 0, 3) for kind in ("crossing", "falls and crossing")]
    runs = [
        Run("truth", ids=[truth(scene) for scene in scenes]),
        Run("one id for all", ids=[np.ones_like(truth(scene)) for scene in scenes], family="Identity"),
        Run("ByteTrack", "bytetrack", {"lost_track_buffer": 90}),
    ]
    exact, merged, peer = score_runs(scenes, runs)
    assert exact.idf1 > 0.95
    assert exact.metrics["all"]["IDSW"] == 0
    assert merged.idf1 < 0.6
    assert set(merged.metrics["falls"]) == {"IDF1"}
    assert set(peer.frame_ms) == {scene.name for scene in scenes}
    assert [len(each) for each in peer.ids] == [len(truth(scene)) for scene in scenes]
