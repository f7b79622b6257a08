"""One source through the live chain into a folder: annotated video, events, scores and a timeline."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from falldet.errors import FalldetError
from falldet.io.files import atomic_write
from falldet.io.video import VideoWriter, is_stream, probe, read_frames
from falldet.pipeline.detector import AHEAD, Pipeline, Seen, Settings
from falldet.runtime.queues import background_writer, prefetch
from falldet.runtime.signals import stop_on_request
from falldet.stages.events import EventSettings
from falldet.types import Event, PersonScore
from falldet.visualization.overlay import annotate, draw_zones


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What the demo writes.

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
    """What came out: the falls, frames and seconds looked at, and the files written."""

    events: list[Event]
    frames: int
    duration_s: float
    files: list[Path]


def run_source(source: str | Path, pipeline: Pipeline, settings: Settings, options: OutputOptions) -> RunResult:
    """Run `source` through `pipeline` and write the results into `options.out_dir`.

    Decoding, looking and drawing overlap. Ctrl-C ends the run as if the source had ended there, writes the results so
    far, and is raised again.

    Raises:
        FalldetError: the source can't be read or the folder can't be written; nothing is left behind then.
    """
    with stop_on_request() as stop:
        result = watch(source, pipeline, settings, options, stop)
        if stop.is_set():
            raise KeyboardInterrupt
    return result


def watch(
    source: str | Path, pipeline: Pipeline, settings: Settings, options: OutputOptions, stop: threading.Event
) -> RunResult:
    """Do as `run_source`, in any thread, until the source ends or `stop` is set."""
    info = probe(source)
    stem = output_name(source)
    if options.video and (options.out_dir / f"{stem}.mp4").resolve() == Path(source).resolve():
        raise FalldetError(f"the annotated video would replace {source}; choose another --out-dir")
    frames, last_s = 0, 0.0
    with ExitStack() as stack:
        records = _Records(options.out_dir, stack)
        show: Callable[[Seen], None] = _pass_over
        if options.video:
            writer = stack.enter_context(VideoWriter(options.out_dir / f"{stem}.mp4", info.fps))
            canvas = Canvas(settings.events, options.skeleton_only)
            show = stack.enter_context(background_writer(canvas.shown_by(writer)))
        bar = stack.enter_context(tqdm(total=info.frames, unit="frame", desc=stem, disable=None))
        given = stack.enter_context(closing(prefetch(read_frames(source))))
        ahead = 0 if is_stream(source) else AHEAD
        for seen in pipeline.run(takewhile(lambda _: not stop.is_set(), given), ahead):
            for event in records.add(seen):
                bar.write(f"  FALL at {_clock(event.alert_s)}, person #{event.track_id}, score {event.score:.2f}")
            if seen.frame is not None:
                frames, last_s = seen.frame.index + 1, seen.frame.time_s
                show(seen)
                bar.update()
        falls = records.finish()
    records.draw_timeline(settings.events.alert_threshold, last_s)
    videos = [options.out_dir / f"{stem}.mp4"] if options.video else []
    return RunResult(falls, frames, last_s, [*records.files, *videos])


def _pass_over(seen: Seen) -> None:
    """Show nothing."""


class _Records:
    """Writes scores.csv, events.jsonl and timeline.png; the files appear when `stack` is left without an error."""

    def __init__(self, out_dir: Path, stack: ExitStack) -> None:
        self.files = [out_dir / name for name in ("scores.csv", "events.jsonl", "timeline.png")]
        self._rows = csv.writer(stack.enter_context(atomic_write(self.files[0])))
        self._rows.writerow(("frame", "time_s", "track_id", "fall"))
        self._event_file = stack.enter_context(atomic_write(self.files[1]))
        self._events: dict[tuple[int, float], Event] = {}
        self._history = ScoreHistory()

    def add(self, seen: Seen) -> list[Event]:
        """Take what is known after a frame, and return the events that are new."""
        for score in seen.record:
            self._rows.writerow((score.frame_index, f"{score.time_s:.3f}", score.track_id, f"{score.fall:.4f}"))
        for score in seen.scores:
            self._history.add(score)
        new = [event for event in seen.events if (event.track_id, event.alert_s) not in self._events]
        known_now = (*seen.events, *seen.current.values())  # those that are on say how long the person has lain
        self._events |= {(event.track_id, event.alert_s): event for event in known_now}
        return new

    def finish(self) -> list[Event]:
        """Write the events and return them, each as it was last, by alert time."""
        falls = sorted(self._events.values(), key=lambda event: event.alert_s)
        self._event_file.writelines(json.dumps(as_record(event)) + "\n" for event in falls)
        return falls

    def draw_timeline(self, alert_threshold: float, duration_s: float) -> None:
        """Write the picture of scores and events."""
        from falldet.visualization.plots import timeline_plot  # matplotlib takes most of a second to load

        falls = sorted(self._events.values(), key=lambda event: event.alert_s)
        timeline_plot(self.files[2], self._history.curves(), falls, alert_threshold, duration_s)


def output_name(source: str | Path) -> str:
    """Return a file name for the results of a source: a file's stem, or a stream's address without its signs."""
    if not is_stream(source):
        return Path(source).stem
    return "".join(sign if sign.isalnum() else "_" for sign in str(source).split("@")[-1]).strip("_")


def as_record(event: Event) -> dict[str, Any]:
    """Return what events.jsonl says of an event: times in seconds rounded to milliseconds, box in whole pixels."""
    record = dataclasses.asdict(event)
    for key in ("start_s", "alert_s", "end_s", "peak_s", "lying_s"):
        record[key] = None if record[key] is None else round(record[key], 3)
    record.update(score=round(event.score, 4), state=event.state.value, box=[round(side) for side in event.box])
    return record


class ScoreHistory:
    """Keeps enough of everybody's scores for a picture, in bounded memory.

    Each person's highest score in every time bin is kept; when there are too many bins, their width doubles.
    """

    def __init__(self, max_points: int = 20_000, bin_s: float = 0.05) -> None:
        self._max_points, self._bin_s = max_points, bin_s
        self._bins: dict[tuple[int, int], float] = {}

    def add(self, score: PersonScore) -> None:
        """Take one fused score."""
        self._keep((score.track_id, math.floor(score.time_s / self._bin_s)), score.fall)
        if len(self._bins) > self._max_points:
            self._bin_s *= 2
            narrow, self._bins = self._bins, {}
            for (track_id, index), fall in narrow.items():
                self._keep((track_id, index // 2), fall)

    def curves(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Return times in seconds (T,) and scores (T,) by track id."""
        points: dict[int, list[tuple[float, float]]] = {}
        for (track_id, index), fall in sorted(self._bins.items()):
            points.setdefault(track_id, []).append(((index + 0.5) * self._bin_s, fall))
        return {i: (np.array([t for t, _ in line]), np.array([f for _, f in line])) for i, line in points.items()}

    def _keep(self, key: tuple[int, int], fall: float) -> None:
        self._bins[key] = max(fall, self._bins.get(key, 0.0))


