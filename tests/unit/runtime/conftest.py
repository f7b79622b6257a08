"""A pipeline without models: one person, the bright part of a frame, who falls once where the video is long enough."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.pose.source import completed
from falldet.types import People, Window, WindowScore

FPS = 10.0
HEIGHT, WIDTH = 96, 160


class BrightPart:
    """A pose source that finds one person, the bright part; several threads may share it.

    Attributes:
        threads: the threads that have submitted images.
    """

    max_in_flight = 2

    def __init__(self, people_factory: Callable[..., People]) -> None:
        self._people_factory = people_factory
        self.threads: set[int] = set()

    def submit(self, image: np.ndarray) -> Future[People]:
        self.threads.add(threading.get_ident())
        columns = np.flatnonzero(image[HEIGHT // 2, :, 0] > 100)
        return completed(self._people_factory((columns.mean(), HEIGHT / 2), height_px=40))

    def reset(self) -> None:
        pass


class FallAtTwoSeconds:
    """A recognizer for which every window that stops between 2 and 3 s is a fall."""

    normalization = "person"
    frames = 48
    window_s = None

    def __call__(self, windows: list[Window]) -> list[WindowScore]:
        return [WindowScore(w.track_id, w.start_s, w.stop_s, 0.999 if 2.0 <= w.stop_s < 3.0 else 0.05) for w in windows]


@pytest.fixture
def pose_source(people_factory: Callable[..., People]) -> BrightPart:
    return BrightPart(people_factory)


@pytest.fixture
def detector(pose_source: BrightPart) -> FallDetector:
    return FallDetector(Config(), FallAtTwoSeconds(), pose_source, source="video")


@pytest.fixture
def write_video() -> Callable[..., Path]:
    """`write_video(path, frames=40, step=1)` writes frames of a bright part that moves `step` pixels a frame."""

    def write(path: Path, frames: int = 40, step: int = 1) -> Path:
        with VideoWriter(path, fps=FPS) as writer:
            for index in range(frames):
                image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
                image[:, (left := 40 + index * step % 60) : left + 16] = 200
                writer.write(image, index / FPS)
        return path

    return write
