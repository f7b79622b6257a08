"""Times of a camera: one steady time line from start to stop, and UTC only at its border."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

logger = logging.getLogger(__name__)

WINDOW_S = 30.0
SLEW_S_PER_S = 0.005
STEP_S = 1.0
MIN_STEP_S = 0.001
PAIR_EVERY_S = 10.0
JUMP_S = 2.0


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


class SteadyClock:
    """Seconds since the service started: no change of the system's clock moves them, a suspended machine stops them."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start_s


class WallClock:
    """Turns steady seconds into UTC by a pair of both that is taken anew now and then; a jump is logged once.

    Args:
        steady: returns steady seconds.
        utc: returns UTC.
    """

    def __init__(self, steady: Callable[[], float], utc: Callable[[], datetime] = utc_now) -> None:
        self._steady, self._utc = steady, utc
        self._pair = steady(), utc()
        self.jumps = 0

    def update(self) -> None:
        """Take a new pair where the last one is old."""
        now_s = self._steady()
        if now_s - self._pair[0] < PAIR_EVERY_S:
            return
        now = self._utc()
        jump_s = (now - self.at(now_s)).total_seconds()
        if abs(jump_s) > JUMP_S:
            self.jumps += 1
            logger.warning(
                "the system's clock has jumped by %+.0f s, or the machine slept; durations are not changed", jump_s
            )
        self._pair = now_s, now

    def at(self, time_s: float) -> datetime:
        """Return the UTC time of `time_s`."""
        return self._pair[1] + timedelta(seconds=time_s - self._pair[0])

    def seconds(self, moment: datetime) -> float:
        """Return the steady seconds of a UTC time; negative before the start."""
        return self._pair[0] + (moment - self._pair[1]).total_seconds()


class CameraClock:
    """Puts the frames of one camera on the steady time line.

    A frame's time is its source time plus an offset: the smallest (arrival - source time) of the last `WINDOW_S`, which
    falls at once and rises by at most `SLEW_S_PER_S`. So jitter of the network does not reach the windows, and drift
    of the camera's clock does so slowly. A step of the source time by more than `STEP_S` starts a new offset. Times
    ascend, and none is later than its arrival but by the smallest step.
    """

    def __init__(self) -> None:
        self._last_s = -1.0
        self.restart()

    def restart(self) -> None:
        """Forget the offset: the next frame is of a new connection."""
        self._offset_s: float | None = None
        self._updated_s = 0.0
        self._minima: deque[tuple[float, float]] = deque()  # (arrival, arrival - source), the second ascending

    def time(self, arrival_s: float, source_s: float | None) -> float:
        """Return a frame's time in steady seconds.

        Args:
            arrival_s: when the frame arrived, steady seconds.
            source_s: what the source says; None where it has no clock, and the arrival counts.
        """
        time_s = arrival_s if source_s is None else min(arrival_s, source_s + self._offset(arrival_s, source_s))
        self._last_s = max(time_s, self._last_s + MIN_STEP_S)
        return self._last_s

    def _offset(self, arrival_s: float, source_s: float) -> float:
        delay_s = arrival_s - source_s
        if self._minima and not -STEP_S < delay_s - self._minima[-1][1] < STEP_S + (arrival_s - self._minima[-1][0]):
            self.restart()
        while self._minima and self._minima[-1][1] >= delay_s:
            self._minima.pop()
        self._minima.append((arrival_s, delay_s))
        while self._minima[0][0] < arrival_s - WINDOW_S:
            self._minima.popleft()
        lowest_s = self._minima[0][1]
        if self._offset_s is None or lowest_s <= self._offset_s:
            self._offset_s = lowest_s
        else:
            self._offset_s += min(lowest_s - self._offset_s, SLEW_S_PER_S * (arrival_s - self._updated_s))
        self._updated_s = arrival_s
        return self._offset_s
