"""How fast the live chain is: each stage by itself, then all of them together as a user runs them."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from falldet.errors import FalldetError
from falldet.evaluation.markdown import table
from falldet.evaluation.runner import available_cores
from falldet.io.video import VideoWriter, probe, read_frames
from falldet.pipeline.detector import Pipeline, Settings
from falldet.runtime.runner import Canvas, OutputOptions, watch
from falldet.types import People, PoseSource

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
        people: mean number of people found in a frame that was looked at.
        looked: frames that were looked at, in one run.
        frames: in one run.
    """

    fps: float
    runs_fps: list[float]
    cpu_ms: float
    ms: dict[str, StageTime]
    peak_mb: float
    people: float
    looked: int
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
    """A pose source that is timed; one that looks for people first has the attribute `detector`."""

    def __init__(self, source: PoseSource, stopwatch: Stopwatch) -> None:
        self._source, self.looked, self.found = source, 0, 0
        self._look = stopwatch.timed("pose", source)
        self._detector = getattr(source, "detector", None)
        if self._detector is not None:
            vars(source)["detector"] = stopwatch.timed("detect", self._detector)

    def __call__(self, image: np.ndarray) -> People:
        people: People = self._look(image)
        self.looked, self.found = self.looked + 1, self.found + len(people)
        return people

    def reset(self) -> None:
        self._source.reset()

    def finish(self) -> None:
        if self._detector is not None:
            vars(self._source)["detector"] = self._detector


def measure(source: Path, settings: Settings, pipeline: Pipeline, video: bool = True, repeat: int = 3) -> Timing:
    """Time `source` through `pipeline`: stage by stage, which also warms it up, then `repeat` times as a whole."""
    if repeat < 1:
        raise FalldetError(f"repeat = {repeat} must be at least 1")
    with tempfile.TemporaryDirectory(prefix="falldet-benchmark-") as folder:
        ms, looked, people = _stage_by_stage(source, settings, pipeline, Path(folder), video)
        rates, cpu_ms = [], []
        for _ in range(repeat):
            started, cpu_s = time.perf_counter(), time.process_time()
            frames = watch(source, pipeline, settings, OutputOptions(Path(folder), video), threading.Event()).frames
            rates.append(frames / (time.perf_counter() - started))
            cpu_ms.append(1000 * (time.process_time() - cpu_s) / frames)
    return Timing(statistics.median(rates), rates, statistics.median(cpu_ms), ms, peak_mb(), people, looked, frames)


def _stage_by_stage(
    source: Path, settings: Settings, pipeline: Pipeline, folder: Path, video: bool
) -> tuple[dict[str, StageTime], int, float]:
    """Run the stages one after the other; return their times, the number of looks and the people found per look."""
    stopwatch = Stopwatch()
    poses = _TimedPoses(pipeline.pose_source, stopwatch)
    chain = Pipeline(settings, stopwatch.timed("recognize", pipeline.recognize), poses)
    for stage, method in (("track", "score"), ("fuse", "decide")):
        vars(chain)[method] = stopwatch.timed(stage, getattr(chain, method))
    frames = 0
    with VideoWriter(folder / "stages.mp4", probe(source).fps) as writer, closing(read_frames(source)) as given:
        canvas = Canvas(settings.events)
        draw, encode = stopwatch.timed("draw", canvas.draw), stopwatch.timed("encode", writer.write)
        for seen in chain.run(iter(stopwatch.timed("decode", lambda: next(given, None)), None)):
            if seen.frame is not None:
                frames += 1
                if video:
                    encode(draw(seen), seen.frame.time_s)
    poses.finish()
    return stopwatch.stages(frames), poses.looked, poses.found / max(poses.looked, 1)


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
            people = pose_source(frame.image)
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


def as_record(timing: Timing, start_s: float, video: bool, settings: Settings) -> dict[str, Any]:
    """Return what the benchmark's JSON file holds."""
    return {
        **dataclasses.asdict(timing),
        "start_s": start_s,
        "video": video,
        "machine": machine(),
        "settings": dataclasses.asdict(settings),
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
    looked = f"{record['looked']} of {record['frames']} frames looked at, {record['people']:.1f} people found in each"
    place = ", ".join(f"{key} {value}" for key, value in record["machine"].items())
    return "\n".join([place, "", looked, "", *table(head, rows), "", *table(fps_head, [fps_row])])


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
