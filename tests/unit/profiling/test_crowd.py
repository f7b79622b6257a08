"""A test video with more people."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.io.video import read_frames
from falldet.io.video_writer import VideoWriter
from falldet.pose.source import completed
from falldet.profiling.crowd import with_people
from falldet.types import People


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at ten frames a second, with a bright part that moves to the right."""
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    with VideoWriter(path, fps=10) as writer:
        for index in range(30):
            image = np.zeros((48, 64, 3), np.uint8)
            image[:, index : index + 16] = 200
            writer.write(image, index / 10)
    return path


class BrightPart:
    """A pose source that finds one person, the bright part, in the time of a slow network if told so."""

    max_in_flight = 1

    def __init__(self, people_factory: Callable[..., People], wait_s: float = 0.0) -> None:
        self._people_factory, self._wait_s = people_factory, wait_s
        self.resets = self.inferences = 0

    def estimate(self, image: np.ndarray) -> People:
        self.inferences += 1
        time.sleep(self._wait_s)
        columns = np.flatnonzero(image[24, :, 0] > 100)
        return self._people_factory((columns.mean(), 24), height_px=40) if len(columns) else People.none()

    def submit(self, image: np.ndarray) -> Future[People]:
        return completed(self.estimate(image))

    def reset(self) -> None:
        self.resets += 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_with_people_repeats_the_person(
    clip: Path, people_factory: Callable[..., People], tmp_path: Path, count: int
) -> None:
    out = tmp_path / "people.mp4"
    with_people(clip, count, BrightPart(people_factory), out)
    frame = next(islice(read_frames(out), 10, None))
    bright = frame.image[24, :, 0] > 100
    assert np.count_nonzero(np.diff(bright.astype(int)) == 1) + bright[0] == count
    assert bright.sum() == pytest.approx(16 * count, abs=2 * count)


def test_with_people_refuses_fewer_than_one(clip: Path, people_factory: Callable[..., People], tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match="people = 0"):
        with_people(clip, 0, BrightPart(people_factory), tmp_path / "a.mp4")
