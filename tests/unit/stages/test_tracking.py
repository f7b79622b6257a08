"""The pose tracker on scenes with their true keypoints, in hard cases, and in any order of people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falldet.geometry import keypoint_boxes
from falldet.skeleton import HIPS
from falldet.stages.tracking import PoseTracker, TrackerSettings
from falldet.synthetic import SCENES
from falldet.types import NO_TRACK, People

Story = list[tuple[float, People]]


@cache
def truth(name: str) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Time, true keypoints and scores of every frame of a scene."""
    scene = SCENES[name]()
    return list(zip(scene.frame_times().tolist(), *scene.keypoints(), strict=True))


def story(name: str, every: int = 1, jitter_px: float = 0.0) -> Story:
    """The true people of a scene, frame by frame, with their indices in the scene as track ids."""
    generator = np.random.default_rng(0)
    frames = []
    for time_s, pose, score in truth(name)[::every]:
        rows = np.flatnonzero(score.any(axis=1))
        pose = pose[rows] + generator.normal(0, jitter_px, pose[rows].shape).astype(np.float32)
        pose = np.where(score[rows][..., None] > 0, pose, 0)
        frames.append((time_s, People(pose, score[rows], keypoint_boxes(pose, score[rows]), np.ones(len(rows)), rows)))
    return frames


def tracked(frames: Story, tracker_settings: TrackerSettings | None = None) -> dict[int, list[int]]:
    """The track ids that each true person got, `NO_TRACK` left out."""
    tracker = PoseTracker(tracker_settings)
    ids: dict[int, list[int]] = {}
    for time_s, people in frames:
        found = tracker.update(people, time_s)
        for person, track_id in zip(people.track_ids.tolist(), found.track_ids.tolist(), strict=True):
            ids.setdefault(person, []).extend([track_id] if track_id != NO_TRACK else [])
    return ids


def walker(
    people_factory: Callable[..., People],
    stop_s: float,
    speed: float = 100.0,
    x: float = 100.0,
    fps: float = 25.0,
    start_s: float = 0.0,
) -> Iterator[tuple[float, People]]:
    """A person who walks to the right."""
    for step in range(round((stop_s - start_s) * fps)):
        time_s = start_s + step / fps
        yield time_s, people_factory((x + speed * time_s, 200)).with_track_ids(np.zeros(1))


@pytest.mark.parametrize("name", [name for name in SCENES if name != "empty_room"])
@pytest.mark.parametrize("every", [1, 2], ids=["25 fps", "12.5 fps"])
def test_pose_tracker_gives_each_person_of_a_scene_one_id(name: str, every: int) -> None:
    frames = story(name, every, jitter_px=2.0)
    ids = tracked(frames)
    assert all(len(set(found)) == 1 for found in ids.values()), {p: sorted(set(found)) for p, found in ids.items()}
    assert len({found[0] for found in ids.values()}) == len(ids)


