"""One source through a detector into sinks, and the sinks of the demo."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path

from falldet.errors import FalldetError
from falldet.io.addresses import is_stream, output_name
from falldet.io.video import VideoReader
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.runtime.annotated_video import AnnotatedVideo
from falldet.runtime.queues import prefetch
from falldet.runtime.signals import stop_on_request
from falldet.runtime.sink_group import SinkGroup
from falldet.runtime.sinks import EventCollector, EventLog, Progress, ScoreCsv, Sink, SourceInfo
from falldet.runtime.timeline import Timeline
from falldet.types import Event


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Outputs of a run.

    Attributes:
        out_dir: folder of the outputs.
        video: whether to write the annotated video.
        skeleton_only: draw on black, so that no person can be recognized.
    """

    out_dir: Path
    video: bool = True
    skeleton_only: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    """Result of a run.

    Attributes:
        events: the last state of every event, by alert time.
        frames: number of frames.
        duration_s: time of the last frame, seconds.
        failed: the outputs that failed, each with its reason.
    """

    events: list[Event]
    frames: int
    duration_s: float
    failed: list[str]


def run_source(source: str | Path, detector: FallDetector, options: OutputOptions) -> RunResult:
    """Run `source` through `detector` and write the outputs into `options.out_dir`.

    Decoding, pose estimation and drawing overlap. Ctrl-C ends the run as if the source had ended there.

    Args:
        source: a file, an address of a stream, or a webcam's number.
        detector: finds the falls.
        options: the outputs.

    Raises:
        FalldetError: the source can't be read or the events can't be written.
        KeyboardInterrupt: after Ctrl-C; the outputs are complete up to there.
    """
    with stop_on_request() as stop:
        result = process(source, detector, output_sinks(source, detector.config, options), stop)
        if stop.is_set():
            raise KeyboardInterrupt
    return result


def output_sinks(source: str | Path, config: Config, options: OutputOptions) -> list[Sink]:
    """Return the sinks of the demo, the event log first; raises FalldetError where one would replace `source`."""
    folder = options.out_dir
    sinks: list[Sink] = [
        EventLog(folder / "events.jsonl"),
        Progress(),
        ScoreCsv(folder / "scores.csv"),
        Timeline(folder / "timeline.png", config.events.threshold),
    ]
    if options.video:
        video = folder / f"{output_name(source)}.mp4"
        if video.resolve() == Path(source).resolve():
            raise FalldetError(f"the annotated video would replace {source}; choose another --out-dir")
        sinks.append(AnnotatedVideo(video, config.events, options.skeleton_only))
    return sinks


def process(source: str | Path, detector: FallDetector, sinks: Sequence[Sink], stop: threading.Event) -> RunResult:
    """Run `source` through `detector` into `sinks`, in any thread, until it ends or `stop` is set.

    A side sink that fails is left out from then on and named in the result. No sink is started for a source without
    frames.

    Args:
        source: a file, an address of a stream, or a webcam's number.
        detector: finds the falls.
        sinks: the first one is the record, whose failure ends the run.
        stop: ends the run after the frame in progress.

    Raises:
        FalldetError: the source can't be read, or the first sink fails.
    """
    collector, frames, last_s = EventCollector(), 0, 0.0
    with VideoReader(source) as reader, closing(prefetch(reader.frames())) as read:
        first = next(read)  # raises FalldetError for a source without frames, before any output is made
        frames_until_stop = takewhile(lambda _: not stop.is_set(), chain([first], read))
        inferences = 0 if is_stream(source) else detector.pose_source.max_in_flight
        results = detector.run(frames_until_stop, inferences)
        first_result = next(results)  # loads the pose model: a wrong one is told before any output is made, too
        with SinkGroup([*sinks[:1], collector, *sinks[1:]]) as group:
            group.start(SourceInfo(output_name(source), reader.info))
            for result in chain([first_result], results):
                group.take(result)
                if result.frame is not None:
                    frames, last_s = result.frame.index + 1, result.frame.time_s
    return RunResult(collector.events, frames, last_s, group.failed)
