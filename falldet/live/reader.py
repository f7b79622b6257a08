"""One thread that drains a source and keeps the newest frame, comes back after trouble, and tells its state.

    CONNECTING --first frame--> LIVE <--> STALE (no frame for stale_s)
    LIVE, STALE --error, or no frame for watchdog_s--> AWAY (with the reason) --first frame--> LIVE
    LIVE <--> FROZEN (frames arrive, but the image has not changed for frozen_after_s)
    LIVE --end of a file--> ENDED          OFF: not to be watched

The first try and all later ones are the same code. A read that hangs can't be interrupted: the watchdog leaves its
thread behind, which ends at its time-out, and starts another one; a third one is refused until then.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from falldet.live.clock import CameraClock
from falldet.live.source import LiveFrame, LiveSource, SourceError

logger = logging.getLogger(__name__)


class ReaderState(StrEnum):
    """Where a camera stands; see the module."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    AWAY = "away"
    FROZEN = "frozen"
    OFF = "off"
    ENDED = "ended"

    @property
    def sees(self) -> bool:
        """Whether what happens before the camera is seen."""
        return self is ReaderState.LIVE


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """Times of a reader, in seconds.

    Attributes:
        stale_s: age of the newest frame from which a camera is stale; ten frame periods where these are longer.
        watchdog_s: age at which the connection is given up and made anew.
        connect_s: how long a connection may take to give its first frame before it is given up.
        frozen_after_s: time without any change of the image from which a camera counts as frozen; 0 never does.
        first_retry_s: wait before the second try; it doubles up to `max_retry_s`.
        max_retry_s: longest wait between two tries. Higher: less load on a dead camera, a later return.
        settled_s: time with frames after which the wait starts from `first_retry_s` again.
    """

    stale_s: float = 3.0
    watchdog_s: float = 6.0
    connect_s: float = 15.0
    frozen_after_s: float = 60.0
    first_retry_s: float = 0.5
    max_retry_s: float = 30.0
    settled_s: float = 10.0

    def __post_init__(self) -> None:
        """Raise ValueError where a time is not positive or they are out of order."""
        if not 0 < self.stale_s < self.watchdog_s:
            raise ValueError(f"0 < stale_s < watchdog_s must hold, got {self.stale_s} and {self.watchdog_s}")
        if not 0 < self.first_retry_s <= self.max_retry_s:
            raise ValueError("0 < first_retry_s <= max_retry_s must hold")
        if self.frozen_after_s < 0 or self.connect_s <= 0 or self.settled_s < 0:
            raise ValueError("frozen_after_s, connect_s and settled_s must not be negative")


@dataclass(frozen=True, slots=True)
class ReaderStatus:
    """A reader as it is now.

    Attributes:
        state: see `ReaderState`.
        reason: why it is not live, in words.
        since_s: since when, steady seconds.
        frames: frames decoded since the start.
        connections: connections that have given a frame.
        last_frame_s: when the newest frame arrived; None before the first.
        fps: frames a second by arrival; 0 while unknown.
        size: width and height of the image in pixels; 0, 0 while unknown.
        stuck: whether a new connection is refused because hanging reads have not ended.
    """

    state: ReaderState
    reason: str = ""
    since_s: float = 0.0
    frames: int = 0
    connections: int = 0
    last_frame_s: float | None = None
    fps: float = 0.0
    size: tuple[int, int] = (0, 0)
    stuck: bool = False


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


class Backoff:
    """Waits between tries: doubling, each shortened at random to between half and all of it, so that tries spread out.

    Args:
        settings: see `ReaderSettings`.
        generator: of the randomness.
    """

    def __init__(self, settings: ReaderSettings, generator: random.Random | None = None) -> None:
        self._settings = settings
        self._generator = generator or random.Random()  # noqa: S311
        self.reset()

    def reset(self) -> None:
        """Start again from the shortest wait."""
        self._next_s = self._settings.first_retry_s

    def next(self, longest: bool = False) -> float:
        """Return the seconds to wait before the next try.

        Args:
            longest: take the longest wait at once.
        """
        wait_s = self._settings.max_retry_s if longest else self._next_s
        self._next_s = min(2 * wait_s, self._settings.max_retry_s)
        return wait_s * self._generator.uniform(0.5, 1.0)


