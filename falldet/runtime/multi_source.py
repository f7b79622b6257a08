"""Several sources at once in one process: the models are there once, everybody's state is each source's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from falldet.errors import FalldetError
from falldet.io.video import read_frames
from falldet.pipeline.detector import Pipeline, Settings
from falldet.runtime.runner import OutputOptions, RunResult, output_name, watch
from falldet.runtime.signals import stop_on_request
from falldet.types import Frame

CAMERA_HZ = 10.0
LATE_S = 0.5
"""A camera is held when its pictures are looked at, at worst, this long after they came."""

GIVEN_UP_S = 5.0

Item = TypeVar("Item")
Result = TypeVar("Result")


def shared_pipelines(settings: Settings, count: int, first: Pipeline) -> list[Pipeline]:
    """Return `count` pipelines with the recognizer of `first`, itself among them.

    A pose source that can be asked by several at once (`submit`) is shared too; one that remembers the people of the
    last picture can't be, and each pipeline gets its own.
    """
    shared = first.pose_source if hasattr(first.pose_source, "submit") else None
    others = [Pipeline(settings, first.recognize, shared, first.device) for _ in range(count - 1)]
    return [first, *others]


def run_sources(
    sources: Sequence[str | Path], first: Pipeline, settings: Settings, options: OutputOptions
) -> list[RunResult]:
    """Run every source as `run_source` does, all at once, into a folder each below `options.out_dir`.

    A source that fails stops the others as Ctrl-C would: their results so far are written.

    Raises:
        FalldetError: two sources would write into the same folder, a source can't be read or a folder can't be written.
    """
    stems = [output_name(source) for source in sources]
    for stem in stems:
        if stems.count(stem) > 1:
            raise FalldetError(f"several sources are called {stem} and would share a folder; run them one by one")
    pipelines = shared_pipelines(settings, len(sources), first)
    with stop_on_request() as stop:

        def watch_one(number: int) -> RunResult:
            own = replace(options, out_dir=options.out_dir / stems[number])
            try:
                return watch(sources[number], pipelines[number], settings, own, stop)
            except BaseException:
                stop.set()
                raise

        results = list(side_by_side(watch_one, range(len(sources))))
        if stop.is_set():
            raise KeyboardInterrupt
    return results


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield `work` of each item, in order, all running at once in threads; an error is raised in its turn."""
    with ThreadPoolExecutor(len(items), thread_name_prefix="camera") as pool:
        yield from pool.map(work, items)


@dataclass(frozen=True, slots=True)
class CameraTiming:
    """Cameras side by side: how many, how late their pictures are looked at (seconds, 95th percentile and worst)."""

    cameras: int
    late_p95_s: float
    late_max_s: float

    @property
    def held(self) -> bool:
        """Whether all pictures were looked at in time."""
        return self.late_max_s <= LATE_S


def measure_cameras(
    source: Path, settings: Settings, pipeline: Pipeline, cameras: int, seconds: float = 15.0
) -> CameraTiming:
    """Show `source` to `cameras` pipelines at once, at `CAMERA_HZ` pictures a second each, no video written."""
    pipelines = shared_pipelines(settings, cameras, pipeline)
    late: list[float] = []

    def watch_camera(number: int) -> None:
        begin = time.perf_counter() + number / cameras / CAMERA_HZ  # cameras don't tick together
        with closing(_as_camera(source, begin, seconds)) as frames:
            for seen in pipelines[number].run(frames):
                if seen.frame is not None:
                    late.append(time.perf_counter() - begin - seen.frame.time_s)
                if late[-1] > GIVEN_UP_S:
                    break

    list(side_by_side(watch_camera, range(cameras)))
    settled = np.array(late[cameras * int(CAMERA_HZ) :])  # the first second warms up
    if not len(settled):
        raise FalldetError(f"seconds = {seconds} are too few; give more than 2")
    return CameraTiming(cameras, float(np.percentile(settled, 95)), float(settled.max()))


def _as_camera(source: Path, begin: float, seconds: float) -> Generator[Frame, None, None]:
    """Yield pictures of `source`, over and over, each when its time has come: `CAMERA_HZ` a second."""
    number, period_s = 0, 1 / CAMERA_HZ
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
