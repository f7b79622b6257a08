"""An image of every fall, by a sink of one's own: python examples/custom_sink.py video.mp4."""

import sys
import threading
from pathlib import Path

import cv2

from falldet import Config, Event, FallDetector, draw_overlay
from falldet.pipeline.result import FrameResult
from falldet.runtime.runner import process
from falldet.runtime.sinks import SourceInfo


class Snapshots:
    """Writes the frame in which a fall is reported; a message to a phone would be sent from the same place."""

    def start(self, source: SourceInfo) -> None:
        self.reported: set[str] = set()
        self.new: list[Event] = []

    def event(self, event: Event) -> None:
        if event.id not in self.reported:  # an event is given again whenever it changes
            self.reported.add(event.id)
            self.new.append(event)

    def update(self, result: FrameResult) -> None:
        for event in self.new if result.frame else ():
            threshold = Config().events.threshold
            image = draw_overlay(result.frame.image, result.people, {}, result.active_events, threshold)  # a copy
            cv2.imwrite(f"fall_{event.id}.png", image)
            print(f"fall_{event.id}.png")
        self.new = []

    def close(self) -> None:
        pass


process(Path(sys.argv[1]), FallDetector(), [Snapshots()], threading.Event())
