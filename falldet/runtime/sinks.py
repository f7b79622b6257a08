"""The protocol of a sink, and the sinks that keep events and scores."""

from __future__ import annotations

import csv
import dataclasses
import errno
import io
import json
import logging
import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from falldet.errors import FalldetError
from falldet.io.files import atomic_write
from falldet.io.video import VideoInfo
from falldet.pipeline.result import FrameResult
from falldet.types import Event

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """A source of results: its name, and the properties that the video states."""

    name: str
    video: VideoInfo


class Sink(Protocol):
    """Takes the results of one source: `start` once, `event` and `update` in order of time, `close` once.

    All sinks share a frame's image: a sink must not change it.

    Example:
        >>> class Siren:
        ...     def start(self, source): ...
        ...     def event(self, event):
        ...         if event.state == "falling":
        ...             ring()
        ...     def update(self, result): ...
        ...     def close(self): ...
    """

    def start(self, source: SourceInfo) -> None:
        """Prepare for the results of `source`."""
        ...

    def event(self, event: Event) -> None:
        """Take an event that has begun or changed, before the `update` of the same step."""
        ...

    def update(self, result: FrameResult) -> None:
        """Take the result of one step; the last one has no frame."""
        ...

    def close(self) -> None:
        """Finish; called once after `start`, also where the run was interrupted or failed."""
        ...


class EventLog:
    """Writes events.jsonl: one line when an event begins and whenever it changes, on disk before `event` returns.

    The last line of an `id` is the final state of the event. Closing adds a line for each event in progress whose
    `lying_s` has grown since its last line. Lines that can't be written, on a full disk, are kept and written as soon
    as there is room; until then and where that never comes, they stand in the log.

    Example:
        >>> with open("events.jsonl") as lines:
        ...     events = {event["id"]: event for event in map(json.loads, lines)}

    Args:
        path: the file; an existing one is replaced.
    """

    RETRY_S = 1.0

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: io.FileIO | None = None
        self._end = 0  # bytes of the complete lines on disk
        self._pending: list[str] = []  # lines that are not on disk
        self._tried_s = 0.0
        self._written: dict[str, Event] = {}  # last line of each event in progress
        self._active: dict[str, Event] = {}

    def start(self, source: SourceInfo) -> None:
        """Open the file; raises FalldetError where it can't be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = io.FileIO(self.path, "w")
        except OSError as error:
            raise FalldetError(f"can't write {self.path}: {error.strerror}; choose another --out-dir") from None

    def event(self, event: Event) -> None:
        """Write a line, or keep it where the disk is full."""
        self._pending.append(json.dumps(event_record(event)))
        self._written[event.id] = event
        if event.id in self._active:
            self._active[event.id] = event
        failure = self._write()
        if failure:
            logger.error("can't write %s: %s; make room. Not on disk: %s", self.path, failure, self._pending[-1])

    def update(self, result: FrameResult) -> None:
        """Keep the events in progress, and forget those that have ended."""
        self._active = {event.id: event for event in result.active_events.values()}
        self._written = {key: event for key, event in self._written.items() if key in self._active}
        if self._pending and time.monotonic() - self._tried_s > self.RETRY_S:
            self._write()

    def close(self) -> None:
        """Write the last state of the events in progress, and close the file.

        Raises:
            FalldetError: lines can't be written; the file stays open, and another call tries again.
        """
        if self._stream is None:
            return
        for event in list(self._active.values()):
            if self._written.get(event.id) != event:
                self.event(event)
        self._active = {}
        failure = self._write()
        if failure:
            raise FalldetError(f"can't write {self.path}: {failure}; {len(self._pending)} lines stand in the log only")
        self._stream.close()
        self._stream = None

    def _write(self) -> str:
        """Write the lines that are not on disk; return why that fails, or an empty text."""
        assert self._stream is not None  # noqa: S101
        self._tried_s = time.monotonic()
        try:
            while self._pending:
                line = f"{self._pending[0]}\n".encode()
                if self._stream.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._stream.fileno())
                self._end += len(line)
                del self._pending[0]
        except OSError as error:
            with suppress(OSError):  # no half line stays
                self._stream.truncate(self._end)
                self._stream.seek(self._end)
            return str(error.strerror)
        return ""


class ScoreCsv:
    """Writes scores.csv: frame, time_s, track_id and score, of overlapping windows by `fusion.final_rule`.

    Args:
        path: the file; it appears once it is complete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()

    def start(self, source: SourceInfo) -> None:
        """Open the file; raises FalldetError where it can't be written."""
        self._rows = csv.writer(self._stack.enter_context(atomic_write(self.path)))
        self._rows.writerow(("frame", "time_s", "track_id", "score"))

    def event(self, event: Event) -> None:
        """Do nothing."""

    def update(self, result: FrameResult) -> None:
        """Write a line per final score."""
        for score in result.final_scores:
            self._rows.writerow((score.frame_index, f"{score.time_s:.3f}", score.track_id, f"{score.score:.4f}"))

    def close(self) -> None:
        """Complete the file."""
        self._stack.close()


class Progress:
    """Shows a progress bar on standard error, and a line for every alert."""

    def __init__(self) -> None:
        self._active: set[str] = set()

    def start(self, source: SourceInfo) -> None:
        """Show the bar."""
        self._name = source.name
        self._bar = tqdm(total=source.video.frames, unit="frame", desc=source.name, disable=None)

    def event(self, event: Event) -> None:
        """Show the alert of a new event."""
        if event.id not in self._active:
            at = f"{int(event.alert_s // 60)}:{event.alert_s % 60:04.1f}"
            self._bar.write(f"  FALL in {self._name} at {at}, person #{event.track_id}, score {event.score:.2f}")

    def update(self, result: FrameResult) -> None:
        """Advance the bar."""
        self._active = {event.id for event in result.active_events.values()}
        if result.frame is not None:
            self._bar.update()

    def close(self) -> None:
        """Leave the bar on the screen."""
        self._bar.close()


class EventCollector:
    """Keeps the last state of every event in memory, for programs that want them at the end.

    Example:
        >>> collector = EventCollector()
        >>> process("video.mp4", FallDetector(), [collector], threading.Event())
        >>> print(collector.events)
    """

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}

    @property
    def events(self) -> list[Event]:
        """The events so far, by alert time."""
        return sorted(self._events.values(), key=lambda event: event.alert_s)

    def start(self, source: SourceInfo) -> None:
        """Do nothing."""

    def event(self, event: Event) -> None:
        """Keep the event."""
        self._events[event.id] = event

    def update(self, result: FrameResult) -> None:
        """Keep the events in progress, whose `lying_s` grows."""
        self._events |= {event.id: event for event in result.active_events.values() if event.id in self._events}

    def close(self) -> None:
        """Do nothing."""


def event_record(event: Event) -> dict[str, Any]:
    """Return a line of events.jsonl: times in seconds rounded to milliseconds, box in whole pixels."""
    record = dataclasses.asdict(event)
    for key in ("start_s", "alert_s", "end_s", "peak_s", "lying_s"):
        record[key] = None if record[key] is None else round(record[key], 3)
    record.update(score=round(event.score, 4), state=event.state.value, box=[round(side) for side in event.box])
    record["wall_time"] = None if event.wall_time is None else event.wall_time.isoformat(timespec="milliseconds")
    return record
