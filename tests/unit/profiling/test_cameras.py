"""Cameras at once: played in real time, and a machine that can't keep up is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.profiling.cameras import ABORT_LATENCY_S, MAX_LATENCY_S, measure_cameras
from falldet.stages.frame_sampling import SamplingSettings
from falldet.types import People, Window, WindowScore


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

    max_in_flight = 2

    def __init__(self, people_factory: Callable[..., People], wait_s: float = 0.0) -> None:
        self._people_factory, self._wait_s = people_factory, wait_s
        self.resets = self.inferences = 0
        self._pool = ThreadPoolExecutor(self.max_in_flight)

    def estimate(self, image: np.ndarray) -> People:
        self.inferences += 1
        time.sleep(self._wait_s)
        columns = np.flatnonzero(image[24, :, 0] > 100)
        return self._people_factory((columns.mean(), 24), height_px=40) if len(columns) else People.none()

    def submit(self, image: np.ndarray) -> Future[People]:
        return self._pool.submit(self.estimate, image)

    def reset(self) -> None:
        self.resets += 1


class Undecided:
    """A recognizer that gives every window the probability 0.5."""

    normalization = "person"
    frames = 48
    window_s = None

    def __call__(self, windows: list[Window]) -> list[WindowScore]:
        return [WindowScore(w.track_id, w.start_s, w.stop_s, 0.5) for w in windows]


def detector_of(source: BrightPart) -> FallDetector:
    return FallDetector(Config(sampling=SamplingSettings(0)), Undecided(), source)


def test_measure_cameras_finds_that_the_machine_cannot_keep_up(
    clip: Path, people_factory: Callable[..., People]
) -> None:
    timing = measure_cameras(clip, detector_of(BrightPart(people_factory, 0.4)), 2, seconds=4)
    assert timing.cameras == 2
    assert MAX_LATENCY_S < timing.late_p95_s <= timing.late_max_s < ABORT_LATENCY_S + 2
    assert not timing.held


def test_measure_cameras_plays_each_frame_at_its_time(clip: Path, people_factory: Callable[..., People]) -> None:
    source = BrightPart(people_factory)
    started = time.perf_counter()
    timing = measure_cameras(clip, detector_of(source), 3, seconds=3)
    assert time.perf_counter() - started >= 2.9
    assert source.inferences == 3 * 30
    assert timing.held is (timing.late_max_s <= MAX_LATENCY_S)


def test_measure_cameras_refuses_too_short_a_time(clip: Path, people_factory: Callable[..., People]) -> None:
    with pytest.raises(FalldetError, match=r"seconds = 0\.5 are too few"):
        measure_cameras(clip, detector_of(BrightPart(people_factory)), 1, seconds=0.5)