class Canvas:
    """Draws what is known at each frame; remembers only the latest score of the people in sight.

    Args:
        events: of the event rule; the alert score is marked on the score bars, zones to ignore are outlined.
        skeleton_only: draw on black, so that nobody can be recognized.
    """

    def __init__(self, events: EventSettings, skeleton_only: bool = False) -> None:
        self._events, self._skeleton_only = events, skeleton_only
        self._falls: dict[int, float] = {}

    def draw(self, seen: Seen) -> np.ndarray:
        """Return the picture of `seen`, drawn on in place."""
        assert seen.frame is not None  # noqa: S101
        latest = {score.track_id: score.fall for score in seen.scores}
        here = {int(track_id) for track_id in seen.people.track_ids}
        self._falls = {i: fall for i, fall in (self._falls | latest).items() if i in here}
        image = np.zeros_like(seen.frame.image) if self._skeleton_only else seen.frame.image
        draw_zones(image, self._events.ignore_zones)
        return annotate(image, seen.people, self._falls, seen.current, self._events.alert_threshold)

    def shown_by(self, writer: VideoWriter) -> Callable[[Seen], None]:
        """Return a function that draws and writes."""

        def show(seen: Seen) -> None:
            assert seen.frame is not None  # noqa: S101
            writer.write(self.draw(seen), seen.frame.time_s)

        return show


def _clock(time_s: float) -> str:
    return f"{int(time_s // 60)}:{time_s % 60:04.1f}"
