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
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from falldet.live.backoff import Backoff
from falldet.live.clock import CameraClock
from falldet.live.freeze import FreezeDetector
from falldet.live.latest_frame import LatestFrame, TimedFrame
from falldet.live.reader_state import ReaderSettings, ReaderState, ReaderStatus
from falldet.live.source import LiveFrame, LiveSource, SourceError

logger = logging.getLogger(__name__)


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
        if frame.arrival_s - connection.begun_s > self._settings.stable_s:
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
