"""The sink that writes the annotated video."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from falldet.io.video_writer import VideoWriter
from falldet.pipeline.result import FrameResult
from falldet.runtime.queues import background_writer
from falldet.runtime.sinks import SourceInfo
from falldet.stages.events import EventSettings
from falldet.types import Event
from falldet.visualization.overlay import draw_overlay


class AnnotatedVideo:
    """Writes the video with skeletons, scores and events; a thread of its own draws and encodes.

    Args:
        path: the .mp4 file; it appears once it is complete.
        events: settings of the event rule: the alert threshold is marked on the score bars, ignore zones are outlined.
        skeleton_only: draw on black, so that no person can be recognized.
    """

    def __init__(self, path: Path, events: EventSettings, skeleton_only: bool = False) -> None:
        self.path = path
        self._events, self._skeleton_only = events, skeleton_only
        self._scores: dict[int, float] = {}  # latest score by track id, of the people in sight
        self._last_boxes: dict[int, np.ndarray] = {}  # latest box (4,) by track id, of the people with an event
        self._stack = ExitStack()

    def start(self, source: SourceInfo) -> None:
        """Start the thread."""
        self._writer = self._stack.enter_context(VideoWriter(self.path, source.video.fps))
        self._enqueue = self._stack.enter_context(background_writer(self._write))

    def event(self, event: Event) -> None:
        """Do nothing: `update` draws the events in progress."""

    def update(self, result: FrameResult) -> None:
        """Hand the frame to the thread; raises what drawing or encoding an earlier one raised."""
        if result.frame is not None:
            self._enqueue(result)

    def close(self) -> None:
        """Wait until all frames are written, and complete the file."""
        self._stack.close()

    def draw(self, result: FrameResult) -> np.ndarray:
        """Return (H, W, 3) uint8 BGR: a copy of the frame of `result`, annotated."""
        assert result.frame is not None  # noqa: S101
        latest = {score.track_id: score.score for score in result.scores}
        visible = {int(track_id) for track_id in result.people.track_ids}
        self._scores = {i: score for i, score in (self._scores | latest).items() if i in visible}
        boxes = dict(zip(result.people.track_ids.tolist(), result.people.boxes, strict=True))
        self._last_boxes = {i: box for i, box in (self._last_boxes | boxes).items() if i in result.active_events}
        return draw_overlay(
            result.frame.image,
            result.people,
            self._scores,
            result.active_events,
            self._events.threshold,
            self._events.ignore_zones,
            self._skeleton_only,
            self._last_boxes,
        )

    def _write(self, result: FrameResult) -> None:
        assert result.frame is not None  # noqa: S101
        self._writer.write(self.draw(result), result.frame.time_s)
