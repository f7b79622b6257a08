"""The types between the stages: checked once, on construction."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from falldet.types import NO_TRACK, Event, EventState, Frame, People, Window


def arrays(count: int = 2, joints: int = 17) -> dict[str, np.ndarray]:
    return {
        "keypoints": np.ones((count, joints, 2)),
        "scores": np.ones((count, joints)),
        "boxes": np.ones((count, 4)),
        "box_scores": np.ones(count),
    }


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
    ids=["float", "gray", "with alpha", "batch"],
)
def test_frame_refuses_an_image_that_is_not_bgr_uint8(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        Frame(0, 0.0, image)


def test_people_convert_to_the_stated_dtypes() -> None:
    people = People(**arrays())
    for name in ("keypoints", "scores", "boxes", "box_scores"):
        assert getattr(people, name).dtype == np.float32
    assert people.track_ids.dtype == np.int64
    assert people.track_ids.tolist() == [NO_TRACK, NO_TRACK]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keypoints", np.ones((2, 17, 3))),
        ("scores", np.ones((2, 16))),
        ("scores", np.ones((3, 17))),
        ("boxes", np.ones((2, 5))),
        ("boxes", np.ones((1, 4))),
        ("box_scores", np.ones((2, 1))),
        ("track_ids", np.zeros(3)),
    ],
)
def test_people_refuse_shapes_that_disagree(name: str, value: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"People.{name} must be"):
        People(**{**arrays(), name: value})


@pytest.mark.parametrize("name", ["keypoints", "scores", "boxes", "box_scores"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_people_refuse_numbers_that_are_not_finite(name: str, bad: float) -> None:
    values = arrays()
    values[name].flat[0] = bad
    with pytest.raises(ValueError, match=f"People.{name} holds a number that is not finite"):
        People(**values)


def test_people_are_indexed_by_array_mask_and_slice() -> None:
    values = arrays(3)
    values["box_scores"] = np.array([0.1, 0.2, 0.3])
    people = People(**values).with_track_ids(np.array([7, 8, 9]))
    assert people[np.array([2, 0])].track_ids.tolist() == [9, 7]
    assert people[np.array([False, True, False])].track_ids.tolist() == [8]
    assert people[1:].box_scores.tolist() == pytest.approx([0.2, 0.3])
    assert len(people[:0]) == 0


def test_people_with_track_ids_leaves_the_first_object_unchanged() -> None:
    people = People(**arrays())
    tracked = people.with_track_ids(np.array([3, 4]))
    assert people.track_ids.tolist() == [NO_TRACK, NO_TRACK]
    assert tracked.track_ids.tolist() == [3, 4]
    with pytest.raises(dataclasses.FrozenInstanceError):
        people.boxes = np.zeros((2, 4))  # type: ignore[misc]


def test_people_none_is_empty() -> None:
    people = People.none()
    assert len(people) == 0
    assert people.keypoints.shape == (0, 17, 2)
    assert people.scores.shape == (0, 17)


@pytest.mark.parametrize(
    ("times", "keypoints", "scores"),
    [(0, (0, 17, 2), (0, 17)), (2, (3, 17, 2), (3, 17)), (2, (2, 17, 2), (2, 16)), (2, (2, 17, 2), (3, 17))],
    ids=["empty", "times", "joints", "steps"],
)
def test_window_refuses_lengths_that_disagree(times: int, keypoints: tuple[int, ...], scores: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Window needs"):
        Window(1, 0.0, 2.0, np.arange(times), np.zeros(keypoints), np.zeros(scores), (480, 640))


def test_event_state_equals_its_word() -> None:
    event = Event("0.500-hall-1", "hall", 1, 0.0, 0.5, None, 0.4, 0.9, EventState.FALLEN, (0.0, 0.0, 1.0, 1.0))
    assert event.state == "fallen"
    assert event.state.value == "fallen"
    assert (event.wall_time, event.lying_s, event.long_lie) == (None, 0.0, False)
