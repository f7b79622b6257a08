"""How many cameras one machine holds."""

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
from falldet.runtime.multi_source import shared_detectors, side_by_side
from falldet.types import Frame

CAMERA_FPS = 10.0
LATE_S = 0.5
"""A camera is held when the results of its frames come, at worst, this long after the frames."""

GIVEN_UP_S = 5.0


@dataclass(frozen=True, slots=True)
class CameraTiming:
    """Cameras side by side: how many, and the delay of their frames' results (seconds, 95th percentile and worst)."""

    cameras: int
    late_p95_s: float
    late_max_s: float

    @property
    def held(self) -> bool:
        """Whether all results came in time."""
        return self.late_max_s <= LATE_S


def measure_cameras(source: Path, first: FallDetector, cameras: int, seconds: float = 15.0) -> CameraTiming:
    """Play `source` to `cameras` detectors at once, at `CAMERA_FPS` frames per second each; no video is written."""
    detectors = shared_detectors(first, [f"camera {number}" for number in range(cameras)])
    late: list[float] = []

    def run_camera(number: int) -> None:
        begin = time.perf_counter() + number / cameras / CAMERA_FPS  # cameras don't tick together
        with closing(_as_camera(source, begin, seconds)) as frames:
            for result in detectors[number].run(frames):
                if result.frame is not None:
                    late.append(time.perf_counter() - begin - result.frame.time_s)
                if late[-1] > GIVEN_UP_S:
                    break

    list(side_by_side(run_camera, range(cameras)))
    measured = np.array(late[cameras * int(CAMERA_FPS) :])  # the first second warms up
    if not len(measured):
        raise FalldetError(f"seconds = {seconds} are too few; give more than 2")
    return CameraTiming(cameras, float(np.percentile(measured, 95)), float(measured.max()))


def _as_camera(source: Path, begin: float, seconds: float) -> Generator[Frame, None, None]:
    """Yield frames of `source`, over and over, each when its time has come: `CAMERA_FPS` a second."""
    number, period_s = 0, 1 / CAMERA_FPS
    while True:
        due_s = 0.0
        for frame in read_frames(source):
            if frame.time_s + 1e-3 < due_s:
                continue
            due_s += period_s
            if number * period_s >= seconds:
                return
            time.sleep(max(0.0, begin + number * period_s - time.perf_counter()))
            yield Frame(number, number * period_s, frame.image)
            number += 1
