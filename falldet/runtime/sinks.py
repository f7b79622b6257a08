"""Where results go: the protocol of a sink, and the sinks of the demo."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from tqdm import tqdm

from falldet.errors import FalldetError
from falldet.io.files import atomic_write
from falldet.io.video import VideoInfo
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.result import FrameResult
from falldet.runtime.queues import background_writer
from falldet.runtime.score_history import ScoreHistory
from falldet.stages.events import EventSettings
from falldet.types import Event
from falldet.visualization.overlay import draw_overlay


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """The source whose results follow: its name, and what the video says of itself."""

    name: str
    video: VideoInfo


class Sink(Protocol):
    """Takes the results of one source: `start` once, `event` and `update` in order of time, `close` once.

    A frame's image belongs to all sinks: it must not be changed.

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
        """Make ready for a source."""
        ...

    def event(self, event: Event) -> None:
        """Take an event that has begun or changed, before the `update` of the same step."""
        ...

    def update(self, result: FrameResult) -> None:
        """Take the result of one step; the last one has no frame."""
        ...

    def close(self) -> None:
        """Finish: no result follows, also where the run was interrupted."""
        ...


class EventLog:
    """Writes events.jsonl: one line when an event begins and whenever it changes, on disk at once.

    The last line of an `id` is how the event ended; at the close, events in progress get a last line.

    Args:
        path: the file; it is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: IO[str] | None = None
        self._written: dict[str, Event] = {}  # of the events in progress
        self._active: dict[str, Event] = {}

    def start(self, source: SourceInfo) -> None:
        """Open the file; raises FalldetError where it can't be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise FalldetError(f"can't write {self.path}: {error.strerror}; choose another --out-dir") from None

    def event(self, event: Event) -> None:
        """Write a line."""
        assert self._stream is not None  # noqa: S101
        self._stream.write(json.dumps(as_record(event)) + "\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._written[event.id] = event

    def update(self, result: FrameResult) -> None:
        """Note how the events in progress stand."""
        if result.frame is not None:
            self._active = {event.id: event for event in result.active_events.values()}
            self._written = {id_: event for id_, event in self._written.items() if id_ in self._active}

    def close(self) -> None:
        """Write how the events in progress stood last, and close the file."""
        if self._stream is None:
            return
        for id_, event in self._active.items():
            if self._written.get(id_) != event:
                self.event(event)
        self._stream.close()
        self._stream = None


class ScoreCsv:
    """Writes scores.csv: frame, time_s, track_id, score; where windows overlap, by `fusion.final_rule`.

    Args:
        path: the file; it appears when it is complete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()

    def start(self, source: SourceInfo) -> None:
        """Open the file; raises FalldetError where it can't be written."""
        self._rows = csv.writer(self._stack.enter_context(atomic_write(self.path)))
        self._rows.writerow(("frame", "time_s", "track_id", "score"))

    def event(self, event: Event) -> None:
        """Write nothing."""

    def update(self, result: FrameResult) -> None:
        """Write a line per person."""
        for score in result.final_scores:
            self._rows.writerow((score.frame_index, f"{score.time_s:.3f}", score.track_id, f"{score.score:.4f}"))

    def close(self) -> None:
        """Finish the file."""
        self._stack.close()


class AnnotatedVideo:
    """Writes the video with skeletons, scores and events; drawing and encoding run in a thread of their own.

    Args:
        path: the .mp4 file; it appears when it is complete.
        events: of the event rule; the alert threshold is marked on the score bars, ignore zones are outlined.
        skeleton_only: draw on black, so that nobody can be recognized.
    """

    def __init__(self, path: Path, events: EventSettings, skeleton_only: bool = False) -> None:
        self.path = path
        self._events, self._skeleton_only = events, skeleton_only
        self._scores: dict[int, float] = {}  # latest of the people in sight, by track id
        self._stack = ExitStack()

    def start(self, source: SourceInfo) -> None:
        """Start the writing thread."""
        self._writer = self._stack.enter_context(VideoWriter(self.path, source.video.fps))
        self._write = self._stack.enter_context(background_writer(self.write))

    def event(self, event: Event) -> None:
        """Do nothing: events in progress are drawn by `update`."""

    def update(self, result: FrameResult) -> None:
        """Hand the frame to the writing thread."""
        if result.frame is not None:
            self._write(result)

    def close(self) -> None:
        """Wait until all frames are written, and finish the file."""
        self._stack.close()

    def write(self, result: FrameResult) -> None:
        """Draw and encode one frame, in the calling thread."""
        assert result.frame is not None  # noqa: S101
        self._writer.write(self.draw(result), result.frame.time_s)

    def draw(self, result: FrameResult) -> np.ndarray:
        """Return (H, W, 3) uint8 BGR: the frame of `result` drawn on."""
        assert result.frame is not None  # noqa: S101
        latest = {score.track_id: score.score for score in result.scores}
        here = {int(track_id) for track_id in result.people.track_ids}
        self._scores = {i: score for i, score in (self._scores | latest).items() if i in here}
        return draw_overlay(
            result.frame.image,
            result.people,
            self._scores,
            result.active_events,
            self._events.alert_threshold,
            self._events.ignore_zones,
            self._skeleton_only,
        )


class Timeline:
    """Writes timeline.png: the scores that events are decided on over time, events shaded.

    Args:
        path: the file; it appears at the close.
        alert_threshold: marked by a line.
    """

    def __init__(self, path: Path, alert_threshold: float) -> None:
        self.path = path
        self._alert_threshold = alert_threshold
        self._history = ScoreHistory()
        self._events: dict[str, Event] = {}
        self._last_s = 0.0

    def start(self, source: SourceInfo) -> None:
        """Do nothing."""

    def event(self, event: Event) -> None:
        """Keep how the event stands."""
        self._events[event.id] = event

    def update(self, result: FrameResult) -> None:
        """Keep the scores."""
        for score in result.scores:
            self._history.add(score)
        if result.frame is not None:
            self._last_s = result.frame.time_s

    def close(self) -> None:
        """Draw."""
        from falldet.visualization.plots import timeline_plot  # matplotlib takes most of a second to load

        events = sorted(self._events.values(), key=lambda event: event.alert_s)
        timeline_plot(self.path, self._history.curves(), events, self._alert_threshold, self._last_s)


class Progress:
    """Shows a progress bar on standard error, and a line for every alert."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def start(self, source: SourceInfo) -> None:
        """Show the bar."""
        self._name = source.name
        self._bar = tqdm(total=source.video.frames, unit="frame", desc=source.name, disable=None)

    def event(self, event: Event) -> None:
        """Show an alert once."""
        if event.id not in self._told:
            self._told.add(event.id)
            at = f"{int(event.alert_s // 60)}:{event.alert_s % 60:04.1f}"
            self._bar.write(f"  FALL in {self._name} at {at}, person #{event.track_id}, score {event.score:.2f}")

    def update(self, result: FrameResult) -> None:
        """Move the bar."""
        if result.frame is not None:
            self._bar.update()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


class EventCollector:
    """Keeps every event as it was last, for programs that want them at the end."""

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}

    @property
    def events(self) -> list[Event]:
        """The events so far, by alert time."""
        return sorted(self._events.values(), key=lambda event: event.alert_s)

    def start(self, source: SourceInfo) -> None:
        """Do nothing."""

    def event(self, event: Event) -> None:
        """Keep it."""
        self._events[event.id] = event

    def update(self, result: FrameResult) -> None:
        """Keep how long the people of events in progress have lain."""
        for event in result.active_events.values():
            self._events[event.id] = event

    def close(self) -> None:
        """Do nothing."""


def as_record(event: Event) -> dict[str, Any]:
    """Return what events.jsonl says of an event: times in seconds rounded to milliseconds, box in whole pixels."""
    record = dataclasses.asdict(event)
    for key in ("start_s", "alert_s", "end_s", "peak_s", "lying_s"):
        record[key] = None if record[key] is None else round(record[key], 3)
    record.update(score=round(event.score, 4), state=event.state.value, box=[round(side) for side in event.box])
    record["wall_time"] = None if event.wall_time is None else event.wall_time.isoformat(timespec="milliseconds")
    return record
