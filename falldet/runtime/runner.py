"""One source through a detector into sinks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path

from falldet.errors import FalldetError
from falldet.io.video import VideoReader, is_stream
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.pipeline.result import FrameResult
from falldet.runtime.queues import prefetch
from falldet.runtime.signals import stop_on_request
from falldet.runtime.sinks import (
    AnnotatedVideo,
    EventCollector,
    EventLog,
    Progress,
    ScoreCsv,
    Sink,
    SourceInfo,
    Timeline,
)
from falldet.types import Event

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What a run writes.

    Attributes:
        out_dir: folder for the results.
        video: whether to write the annotated video.
        skeleton_only: draw on black, so that nobody can be recognized.
    """

    out_dir: Path
    video: bool = True
    skeleton_only: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came out: the events, frames and seconds of video, and the outputs that failed, each with its reason."""

    events: list[Event]
    frames: int
    duration_s: float
    failed: list[str]


def run_source(source: str | Path, detector: FallDetector, options: OutputOptions) -> RunResult:
    """Run `source` through `detector` and write the results into `options.out_dir`.

    Decoding, pose estimation and drawing overlap. Ctrl-C ends the run as if the source had ended there, writes the
    results so far, and is raised again.

    Raises:
        FalldetError: the source can't be read or the events can't be written.
    """
    with stop_on_request() as stop:
        result = process(source, detector, output_sinks(source, detector.config, options), stop)
        if stop.is_set():
            raise KeyboardInterrupt
    return result


def output_sinks(source: str | Path, config: Config, options: OutputOptions) -> list[Sink]:
    """Return the sinks of the demo, the record of events first; raises FalldetError where one would replace `source`."""
    folder = options.out_dir
    sinks: list[Sink] = [
        EventLog(folder / "events.jsonl"),
        Progress(),
        ScoreCsv(folder / "scores.csv"),
        Timeline(folder / "timeline.png", config.events.alert_threshold),
    ]
    if options.video:
        video = folder / f"{output_name(source)}.mp4"
        if video.resolve() == Path(source).resolve():
            raise FalldetError(f"the annotated video would replace {source}; choose another --out-dir")
        sinks.append(AnnotatedVideo(video, config.events, options.skeleton_only))
    return sinks


def process(source: str | Path, detector: FallDetector, sinks: Sequence[Sink], stop: threading.Event) -> RunResult:
    """Run `source` through `detector` into `sinks`, in any thread, until it ends or `stop` is set.

    A sink that fails is left out from then on and told in the result; the first one, the record, ends the run.

    Raises:
        FalldetError: the source can't be read, or the first sink fails.
    """
    collector, frames, last_s = EventCollector(), 0, 0.0
    with VideoReader(source) as reader, closing(prefetch(reader.frames())) as read:
        first = next(read)  # before any output: a source without frames leaves nothing behind
        given = takewhile(lambda _: not stop.is_set(), chain([first], read))
        inferences = 0 if is_stream(source) else detector.pose_source.max_in_flight
        results = detector.run(given, inferences)
        first_result = next(results)  # loads the pose model: a wrong one is told before any output is made, too
        with SinkGroup([*sinks[:1], collector, *sinks[1:]]) as group:
            group.start(SourceInfo(output_name(source), reader.info))
            for result in chain([first_result], results):
                group.take(result)
                if result.frame is not None:
                    frames, last_s = result.frame.index + 1, result.frame.time_s
    return RunResult(collector.events, frames, last_s, group.failed)


class SinkGroup:
    """Hands results to several sinks; one that fails is left out from then on, so that the others go on.

    Args:
        sinks: the first is the record: its failure is raised.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._record, self._sinks = sinks[0], list(sinks)
        self.failed: list[str] = []

    def __enter__(self) -> SinkGroup:
        return self

    def __exit__(self, *_: object) -> None:
        self._each(lambda sink: sink.close())

    def start(self, source: SourceInfo) -> None:
        """Start every sink."""
        self._each(lambda sink: sink.start(source))

    def take(self, result: FrameResult) -> None:
        """Give every sink the events, then the result, of one step."""
        for event in result.events:
            self._each(lambda sink, event=event: sink.event(event))  # type: ignore[misc]
        self._each(lambda sink: sink.update(result))

    def _each(self, work: Callable[[Sink], None]) -> None:
        for sink in tuple(self._sinks):
            try:
                work(sink)
            except Exception as error:
                if sink is self._record:
                    raise
                self._leave_out(sink, error)

    def _leave_out(self, sink: Sink, error: Exception) -> None:
        self._sinks.remove(sink)
        self.failed.append(f"{type(sink).__name__}: {error}")
        logger.error("%s failed and is left out: %s", type(sink).__name__, error)
        with suppress(Exception):  # its failure has been told
            sink.close()


def output_name(source: str | Path) -> str:
    """Return a file name for the results of a source: a file's stem, or a stream's address without its signs."""
    if not is_stream(source):
        return Path(source).stem
    return "".join(sign if sign.isalnum() else "_" for sign in str(source).split("@")[-1]).strip("_")