class FreezeDetector:
    """Notices an image that does not change although frames arrive.

    Args:
        after_s: time without a change from which it counts as frozen; 0 never does.
    """

    SIZE_WH = 64, 48
    EVERY_S = 1.0
    MIN_CHANGE = 0.02
    """Mean absolute change of the grey image, of 255, between two samples. A still image through H.264 gives 0."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self.reset()

    def reset(self) -> None:
        """Forget the images so far."""
        self._sample: np.ndarray | None = None
        self._sampled_s = self._changed_s = 0.0

    def update(self, frame: LiveFrame) -> bool:
        """Take a frame; return whether the image is frozen."""
        if not self._after_s:
            return False
        if self._sample is None or frame.arrival_s - self._sampled_s >= self.EVERY_S:
            grey = frame.picture.reformat(*self.SIZE_WH, format="gray").to_ndarray().astype(np.int16)
            if self._sample is None or np.abs(grey - self._sample).mean() >= self.MIN_CHANGE:
                self._changed_s = frame.arrival_s
            self._sample, self._sampled_s = grey, frame.arrival_s
        return frame.arrival_s - self._changed_s >= self._after_s


@dataclass(slots=True, eq=False)
class _Connection:
    """One reading thread; only the current one may write to its reader."""

    stop: threading.Event
    begun_s: float
    thread: threading.Thread | None = None
    delay_s: float = 0.0  # before the first try
    live: bool = False
    waiting: bool = False  # for the next try

    @property
    def alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class Reader:
    """Reads one camera in a thread of its own; see the module.

    Args:
        camera: its name.
        open_source: opens it; given the event that stops it.
        now: returns steady seconds.
        settings: see `ReaderSettings`.
        slot: takes the frames.
        repeat: begin again at the end of a file.
        on_change: called with each new state, from any thread.
    """

    def __init__(
        self,
        camera: str,
        open_source: Callable[[threading.Event], LiveSource],
        now: Callable[[], float],
        settings: ReaderSettings,
        slot: LatestFrame,
        repeat: bool = False,
        on_change: Callable[[ReaderStatus], None] = lambda status: None,
    ) -> None:
        self.camera, self.slot = camera, slot
        self._open_source, self._now, self._settings, self._repeat = open_source, now, settings, repeat
        self._on_change = on_change
        self._lock = threading.RLock()
        self._status = ReaderStatus(ReaderState.CONNECTING, since_s=now())
        self._clock, self._backoff = CameraClock(), Backoff(settings)
        self._freeze = FreezeDetector(settings.frozen_after_s)
        self._arrivals: deque[float] = deque(maxlen=50)
        self._newest_s = 0.0
        self._connection: _Connection | None = None
        self._left: list[_Connection] = []
        self._stopped = False

    @property
    def status(self) -> ReaderStatus:
        """The reader as it is now."""
        with self._lock:
            arrivals = self._arrivals
            span_s = arrivals[-1] - arrivals[0] if len(arrivals) > 1 else 0.0
            fps = (len(arrivals) - 1) / span_s if span_s > 0 else 0.0
            return replace(self._status, fps=fps)

    @property
    def threads(self) -> int:
        """Reading threads that run, those left behind included."""
        with self._lock:
            return sum(connection.alive for connection in [*self._left, *filter(None, [self._connection])])

    def start(self) -> None:
        """Begin to read."""
        with self._lock:
            self._connect()

    def stop(self) -> None:
        """Let the thread end at its next frame or time-out, without waiting for it."""
        with self._lock:
            self._stopped = True
            if self._connection:
                self._connection.stop.set()
        self.slot.close()

    def check(self) -> None:
        """Notice silence: mark the camera stale, give up a connection that hangs, restart a thread that died."""
        with self._lock:
            connection, now_s = self._connection, self._now()
            if self._stopped or connection is None or self._status.state is ReaderState.ENDED:
                return
            if not connection.alive:
                self._give_up(connection, "the reading thread ended by an error")
            elif connection.waiting:
                return
            elif not connection.live:
                if now_s - connection.begun_s > self._settings.connect_s:
                    self._give_up(connection, "no frame after connecting")
            else:
                age_s = now_s - self._newest_s
                if age_s > self._times()[1]:
                    self._give_up(connection, f"the stream has hung: no frame for {age_s:.0f} s")
                elif age_s > self._times()[0]:
                    self._set(ReaderState.STALE, "no frame arrives")

    def _times(self) -> tuple[float, float]:
        """Return stale_s and watchdog_s, longer for a camera of a low frame rate."""
        periods_s = 10 / self.status.fps if self.status.fps else 0.0
        stale_s = max(self._settings.stale_s, periods_s)
        return stale_s, max(self._settings.watchdog_s, 2 * periods_s)

    def _connect(self, delay_s: float = 0.0) -> None:
        connection = _Connection(threading.Event(), self._now(), delay_s=delay_s, waiting=delay_s > 0)
        thread = threading.Thread(target=self._run, args=(connection,), name=f"reader-{self.camera}", daemon=True)
        connection.thread, self._connection = thread, connection
        thread.start()

    def _give_up(self, connection: _Connection, reason: str) -> None:
        connection.stop.set()
        self._set(ReaderState.AWAY, reason)
        self._left = [left for left in self._left if left.alive]
        stuck = bool(self._left)
        if stuck != self._status.stuck:
            self._status = replace(self._status, stuck=stuck)
            if stuck:
                logger.error("camera %s: two reads hang; no third one is begun until one ends", self.camera)
        if not stuck:
            if connection.alive:
                self._left.append(connection)
            self._connect(self._backoff.next())

    def _run(self, connection: _Connection) -> None:
        if connection.delay_s:
            connection.stop.wait(connection.delay_s)
            connection.begun_s, connection.waiting = self._now(), False
        while not connection.stop.is_set():
            try:
                ended = self._read(connection)
                error = None
            except SourceError as caught:
                ended, error = False, caught
            except Exception:
                logger.exception("camera %s: reading failed", self.camera)
                ended, error = False, SourceError("reading failed by an error of this program; see the log")
            if connection.stop.is_set() or (ended and not self._repeat):
                return
            if error is not None and self._wait(connection, error):
                return

    def _read(self, connection: _Connection) -> bool:
        """Read until the source ends; return True at the end of a file."""
        connection.begun_s, connection.live = self._now(), False
        with self._open_source(connection.stop) as source:
            for frame in source.frames():
                with self._lock:
                    if self._connection is not connection or connection.stop.is_set():
                        return False
                    timed = self._take(connection, frame, source)
                self.slot.put(timed)
        if not connection.live and not connection.stop.is_set():
            raise SourceError("not a single frame can be decoded", needs_user=True)
        with self._lock:
            if self._connection is connection and not connection.stop.is_set() and not self._repeat:
                self._set(ReaderState.ENDED, "the file has ended")
        return True

    def _take(self, connection: _Connection, frame: LiveFrame, source: LiveSource) -> TimedFrame:
        status = self._status
        if not connection.live:
            connection.live = True
            self._clock.restart()
            self._freeze.reset()
            self._arrivals.clear()
            connection.begun_s = frame.arrival_s
            size = (source.width, source.height)
            self._status = status = replace(status, connections=status.connections + 1, size=size, stuck=False)
        if frame.arrival_s - connection.begun_s > self._settings.settled_s:
            self._backoff.reset()
        self._arrivals.append(frame.arrival_s)
        self._status = replace(status, frames=status.frames + 1, last_frame_s=frame.arrival_s)
        self._newest_s = self._clock.time(frame.arrival_s, frame.source_s)
        if self._freeze.update(frame):
            self._set(ReaderState.FROZEN, "frames arrive, but the image does not change")
        elif frame.arrival_s - self._newest_s < self._settings.stale_s:  # FFmpeg gives a last frame at a time-out
            self._set(ReaderState.LIVE, "")
        return TimedFrame(self._newest_s, frame)

    def _wait(self, connection: _Connection, error: SourceError) -> bool:
        """Wait before the next try; return True where it was ended by a stop."""
        with self._lock:
            if self._connection is not connection or connection.stop.is_set():
                return True
            connection.live, connection.waiting = False, True
            self._set(ReaderState.AWAY, error.reason)
            wait_s = self._backoff.next(longest=error.needs_user)
        stopped = connection.stop.wait(wait_s)
        connection.begun_s, connection.waiting = self._now(), False
        return stopped

    def _set(self, state: ReaderState, reason: str) -> None:
        """Change the state and tell it; a further reason of a camera that is away is kept, not told."""
        before = self._status
        if before.state is state:
            if before.reason != reason:
                self._status = replace(before, reason=reason)
            return
        self._status = replace(before, state=state, reason=reason, since_s=self._now())
        self._on_change(self.status)
