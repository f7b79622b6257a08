"""The scenes that tracking is measured on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from research.tracking.actors import Actor
from research.tracking.scenes import CLUTTER, KINDS, compose
from research.tracking.sources import Source


@pytest.mark.parametrize("kind", KINDS)
def test_compose_follows_from_the_seed_and_knows_every_identity(sources: list[Source], kind: str) -> None:
    scene, again, other = (compose(sources, kind, seed) for seed in (3, 3, 4))
    assert [frame.time_s for frame in scene.frames] == [frame.time_s for frame in again.frames]
    assert [frame.time_s for frame in scene.frames] != [frame.time_s for frame in other.frames]
    for frame, same in zip(scene.frames, again.frames, strict=True):
        np.testing.assert_array_equal(frame.people.keypoints, same.people.keypoints)
        assert len(frame.identities) == len(frame.people)
        assert len(set(frame.true_ids.tolist())) == len(frame.true_ids) == len(frame.true_boxes)
        assert set(frame.identities.tolist()) <= {CLUTTER, *frame.true_ids.tolist()}
        for row, person in enumerate(frame.identities):
            if person != CLUTTER:
                center = frame.true_boxes[frame.true_ids == person][0].reshape(2, 2).mean(axis=0)
                assert np.abs(frame.people.boxes[row].reshape(2, 2).mean(axis=0) - center).max() < 40
    assert bool(scene.falls) == kind.startswith("falls")
    assert np.diff([frame.time_s for frame in scene.frames]).min() > 0


def test_compose_takes_the_number_of_people(sources: list[Source]) -> None:
    identities = {int(i) for frame in compose(sources, "crossing", 0, count=6).frames for i in frame.true_ids}
    assert identities == set(range(6))


def test_actor_plays_the_descent_once_forwards_at_its_time_and_speed(make_source: Callable[..., Source]) -> None:
    source = make_source("fall", (2.0, 3.0))
    actor = Actor(source, 100, 0.5, np.zeros(2), (), 0.0, fall_s=5.0, stay=(0.0, 10.0))
    played = {time_s: actor.source_time(time_s) for time_s in np.arange(0, 10, 0.1)}
    for time_s, source_s in played.items():
        if time_s < 5:
            assert 0 <= source_s <= 2
        elif time_s <= 6:
            assert source_s == pytest.approx(2 + time_s - 5)
        else:
            assert 3 <= source_s <= source.time_s[-1]
    assert np.abs(np.diff(list(played.values()))).max() < 0.1 + 1e-6


def test_actor_walks_and_is_away(make_source: Callable[..., Source]) -> None:
    walks, gaps = ((1.0, 2.0, 50.0), (4.0, 6.0, -20.0)), [(3.0, 3.5)]
    actor = Actor(make_source("day"), 100, 0.5, np.array([10.0, 20.0]), walks, 0.0, None, (0.5, 8.0), gaps)
    places = [tuple(actor.position(time_s)) for time_s in (0.0, 1.5, 3.0, 5.0, 9.0)]
    assert places == [(10, 20), (35, 20), (60, 20), (50, 20), (40, 20)]
    assert [actor.is_away(time_s) for time_s in (0.4, 0.5, 3.2, 3.5, 8.0)] == [True, False, True, False, True]
