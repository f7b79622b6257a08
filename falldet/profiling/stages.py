"""How fast the pipeline is: each stage by itself, then all of them together as a user runs them."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from falldet.errors import FalldetError
from falldet.evaluation.markdown import table
from falldet.io.video import probe, read_frames
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.pipeline.decision import EventDecision
from falldet.pipeline.detector import FallDetector
from falldet.pipeline.result import FrameResult
from falldet.pipeline.scoring import TrackScorer
from falldet.pose.source import PoseSource, completed
from falldet.pose.topdown import TopDown
from falldet.runtime.parallel import available_cores
from falldet.runtime.runner import OutputOptions, output_sinks, process
from falldet.runtime.sinks import AnnotatedVideo
from falldet.stages.recognizer import WindowRecognizer
from falldet.types import People, WindowScore

STAGES = ("decode", "detect", "pose", "track", "recognize", "fuse", "draw", "encode")


@dataclass(frozen=True, slots=True)
class StageTime:
    """What one stage takes in milliseconds: a call, and on average a frame."""

    p50: float
    p95: float
    mean: float


@dataclass(frozen=True, slots=True)
class Timing:
    """What a benchmark found.

    Attributes:
        fps: frames per second end to end, the median of the runs.
        runs_fps: each run's.
        cpu_ms: processor time a frame end to end, of all threads, the median of the runs; unlike the rate it hardly
            depends on what else the machine is doing.
        ms: by stage, one after the other; stages that the pose source doesn't have are left out.
        peak_mb: highest memory of the process.
        people: mean number of people found per pose estimation.
        inferences: pose estimations, in one run.
        frames: in one run.
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
    """Notes by stage what each call takes, without the time of other stages that it calls."""

    def __init__(self) -> None:
        self._calls: dict[str, list[float]] = {}
        self._within = [0.0]  # time of the stages that each call in progress has called, the innermost last

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work`, its time noted for `stage`."""

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
        """Return what each stage took for so many frames, in the order of `STAGES`."""
        found = {}
        for stage in STAGES:
            times = np.array(self._calls.get(stage, []))
            if len(times):
                p50, p95 = np.percentile(times, (50, 95))
                found[stage] = StageTime(float(p50), float(p95), float(times.sum() / max(frames, 1)))
        return found


class _TimedPoses:
    """A pose source that is timed; a detector that it runs first is timed by itself."""

    max_in_flight = 1

    def __init__(self, source: PoseSource, stopwatch: Stopwatch) -> None:
        self._source, self.inferences, self.found = source, 0, 0
        self._estimate = stopwatch.timed("pose", lambda image: source.submit(image).result())

    def submit(self, image: np.ndarray) -> Future[People]:
        people: People = self._estimate(image)
        self.inferences, self.found = self.inferences + 1, self.found + len(people)
        return completed(people)

    def reset(self) -> None:
        self._source.reset()


class _TimedScorer(TrackScorer):
    """Tracking, windows and recognizer, timed."""

    def __init__(self, config: Config, recognizer: WindowRecognizer, stopwatch: Stopwatch) -> None:
        super().__init__(config.tracker, config.windows, stopwatch.timed("recognize", recognizer))
        self._timed = stopwatch.timed("track", super().update)

    def update(self, *arguments: Any) -> tuple[People, list[WindowScore]]:
        people, scores = self._timed(*arguments)
        return people, scores


class _TimedDecision(EventDecision):
    """Fusion and event rule, timed."""

    def __init__(self, config: Config, stopwatch: Stopwatch) -> None:
        super().__init__(config.fusion, config.events, config.windows.length_s)
        self._timed = stopwatch.timed("fuse", super().push)

    def push(self, *arguments: Any) -> FrameResult:
        result: FrameResult = self._timed(*arguments)
        return result


def measure(source: Path, detector: FallDetector, video: bool = True, repeat: int = 3) -> Timing:
    """Time `source` through `detector`: stage by stage, which also warms it up, then `repeat` times as a whole."""
    if repeat < 1:
        raise FalldetError(f"repeat = {repeat} must be at least 1")
    with tempfile.TemporaryDirectory(prefix="falldet-benchmark-") as folder:
        ms, inferences, people = _stage_by_stage(source, detector, Path(folder), video)
        rates, cpu_ms = [], []
        for _ in range(repeat):
            started, cpu_s = time.perf_counter(), time.process_time()
            sinks = output_sinks(source, detector.config, OutputOptions(Path(folder), video))
            frames = process(source, detector, sinks, threading.Event()).frames
            rates.append(frames / (time.perf_counter() - started))
            cpu_ms.append(1000 * (time.process_time() - cpu_s) / frames)
    rate = statistics.median(rates)
    return Timing(rate, rates, statistics.median(cpu_ms), ms, peak_mb(), people, inferences, frames)


def _stage_by_stage(
    source: Path, detector: FallDetector, folder: Path, video: bool
) -> tuple[dict[str, StageTime], int, float]:
    """Run the stages one after the other; return their times, the inferences and the people found per inference."""
    stopwatch, config = Stopwatch(), detector.config
    with _timed_detection(detector.pose_source, stopwatch):
        poses = _TimedPoses(detector.pose_source, stopwatch)
        timed = FallDetector(config, detector.analyzer.recognizer, poses)
        timed.analyzer.scorer = _TimedScorer(config, detector.analyzer.recognizer, stopwatch)
        timed.analyzer.decision = _TimedDecision(config, stopwatch)
        frames = 0
        with VideoWriter(folder / "stages.mp4", probe(source).fps) as writer, closing(read_frames(source)) as read:
            draw = stopwatch.timed("draw", AnnotatedVideo(writer.path, config.events).draw)
            encode = stopwatch.timed("encode", writer.write)
            for result in timed.run(iter(stopwatch.timed("decode", lambda: next(read, None)), None)):
                if result.frame is not None:
                    frames += 1
                    if video:
                        encode(draw(result), result.frame.time_s)
    return stopwatch.stages(frames), poses.inferences, poses.found / max(poses.inferences, 1)


@contextmanager
def _timed_detection(source: PoseSource, stopwatch: Stopwatch) -> Iterator[None]:
    """Time the detector of a top-down pose source, where `source` is one, by itself."""
    if not isinstance(source, TopDown):
        yield
        return
    detector, source.detector = source.detector, stopwatch.timed("detect", source.detector)
    try:
        yield
    finally:
        source.detector = detector


def with_people(source: Path, count: int, pose_source: PoseSource, out: Path) -> None:
    """Write `source` again with `count` people: side by side, the part around its surest person, at the same size.

    Each of `count` upright strips, together as wide as the picture, shows the picture around the person; who is wider
    than a strip is cut.
    """
    if count < 1:
        raise FalldetError(f"people = {count} must be at least 1")
    middle_x = None
    with VideoWriter(out, probe(source).fps, crf=18) as writer:
        for frame in read_frames(source):
            width = frame.image.shape[1]
            people = pose_source.submit(frame.image).result()
            if len(people):
                box = people.boxes[people.box_scores.argmax()]
                middle_x = (box[0] + box[2]) / 2
            strip_w = width // count
            left = int(np.clip((width / 2 if middle_x is None else middle_x) - strip_w / 2, 0, width - strip_w))
            writer.write(np.tile(frame.image[:, left : left + strip_w], (1, count, 1)), frame.time_s)
    pose_source.reset()


def peak_mb() -> float:
    """Return the highest memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if platform.system() == "Darwin" else 1024)


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores this process may use, versions."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    versions = {
        package: importlib.metadata.version(package) for package in ("openvino", "av", "opencv-python", "numpy")
    }
    return {"processor": name, "cores": available_cores(), "python": platform.python_version(), **versions}


def as_record(timing: Timing, start_s: float, video: bool, config: Config) -> dict[str, Any]:
    """Return what the benchmark's JSON file holds."""
    return {
        **dataclasses.asdict(timing),
        "start_s": start_s,
        "video": video,
        "machine": machine(),
        "config": dataclasses.asdict(config),
    }


def as_text(record: Mapping[str, Any]) -> str:
    """Return the tables that `as_record`'s result is shown as, in Markdown."""
    whole_ms = sum(stage["mean"] for stage in record["ms"].values())
    rows = [
        (name, *(f"{stage[key]:.2f}" for key in ("p50", "p95", "mean")), f"{stage['mean'] / whole_ms:.0%}")
        for name, stage in record["ms"].items()
    ]
    runs = ", ".join(f"{rate:.1f}" for rate in record["runs_fps"])
    fps_row = [f"{record['fps']:.1f}", runs, *(f"{record[key]:.1f}" for key in ("cpu_ms", "peak_mb", "start_s"))]
    head = ("stage, one after the other", "p50 ms", "p95 ms", "mean ms a frame", "share")
    fps_head = ("frames per second, all together", "each run", "processor ms a frame", "peak MB", "start s")
    inferences = f"{record['inferences']} of {record['frames']} frames with pose estimation, {record['people']:.1f} people found in each"
    place = ", ".join(f"{key} {value}" for key, value in record["machine"].items())
    return "\n".join([place, "", inferences, "", *table(head, rows), "", *table(fps_head, [fps_row])])


def as_comparison(timings: Mapping[str, Timing]) -> str:
    """Return a table, in Markdown, of the stages' median times and the whole under several settings, by their names."""
    stages = [stage for stage in STAGES if any(stage in timing.ms for timing in timings.values())]
    rows = [
        (
            name,
            *(f"{timing.ms[stage].p50:.2f}" if stage in timing.ms else "" for stage in stages),
            f"{timing.fps:.1f}",
            f"{timing.cpu_ms:.1f}",
        )
        for name, timing in timings.items()
    ]
    head = ("settings", *(f"{stage}, p50 ms" for stage in stages), "frames per second", "processor ms a frame")
    return "\n".join(table(head, rows))
