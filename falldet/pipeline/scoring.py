"""People in, window scores out: tracking, windows and recognizer, the first half of `FallAnalyzer`."""

from __future__ import annotations

from falldet.stages.recognizer import WindowRecognizer
from falldet.stages.tracking import PoseTracker, TrackerSettings
from falldet.stages.windows import WindowBuffer, WindowSettings
from falldet.types import People, WindowScore


class TrackScorer:
    """Tracks people from frame to frame and scores the windows of their tracks.

    Args:
        tracker: settings of the tracker.
        windows: settings of the windows; a length of 0 takes the recognizer's.
        recognizer: windows in, scores out.
    """

    def __init__(self, tracker: TrackerSettings, windows: WindowSettings, recognizer: WindowRecognizer) -> None:
        self.tracker, self.recognizer = PoseTracker(tracker), recognizer
        self.buffer = WindowBuffer(windows.for_recognizer(recognizer.window_s))

    def update(self, time_s: float, people: People, image_hw: tuple[int, int]) -> tuple[People, list[WindowScore]]:
        """Take one frame; return its people with track ids, and the scores of the windows that end by this frame.

        Args:
            time_s: time of the frame, seconds, later than the last one.
            people: people of the frame, without track ids.
            image_hw: height and width of the frame in pixels.
        """
        tracked = self.tracker.update(people, time_s)
        windows = self.buffer.push(time_s, tracked, image_hw)
        return tracked, self.recognizer(windows) if windows else []

    def flush(self) -> list[WindowScore]:
        """Return the scores of the pending windows, and forget all tracks."""
        windows = self.buffer.flush()
        self.tracker.reset()
        return self.recognizer(windows) if windows else []
