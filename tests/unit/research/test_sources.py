"""Single-person stretches of real clips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from falldet.extraction.pose_cache import PoseSequence
from falldet.types import People
from research.tracking.sources import Source, single_person_stretch

FPS = 20
PeopleFactory = Callable[..., People]


def sequence(frames: list[People]) -> PoseSequence:
    arrays = {
        name: np.concatenate([getattr(each, name) for each in frames])
        for name in ("keypoints", "scores", "boxes", "box_scores")
    }
    counts = np.array([len(each) for each in frames])
    return PoseSequence(np.arange(len(frames)) / FPS, counts, **arrays, image_hw=(480, 640))


def test_single_person_stretch_is_the_longest_with_one_person(people_factory: PeopleFactory) -> None:
    one, two = people_factory((100, 200)), people_factory((100, 200), (400, 200))
    source = single_person_stretch("clip", sequence([one] * 30 + [two] * 5 + [one] * 40), None)
    assert source is not None
    assert len(source.time_s) == 40
    assert source.time_s[0] == 0
    assert np.ptp(source.points[0, -2:, 1]) == pytest.approx(1)  # as tall as the unit


def test_single_person_stretch_takes_the_one_around_the_fall(people_factory: PeopleFactory) -> None:
    one, two = people_factory((100, 200)), people_factory((100, 200), (400, 200))
    clip = sequence([one] * 30 + [two] * 5 + [one] * 40)
    source = single_person_stretch("clip", clip, (0.5, 1.0))
    assert source is not None
    assert (len(source.time_s), source.fall) == (30, (0.5, 1.0))
    assert single_person_stretch("clip", clip, (1.3, 1.6)) is None  # two people during the descent


def test_single_person_stretch_breaks_where_the_person_jumps(people_factory: PeopleFactory) -> None:
    here, there = people_factory((100, 200)), people_factory((300, 200))
    source = single_person_stretch("clip", sequence([here] * 25 + [there] * 30), None)
    assert source is not None
    assert len(source.time_s) == 30
    assert single_person_stretch("clip", sequence([here] * 20 + [there] * 20), None) is None  # both too short


def test_source_at_interpolates_joints_that_both_frames_have(make_source: Callable[..., Source]) -> None:
    source = make_source("fall", (2.0, 3.0))
    source.scores[50, 3] = 0  # missing at 2.5 s
    points, scores, box_score = source.at(2.48)
    assert points[0, 1] - source.points[0, 0, 1] == pytest.approx(0.48, abs=1e-5)
    assert scores[3] == 0
    np.testing.assert_allclose(points[3], source.points[50, 3])
    assert box_score == pytest.approx(0.8)
