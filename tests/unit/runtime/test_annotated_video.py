"""The annotated video: drawn into copies, in a thread of its own, and left out where it can't be written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from falldet.io.video import VideoInfo, read_frames
from falldet.pipeline.result import FrameResult
from falldet.runtime.annotated_video import AnnotatedVideo
from falldet.runtime.sink_group import SinkGroup
from falldet.runtime.sinks import SourceInfo
from falldet.stages.events import EventSettings
from falldet.types import Event, EventState, Frame, People, PersonScore
from falldet.visualization.overlay import RED

SOURCE = SourceInfo("hall", VideoInfo(10.0, None, None))
SETTINGS = EventSettings(ignore_zones=(((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)),))
EVENT = Event("hall-1", "hall", 1, 1.0, 1.5, None, 1.75, 0.9, EventState.FALLING, (0.0, 0.0, 9.0, 9.0))
MakeResult = Callable[[int], FrameResult]


@pytest.fixture
def make_result(people_factory: Callable[..., People]) -> MakeResult:
    """`make_result(index)` has a frame of noise with one person and an event in progress."""

    def make(index: int) -> FrameResult:
        image = np.random.default_rng(index).integers(0, 255, (120, 160, 3), np.uint8)
        people = people_factory((80, 60), height_px=80).with_track_ids(np.array([1]))
        scores = [PersonScore(1, index, index / 10, 0.9)]
        return FrameResult(Frame(index, index / 10, image), people, [], scores, scores, [], {1: EVENT})

    return make


class FrameKeeper:
    """A sink that keeps the frames, and their bytes as they were when they came."""

    def __init__(self) -> None:
        self.frames: list[np.ndarray] = []
        self.contents: list[bytes] = []

    def start(self, source: SourceInfo) -> None:
        pass

    def event(self, event: Event) -> None:
        pass

    def update(self, result: FrameResult) -> None:
        if result.frame is not None:
            self.frames.append(result.frame.image)
            self.contents.append(result.frame.image.tobytes())

    def close(self) -> None:
        pass


@pytest.mark.parametrize("skeleton_only", [False, True])
def test_annotated_video_never_draws_into_a_frame_of_other_sinks(
    tmp_path: Path, make_result: MakeResult, skeleton_only: bool
) -> None:
    before, after = FrameKeeper(), FrameKeeper()
    video = AnnotatedVideo(tmp_path / "a.mp4", SETTINGS, skeleton_only)
    results = [make_result(index) for index in range(12)]
    originals = [result.frame.image.tobytes() for result in results if result.frame]
    with SinkGroup([before, video, after]) as group:
        group.start(SOURCE)
        for result in results:
            group.take(result)
    assert group.failed == []
    for keeper in (before, after):
        assert keeper.contents == originals
        assert [frame.tobytes() for frame in keeper.frames] == originals  # also once all frames are drawn
    drawn = [frame.image for frame in read_frames(tmp_path / "a.mp4")]
    assert len(drawn) == 12
    assert all(np.abs(image[:3].mean(axis=(0, 1)) - RED).max() < 60 for image in drawn)  # the frame of an event


def test_annotated_video_draws_in_a_thread_of_its_own(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    video = AnnotatedVideo(tmp_path / "a.mp4", SETTINGS)
    draw = video.draw

    def noted(result: FrameResult) -> np.ndarray:
        threads.add(threading.current_thread().name)
        return draw(result)

    monkeypatch.setattr(video, "draw", noted)
    video.start(SOURCE)
    video.update(make_result(0))
    video.update(FrameResult(None, People.none(), [], [], [], [], {}))  # the last result has no frame
    video.close()
    assert threads == {"background_writer"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_annotated_video_that_cannot_be_written_is_left_out(tmp_path: Path, make_result: MakeResult) -> None:
    (tmp_path / "file").touch()
    record = FrameKeeper()
    with SinkGroup([record, AnnotatedVideo(tmp_path / "file" / "a.mp4", SETTINGS)]) as group:
        group.start(SOURCE)
        for index in range(20):
            group.take(make_result(index))
    assert len(record.frames) == 20
    (failure,) = group.failed
    assert "AnnotatedVideo: can't write" in failure


def test_annotated_video_forgets_scores_of_people_out_of_sight(tmp_path: Path, make_result: MakeResult) -> None:
    video = AnnotatedVideo(tmp_path / "a.mp4", SETTINGS)
    video.draw(make_result(0))
    assert video._scores == {1: 0.9}
    video.draw(FrameResult(make_result(1).frame, People.none(), [], [], [], [], {}))
    assert video._scores == {}


def test_annotated_video_marks_the_last_place_of_a_person_whose_skeleton_is_lost(
    tmp_path: Path, make_result: MakeResult
) -> None:
    video = AnnotatedVideo(tmp_path / "a.mp4", EventSettings())
    seen = make_result(0)
    video.draw(seen)
    assert seen.frame is not None
    black = Frame(1, 0.1, np.zeros_like(seen.frame.image))
    lost = FrameResult(black, People.none(), [], [], [], [], {1: EVENT})
    marked, ended = video.draw(lost), video.draw(replace(lost, active_events={}))
    left, _, right, bottom = (round(float(side)) for side in seen.people.boxes[0])
    assert marked[bottom - 4 : bottom + 3, left - 3 : left + 4].max() > 150
    assert marked[bottom - 4 : bottom + 3, right - 3 : right + 4].max() > 150
    assert not ended.any()
