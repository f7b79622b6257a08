"""The slot between a camera's reading thread and its working thread: it holds the newest frame only."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from falldet.live.source import LiveFrame


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A frame on the camera's steady time line, not converted yet."""

    time_s: float
    frame: LiveFrame


class LatestFrame:
    """A slot for the newest frame: a frame that is not taken in time is dropped.

    Args:
        lossless: wait until a frame is taken instead, as for a file that is read without pacing.
    """

    def __init__(self, lossless: bool = False) -> None:
        self._changed = threading.Condition()
        self._frame: TimedFrame | None = None
        self._lossless = lossless
        self._closed = False
        self.dropped = 0

    def put(self, frame: TimedFrame) -> None:
        """Replace the frame in the slot."""
        with self._changed:
            if self._lossless:
                self._changed.wait_for(lambda: self._frame is None or self._closed)
            elif self._frame is not None:
                self.dropped += 1
            self._frame = frame
            self._changed.notify_all()

    def take(self, timeout_s: float) -> TimedFrame | None:
        """Return the newest frame, or None where none comes within `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._closed, timeout_s)
            frame, self._frame = self._frame, None
            self._changed.notify_all()
            return frame

    @property
    def is_empty(self) -> bool:
        """Whether no frame waits."""
        return self._frame is None

    def close(self) -> None:
        """Wake all who wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
