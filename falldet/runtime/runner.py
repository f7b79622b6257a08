"""One source through a detector into sinks, and the sinks of the demo."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from pathlib import Path

import numpy as np

from falldet.errors import FalldetError
from falldet.io.addresses import output_name, redacted
from falldet.io.source_kind import kind_of
from falldet.io.video import VideoReader
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.runtime.annotated_video import AnnotatedVideo
from falldet.runtime.queues import DEPTH, prefetch
from falldet.runtime.run_folder import RECORD, run_folder
from falldet.runtime.signals import stop_on_request
from falldet.runtime.sink_group import SinkGroup
from falldet.runtime.sinks import EventCollector, EventLog, Progress, ScoreCsv, Sink, SourceInfo
from falldet.runtime.timeline import Timeline
from falldet.types import Event

LIVE_DEPTH = 16
"""Frames of a live source that wait while a step is slow. Higher: times by arrival stay exact, more memory."""

STALL_S = 25.0
"""A live source that gives no frame for so long has broken off, even where FFmpeg itself hangs, as in a driver."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Outputs of a run.

    Attributes:
        out_dir: folder of the outputs.
        video: whether to write the annotated video.
        skeleton_only: draw on black, so that no person can be recognized.
        name: name of the source in outputs; if empty, that of `output_name`.
    """

    out_dir: Path
    video: bool = True
    skeleton_only: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class RunResult:
    """Result of a run.

    Attributes:
        events: the last state of every event, by alert time.
        frames: number of frames.
        duration_s: time of the last frame, seconds.
        failed: the outputs that failed, each with its reason.
        broken_off: why a stream gave no more frames; empty for a source that is complete.
        folder: the folder of the outputs; None for a run without.
    """

    events: list[Event]
    frames: int
    duration_s: float
    failed: list[str]
    broken_off: str = ""
    folder: Path | None = None


def run_source(source: str | Path, detector: FallDetector, options: OutputOptions) -> RunResult:
    """Run `source` through `detector` and write the outputs into `options.out_dir`.

    Where that folder holds the record of another run, the outputs go into a numbered one beside it. Decoding, pose
    estimation and drawing overlap. Ctrl-C, SIGTERM and SIGHUP end the run as if the source had ended there.

    Args:
        source: a file, an address of a stream, a pipe, or a webcam's number.
        detector: finds the falls.
        options: the outputs.

    Raises:
        FalldetError: the source can't be read or the events can't be written.
        KeyboardInterrupt: after Ctrl-C, `Interrupted` after another signal; the outputs are complete up to there.
    """
    with stop_on_request() as stop:
        try:
            result = run_into_folder(source, detector, options, stop)
        except FalldetError:
            if stop.is_set():  # before the first frame came
                raise stop.interruption() from None
            raise
        if stop.is_set():
            raise stop.interruption()
    return result


def run_into_folder(
    source: str | Path, detector: FallDetector, options: OutputOptions, stop: threading.Event
) -> RunResult:
    """Do what `run_source` does, in any thread, until the source ends or `stop` is set."""
    with run_folder(options.out_dir) as folder:
        sinks = output_sinks(source, detector.config, replace(options, out_dir=folder))
        return replace(process(source, detector, sinks, stop, options.name), folder=folder)


def output_sinks(source: str | Path, config: Config, options: OutputOptions) -> list[Sink]:
    """Return the sinks of the demo, the event log first; raises FalldetError where one would replace a video."""
    folder = options.out_dir
    sinks: list[Sink] = [
        EventLog(folder / RECORD),
        Progress(),
        ScoreCsv(folder / "scores.csv"),
        Timeline(folder / "timeline.png", config.events.threshold),
    ]
    if options.video:
        video = folder / f"{output_name(source)}.mp4"
        if video.exists() or video.resolve() == Path(source).resolve():
            raise FalldetError(f"the annotated video would replace {video}; choose another --out-dir")
        sinks.append(AnnotatedVideo(video, config.events, options.skeleton_only))
    return sinks


def process(
    source: str | Path, detector: FallDetector, sinks: Sequence[Sink], stop: threading.Event, name: str = ""
) -> RunResult:
    """Run `source` through `detector` into `sinks`, in any thread, until it ends or `stop` is set.

    A side sink that fails is left out from then on and named in the result. No sink is started for a source without
    frames. A live source that is silent for `STALL_S` has broken off.

    Args:
        source: a file, an address of a stream, a pipe, or a webcam's number.
        detector: finds the falls.
        sinks: the first one is the record, whose failure ends the run.
        stop: ends the run after the frame in progress.
        name: name of the source for the sinks; if empty, that of `output_name`.

    Raises:
        FalldetError: the source can't be read, or the first sink fails.
    """
    collector, frames, last_s = EventCollector(), 0, 0.0
    if kind_of(source).is_live:
        _load_models(detector)
    with VideoReader(source, detector.config.video.rotate) as reader:

        def given_up(waited_s: float) -> bool:
            if reader.is_live and waited_s > STALL_S:
                reader.broken_off = reader.broken_off or f"no frame for {STALL_S:g} s"
            return stop.is_set() or bool(reader.is_live and waited_s > STALL_S)

        depth = LIVE_DEPTH if reader.is_live else DEPTH
        with closing(prefetch(reader.frames(), depth, given_up)) as read:
            first = next(read, None)  # raises FalldetError for a source without frames, before any output is made
            if first is None:
                raise FalldetError(f"no frame came from {redacted(source)}: {reader.broken_off or 'stopped before'}")
            frames_until_stop = takewhile(lambda _: not stop.is_set(), chain([first], read))
            results = detector.run(frames_until_stop, 0 if reader.is_live else detector.pose_source.max_in_flight)
            first_result = next(results)  # loads the pose model: a wrong one is told before any output is made, too
            with SinkGroup([*sinks[:1], collector, *sinks[1:]]) as group:
                group.start(SourceInfo(name or output_name(source), reader.info))
                for result in chain([first_result], results):
                    group.take(result)
                    if result.frame is not None:
                        frames, last_s = result.frame.index + 1, result.frame.time_s
    return RunResult(collector.events, frames, last_s, group.failed, "" if stop.is_set() else reader.broken_off)


def _load_models(detector: FallDetector) -> None:
    """Load what the first frame would load: a live source that is opened is read without delay."""
    detector.pose_source.submit(np.zeros((480, 640, 3), np.uint8)).result()
    detector.pose_source.reset()