def test_pose_tracker_speed_is_that_of_the_fastest_person_in_sight(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    for step in range(25):
        time_s = step / 25
        both = people_factory((100, 200), (300 + 100 * time_s, 200))
        tracker.update(both, time_s)
        if step < 2:
            assert tracker.speed(time_s) == np.inf
    longer_side = (both.boxes[1, 2:] - both.boxes[1, :2]).max()
    assert tracker.speed(time_s) == pytest.approx(100 / longer_side, rel=0.02)
    tracker.update(both[:1], 1.0)
    assert tracker.speed(1.0) == pytest.approx(0, abs=1e-3)
    tracker.update(People.none(), 1.04)
    assert tracker.speed(1.04) is None


def test_pose_tracker_keeps_the_ids_of_crossing_people_through_an_occlusion() -> None:
    frames = story("two_people_crossing")
    hips_x = [people.keypoints[:, list(HIPS), 0].mean(axis=1) for _, people in frames if len(people) == 2]
    meeting = min(range(len(hips_x)), key=lambda i: abs(hips_x[i][0] - hips_x[i][1]))
    hidden = [
        (time_s, people[people.track_ids == 0] if meeting - 6 <= step <= meeting + 6 else people)
        for step, (time_s, people) in enumerate(frames)
    ]
    ids = tracked(hidden)
    assert {person: set(found) for person, found in ids.items()} == {0: {1}, 1: {2}} or {
        person: set(found) for person, found in ids.items()
    } == {0: {2}, 1: {1}}


def test_pose_tracker_keeps_the_ids_of_people_who_pass_each_other_unobserved(
    people_factory: Callable[..., People],
) -> None:
    frames = []
    for step in range(60):
        way = 150 * (step / 25 - 1.2)  # they meet after 1.2 s; no person is observed from 1.0 to 1.4 s
        pair = people_factory((300 + way, 200), (300 - way, 200)).with_track_ids(np.array([0, 1]))
        frames.append((step / 25, pair[:0] if 25 <= step < 35 else pair))
    assert {person: set(found) for person, found in tracked(frames).items()} == {0: {1}, 1: {2}}


@pytest.mark.parametrize("name", ["fall_forward", "fall_backward", "fall_sideways", "fall_left"])
def test_pose_tracker_keeps_the_id_of_a_falling_person_while_the_box_turns_wide(name: str) -> None:
    frames = story(name, jitter_px=2.0)
    shapes = [(box[2] - box[0]) / (box[3] - box[1]) for box in (people.boxes[0] for _, people in frames)]
    assert min(shapes) < 0.7
    assert max(shapes) > 1.2
    assert set(tracked(frames)[0]) == {1}


@pytest.mark.parametrize(
    ("gap_s", "track_ids"), [(0.2, [1]), (1.0, [1]), (5.0, [1, 2])], ids=["short", "one second", "too long"]
)
def test_pose_tracker_keeps_the_id_of_a_lost_person_for_max_lost_s(
    people_factory: Callable[..., People], gap_s: float, track_ids: list[int]
) -> None:
    for speed in (0.0, 20.0):
        first = list(walker(people_factory, 2.0, speed))
        again = list(walker(people_factory, 4.0 + gap_s, speed, start_s=2.0 + gap_s))
        away = [(2.0 + i / 25, People.none()) for i in range(round(gap_s * 25))]
        assert sorted(set(tracked(first + away + again)[0])) == track_ids


def test_pose_tracker_takes_a_gap_without_frames_for_a_gap_in_time(people_factory: Callable[..., People]) -> None:
    first = list(walker(people_factory, 1.0, 0.0))
    assert set(tracked(first + [(2.0, first[-1][1])] * 1)[0]) == {1}
    late = [(9.0 + i / 25, first[-1][1]) for i in range(5)]
    assert set(tracked(first + late)[0]) == {1, 2}


def test_pose_tracker_confirms_a_track_at_min_hits_and_no_weak_one(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    people = people_factory((100, 200))
    found = [int(tracker.update(people, i / 25).track_ids[0]) for i in range(3)]
    assert found == [NO_TRACK, 1, 1]
    weak = people_factory((100, 200), score=TrackerSettings().new_track_threshold - 0.01)
    tracker.reset()
    assert [int(tracker.update(weak, i / 25).track_ids[0]) for i in range(5)] == [NO_TRACK] * 5


@pytest.mark.parametrize(("gap_s", "track_id"), [(0.5, 1), (0.7, NO_TRACK)])
def test_pose_tracker_keeps_an_unconfirmed_track_for_max_unconfirmed_s(
    people_factory: Callable[..., People], gap_s: float, track_id: int
) -> None:
    tracker = PoseTracker(TrackerSettings(max_unconfirmed_s=0.6))
    tracker.update(people_factory((100, 200)), 0.0)
    assert tracker.update(people_factory((100, 200)), gap_s).track_ids.tolist() == [track_id]


def test_pose_tracker_continues_a_track_with_a_weak_observation(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    for i in range(4):
        tracker.update(people_factory((100, 200)), i / 25)
    assert tracker.update(
        people_factory((101, 200), score=TrackerSettings().new_track_threshold / 2), 4 / 25
    ).track_ids.tolist() == [1]


def test_pose_tracker_gives_a_flicker_no_id(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    person, ghost = people_factory((100, 200)), people_factory((100, 200), (500, 200))
    for i in range(100):
        found = tracker.update(ghost if i % 20 == 0 else person, i / 25)
        assert found.track_ids[1:].tolist() in ([], [NO_TRACK])
    assert found.track_ids[0] == 1


def test_pose_tracker_gives_a_duplicate_no_id(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    twice = people_factory((100, 200), (101, 201))
    twice = People(twice.keypoints, twice.scores, twice.boxes, np.array([0.5, 0.8]))
    for i in range(10):
        found = tracker.update(twice, i / 25)
    assert found.track_ids.tolist() == [NO_TRACK, 1]


def test_pose_tracker_gives_two_people_side_by_side_two_ids(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    for i in range(10):
        found = tracker.update(people_factory((100, 200), (140, 200)), i / 25)
    assert sorted(found.track_ids.tolist()) == [1, 2]


def test_pose_tracker_gives_a_distant_person_a_new_id(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    for i in range(5):
        tracker.update(people_factory((100, 200)), i / 25)
    for i in range(5, 10):
        found = tracker.update(people_factory((500, 200)), i / 25)
    assert found.track_ids.tolist() == [2]


def test_pose_tracker_ids_start_from_1_after_reset(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    for _ in range(2):
        tracker.reset()
        assert set(tracked(list(walker(people_factory, 1.0)))[0]) == {1}


def test_pose_tracker_keeps_a_track_through_missing_joints(people_factory: Callable[..., People]) -> None:
    generator = np.random.default_rng(3)
    frames = []
    for time_s, people in walker(people_factory, 4.0):
        missing = generator.random(17) < 0.4
        scores, keypoints = people.scores.copy(), people.keypoints.copy()
        scores[:, missing], keypoints[:, missing] = 0, 0
        frames.append((time_s, People(keypoints, scores, keypoint_boxes(keypoints, scores), people.box_scores, [0])))
    assert set(tracked(frames)[0]) == {1}


def test_pose_tracker_tracks_a_person_without_any_joint(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    bare = People(np.zeros((1, 17, 2)), np.zeros((1, 17)), np.array([[10, 10, 60, 160]]), np.ones(1))
    found = [int(tracker.update(bare, i / 25).track_ids[0]) for i in range(4)]
    assert found == [NO_TRACK, 1, 1, 1]


@given(st.randoms(use_true_random=False), st.sampled_from(["fall_in_company", "two_people_crossing"]))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pose_tracker_gives_the_same_tracks_in_any_order_of_people(random: Random, name: str) -> None:
    frames = story(name, every=3)
    shuffled = []
    for time_s, people in frames:
        order = list(range(len(people)))
        random.shuffle(order)
        shuffled.append((time_s, people[np.array(order, dtype=np.int64)]))
    straight, mixed = tracked(frames), tracked(shuffled)
    assert {person: len(found) for person, found in straight.items()} == {p: len(f) for p, f in mixed.items()}
    for person, found in straight.items():
        renamed = dict(zip(found, mixed[person], strict=True))
        assert [renamed[i] for i in found] == mixed[person]


def test_pose_tracker_returns_people_in_the_order_given(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    people = people_factory((500, 200), (100, 200), (300, 200))
    for i in range(5):
        found = tracker.update(people, i / 25)
        np.testing.assert_array_equal(found.keypoints, people.keypoints)
    back = tracker.update(people[::-1], 5 / 25)
    assert back.track_ids.tolist() == found.track_ids.tolist()[::-1]


def test_pose_tracker_gives_no_id_twice_in_a_frame() -> None:
    for name in ("fall_in_company", "two_people_crossing"):
        tracker = PoseTracker()
        for time_s, people in story(name, jitter_px=6.0):
            ids = tracker.update(people, time_s).track_ids
            ids = ids[ids != NO_TRACK]
            assert len(set(ids.tolist())) == len(ids)


def test_pose_tracker_memory_is_bounded_by_the_people_observed_within_max_lost_s(
    people_factory: Callable[..., People],
) -> None:
    tracker = PoseTracker()
    generator = np.random.default_rng(0)
    for i in range(1000):
        tracker.update(people_factory(tuple(generator.uniform(0, 5000, 2))), i / 25)
        assert len(tracker._tracks) <= TrackerSettings().max_lost_s * 25 + 1
    tracker.update(People.none(), 1e6)
    assert len(tracker._tracks) == 0


def test_pose_tracker_takes_frames_without_people() -> None:
    tracker = PoseTracker()
    for a, b in pairwise([0.0, 0.1, 5.0]):
        assert len(tracker.update(People.none(), a)) == 0
        assert len(tracker.update(People.none(), b)) == 0


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_pose_tracker_gives_the_same_ids_with_all_times_scaled(factor: float) -> None:
    base = TrackerSettings()
    times = ("max_lost_s", "max_unconfirmed_s", "lost_decay_s", "velocity_memory_s", "coast_s")
    scaled = replace(
        base, reassoc_speed=base.reassoc_speed / factor, **{name: getattr(base, name) * factor for name in times}
    )
    frames = story("two_people_crossing", 2, jitter_px=2.0)[::2]
    assert tracked(frames) == tracked([(time_s * factor, people) for time_s, people in frames], scaled)


def test_pose_tracker_prefers_a_possible_pair_to_an_impossible_one(people_factory: Callable[..., People]) -> None:
    """The first person has left and a new one stands far off; the second person moved and keeps the id."""
    tracker = PoseTracker()
    for i in range(5):
        tracker.update(people_factory((100, 200), (200, 200)), i / 25)
    found = tracker.update(people_factory((180, 200), (900, 200)), 5 / 25)
    assert found.track_ids.tolist() == [2, NO_TRACK]


@pytest.mark.parametrize(
    ("x", "height_px", "track_id"),
    [(190.0, 120.0, 1), (190.0, 60.0, 2), (420.0, 120.0, 2)],
    ids=["near", "small", "far"],
)
def test_pose_tracker_reassociates_a_lost_person_nearby_and_of_the_same_size(
    people_factory: Callable[..., People], x: float, height_px: float, track_id: int
) -> None:
    tracker = PoseTracker()
    for i in range(5):
        tracker.update(people_factory((100, 200)), i / 25)
    for i in range(5, 15):
        tracker.update(People.none(), i / 25)
    for i in range(15, 20):
        found = tracker.update(people_factory((x, 200), height_px=height_px), i / 25)
    assert found.track_ids.tolist() == [track_id]


def test_pose_tracker_gives_the_id_of_a_person_in_sight_to_no_other(people_factory: Callable[..., People]) -> None:
    tracker = PoseTracker()
    for i in range(5):
        tracker.update(people_factory((100, 200)), i / 25)
    for i in range(5, 15):
        found = tracker.update(people_factory((100, 200), (150, 200)), i / 25)
    assert found.track_ids.tolist() == [1, 2]


@pytest.mark.parametrize("name", ["box_scale", "velocity_memory_s", "coast_s", "lost_decay_s", "reassoc_max_ratio"])
def test_tracker_settings_refuse_sizes_and_time_constants_of_0(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} = 0"):
        TrackerSettings(**{name: 0.0})
