"""Trackers of this process on composed scenes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from falldet.stages.tracking import PoseTracker
from falldet.types import People
from research.tracking.ids import GreedyIou, track_scenes
from research.tracking.scenes import compose
from research.tracking.sources import Source


def test_greedy_iou_matches_the_largest_overlap_first(people_factory: Callable[..., People]) -> None:
    tracker = GreedyIou(min_iou=0.05, max_lost_s=1.0)
    assert tracker.update(people_factory((100, 200), (125, 200)), 0.0).track_ids.tolist() == [1, 2]
    assert tracker.update(people_factory((122, 200), (97, 200)), 0.1).track_ids.tolist() == [2, 1]


def test_greedy_iou_forgets_after_max_lost_s(people_factory: Callable[..., People]) -> None:
    tracker, person = GreedyIou(min_iou=0.3, max_lost_s=1.0), people_factory((100, 200))
    ids = [int(tracker.update(people, time_s).track_ids[0]) for people, time_s in ((person, 0.0), (person, 0.9))]
    ids.append(int(tracker.update(person, 2.0).track_ids[0]))
    assert ids == [1, 1, 2]


def test_track_scenes_gives_every_detection_an_id_of_its_own_scene(sources: list[Source]) -> None:
    scenes = [compose(sources, "side by side", seed) for seed in (0, 1)]
    ids, frame_ms = track_scenes(PoseTracker(), scenes)
    assert [len(each) for each in ids] == [sum(len(frame.people) for frame in scene.frames) for scene in scenes]
    assert all(1 in each for each in ids)  # reset in between
    (alone,), _ = track_scenes(PoseTracker(), scenes[1:])
    np.testing.assert_array_equal(ids[1], alone)
    assert frame_ms > 0
