"""The time of each stage of the pipeline, and of all stages together as a user runs them."""

from __future__ import annotations

import platform
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from falldet.errors import FalldetError
from falldet.io.video import probe, read_frames
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.pipeline.decision import EventDecision
from falldet.pipeline.detector import FallDetector
from falldet.pipeline.result import FrameResult
from falldet.pipeline.scoring import TrackScorer
from falldet.pose.source import PoseSource, completed
from falldet.pose.topdown import TopDown
from falldet.runtime.annotated_video import AnnotatedVideo
from falldet.runtime.runner import OutputOptions, output_sinks, process
from falldet.stages.recognizer import WindowRecognizer
from falldet.stages.windows import WindowSettings
from falldet.types import People, WindowScore

STAGES = ("decode", "detect", "pose", "track", "recognize", "fuse", "draw", "encode")


@dataclass(frozen=True, slots=True)
class StageTime:
    """Time of one stage in milliseconds.

    Attributes:
        p50: median of its calls.
        p95: 95th percentile of its calls.
        mean: all calls, divided by the number of frames.
    """

    p50: float
    p95: float
    mean: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Result of a benchmark.

    Attributes:
        fps: frames per second end to end, median of the runs.
        runs_fps: frames per second of each run.
        cpu_ms: processor time per frame end to end, of all threads, in milliseconds, median of the runs; unlike `fps`
            it depends little on the other load of the machine.
        ms: times by stage, measured one after the other; without stages that the pose source doesn't have.
        peak_mb: peak memory of the process.
        people: mean number of people found per pose inference.
        inferences: pose inferences in one run.
        frames: frames in one run.
    """

    fps: float
    runs_fps: list[float]
    cpu_ms: float
    ms: dict[str, StageTime]
    peak_mb: float
    people: float
    inferences: int
    frames: int


class Stopwatch:
    """Measures the calls of each stage, without the time of other stages that they call."""

    def __init__(self) -> None:
        self._calls: dict[str, list[float]] = {}
        self._within = [0.0]  # seconds of the stages called by each call in progress, the innermost last

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work` with its calls measured as `stage`."""

        def measured(*arguments: Any) -> Any:
            self._within.append(0.0)
            started = time.perf_counter()
            try:
                return work(*arguments)
            finally:
                taken = time.perf_counter() - started
                self._calls.setdefault(stage, []).append(1000 * (taken - self._within.pop()))
                self._within[-1] += taken

        return measured

    def stages(self, frames: int) -> dict[str, StageTime]:
        """Return the times of the measured stages over `frames` frames, in the order of `STAGES`."""
        found = {}
        for stage in STAGES:
            times = np.array(self._calls.get(stage, []))
            if len(times):
                p50, p95 = np.percentile(times, (50, 95))
                found[stage] = StageTime(float(p50), float(p95), float(times.sum() / max(frames, 1)))
        return found


class _TimedPoses:
    """A pose source, timed, that counts inferences and people."""

    max_in_flight = 1

    def __init__(self, source: PoseSource, stopwatch: Stopwatch) -> None:
        self._source, self.inferences, self.people = source, 0, 0
        self._estimate = stopwatch.timed("pose", lambda image: source.submit(image).result())

    def submit(self, image: np.ndarray) -> Future[People]:
        people: People = self._estimate(image)
        self.inferences, self.people = self.inferences + 1, self.people + len(people)
        return completed(people)

    def reset(self) -> None:
        self._source.reset()


class _TimedScorer(TrackScorer):
    """Tracking, windows and recognizer, timed."""

    def __init__(self, config: Config, recognizer: WindowRecognizer, stopwatch: Stopwatch) -> None:
        super().__init__(config.tracker, config.windows, recognizer)
        self.recognizer = cast(WindowRecognizer, stopwatch.timed("recognize", recognizer))
        self._timed = stopwatch.timed("track", super().update)

    def update(self, *arguments: Any) -> tuple[People, list[WindowScore]]:
        people, scores = self._timed(*arguments)
        return people, scores


class _TimedDecision(EventDecision):
    """Fusion and event rule, timed."""

    def __init__(self, config: Config, windows: WindowSettings, stopwatch: Stopwatch) -> None:
        super().__init__(config.fusion, config.events, windows)
        self._timed = stopwatch.timed("fuse", super().push)

    def push(self, *arguments: Any) -> FrameResult:
        result: FrameResult = self._timed(*arguments)
        return result


def measure(source: Path, detector: FallDetector, video: bool = True, repeat: int = 3) -> Timing:
    """Time `source` through `detector`: stage by stage, which also warms up, then as a whole.

    Args:
        source: a video file.
        detector: the pipeline.
        video: whether the annotated video is drawn and encoded.
        repeat: number of runs as a whole.

    Raises:
        FalldetError: `repeat` is below 1, or the source can't be read.
    """
    if repeat < 1:
        raise FalldetError(f"repeat = {repeat} must be at least 1")
    with tempfile.TemporaryDirectory(prefix="falldet-benchmark-") as folder:
        ms, inferences, people = _stage_by_stage(source, detector, Path(folder), video)
        rates, cpu_ms = [], []
        for number in range(repeat):
            started, cpu_s = time.perf_counter(), time.process_time()
            sinks = output_sinks(source, detector.config, OutputOptions(Path(folder) / str(number), video))
            frames = process(source, detector, sinks, threading.Event()).frames
            rates.append(frames / (time.perf_counter() - started))
            cpu_ms.append(1000 * (time.process_time() - cpu_s) / frames)
    rate = statistics.median(rates)
    return Timing(rate, rates, statistics.median(cpu_ms), ms, peak_mb(), people, inferences, frames)


def _stage_by_stage(
    source: Path, detector: FallDetector, folder: Path, video: bool
) -> tuple[dict[str, StageTime], int, float]:
    """Run the stages one after the other; return their times, the inferences, and the people per inference."""
    stopwatch, config = Stopwatch(), detector.config
    with _timed_detection(detector.pose_source, stopwatch):
        poses = _TimedPoses(detector.pose_source, stopwatch)
        timed = FallDetector(config, detector.analyzer.recognizer, poses)
        timed.analyzer.scorer = _TimedScorer(config, detector.analyzer.recognizer, stopwatch)
        timed.analyzer.decision = _TimedDecision(config, timed.analyzer.scorer.buffer.settings, stopwatch)
        frames = 0
        with (
            VideoWriter(folder / "stages.mp4", probe(source).fps) as writer,
            closing(read_frames(source, config.video.rotate)) as read,
        ):
            draw = stopwatch.timed("draw", AnnotatedVideo(writer.path, config.events).draw)
            encode = stopwatch.timed("encode", writer.write)
            for result in timed.run(iter(stopwatch.timed("decode", lambda: next(read, None)), None)):
                if result.frame is not None:
                    frames += 1
                    if video:
                        encode(draw(result), result.frame.time_s)
    return stopwatch.stages(frames), poses.inferences, poses.people / max(poses.inferences, 1)


@contextmanager
def _timed_detection(source: PoseSource, stopwatch: Stopwatch) -> Iterator[None]:
    """Time the person detector of a top-down pose source as a stage of its own."""
    if not isinstance(source, TopDown):
        yield
        return
    detector, source.detector = source.detector, stopwatch.timed("detect", source.detector)
    try:
        yield
    finally:
        source.detector = detector


def peak_mb() -> float:
    """Return the peak memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if platform.system() == "Darwin" else 1024)
