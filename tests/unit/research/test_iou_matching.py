"""The baseline tracker of the reference project: overlap of square boxes alone."""

from __future__ import annotations

from collections.abc import Callable

from falldet.types import People
from research.peers.iou_matching import IouMatching


def test_iou_matching_forgets_a_missed_person_and_uses_a_pose_twice(people_factory: Callable[..., People]) -> None:
    tracker = IouMatching()
    ids = [
        tracker.update(people, i / 25).track_ids.tolist()
        for i, people in enumerate(
            [
                people_factory((100, 200), (150, 200)),
                people_factory((104, 200), (154, 200)),
                people_factory((125, 200)),  # both boxes take the one pose
                people_factory((104, 200), (154, 200)),
                People.none(),
                people_factory((104, 200)),
            ]
        )
    ]
    assert ids[0] == ids[1] == [1, 2]
    assert len(ids[2]) == 1
    assert ids[2][0] in (1, 2)
    assert sorted([*ids[3], *ids[2]])[-1] == 3  # one of them is new
    assert ids[4:] == [[], [4]]


def test_iou_matching_ids_start_from_1_after_reset(people_factory: Callable[..., People]) -> None:
    tracker = IouMatching()
    for _ in range(2):
        tracker.reset()
        assert tracker.update(people_factory((100, 200), (400, 200)), 0.0).track_ids.tolist() == [1, 2]


def test_iou_matching_box_scale_widens_the_search(people_factory: Callable[..., People]) -> None:
    for box_scale, track_id in ((1.0, 2), (2.0, 1)):
        tracker = IouMatching(box_scale)
        tracker.update(people_factory((100, 200), height_px=100), 0.0)
        assert tracker.update(people_factory((230, 200), height_px=100), 0.04).track_ids.tolist() == [track_id]
