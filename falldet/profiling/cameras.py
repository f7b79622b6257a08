"""How many cameras one machine keeps up with: the latency of each frame's result while several sources run at once."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from falldet.errors import FalldetError
from falldet.io.video import read_frames
from falldet.pipeline.detector import FallDetector
from falldet.runtime.multi_source import map_in_threads, shared_detectors
from falldet.types import Frame

CAMERA_FPS = 10.0

MAX_LATENCY_S = 0.5
"""The machine keeps up while every result comes at most this long after its frame, seconds."""

ABORT_LATENCY_S = 5.0
"""A camera is stopped when a result comes this long after its frame, seconds."""


@dataclass(frozen=True, slots=True)
class CameraTiming:
    """Latency of results while several cameras run at once.

    Attributes:
        cameras: number of cameras.
        late_p95_s: 95th percentile of the time from a frame to its result, seconds.
        late_max_s: largest such time, seconds.
    """

    cameras: int
    late_p95_s: float
    late_max_s: float

    @property
    def held(self) -> bool:
        """Whether the machine kept up: no result came later than `MAX_LATENCY_S`."""
        return self.late_max_s <= MAX_LATENCY_S


def measure_cameras(source: Path, first: FallDetector, cameras: int, seconds: float = 15.0) -> CameraTiming:
    """Play `source` to several detectors at once, `CAMERA_FPS` frames per second each; no video is written.

    Args:
        source: a video file; played again when it ends.
        first: a detector whose configuration and models all cameras share.
        cameras: number of cameras.
        seconds: how long they run; the first second warms up.

    Raises:
        FalldetError: `seconds` is too short, or the source can't be read.
    """
    detectors = shared_detectors(first, [f"camera {index}" for index in range(cameras)])
    latencies_s: list[float] = []

    def run_camera(index: int) -> None:
        begin = time.perf_counter() + index / cameras / CAMERA_FPS  # cameras are not synchronous
        with closing(_as_camera(source, begin, seconds)) as frames:
            for result in detectors[index].run(frames):
                if result.frame is None:
                    return
                latencies_s.append(time.perf_counter() - begin - result.frame.time_s)
                if latencies_s[-1] > ABORT_LATENCY_S:
                    return

    list(map_in_threads(run_camera, range(cameras)))
    measured = np.array(latencies_s[cameras * int(CAMERA_FPS) :])
    if not len(measured):
        raise FalldetError(f"seconds = {seconds} are too few; give more than 2")
    return CameraTiming(cameras, float(np.percentile(measured, 95)), float(measured.max()))


def _as_camera(source: Path, begin: float, seconds: float) -> Generator[Frame, None, None]:
    """Yield frames of `source`, over and over, `CAMERA_FPS` a second, each at its time."""
    index, period_s = 0, 1 / CAMERA_FPS
    while True:
        due_s = 0.0
        for frame in read_frames(source):
            if frame.time_s + 1e-3 < due_s:
                continue
            due_s += period_s
            if index * period_s >= seconds:
                return
            time.sleep(max(0.0, begin + index * period_s - time.perf_counter()))
            yield Frame(index, index * period_s, frame.image)
            index += 1
