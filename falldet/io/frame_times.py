"""Times of the frames of a source: ascending from 0 s, whatever its clock does."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)

GAP_S = 2.0
"""A step of the clock above this is told."""

LEAP_S = 10.0
"""A step above this is a leap of the clock where clocks leap: FFmpeg's `-dts_delta_threshold`."""

MAX_GAP_S = 30 * 3600.0
"""A step above this is a leap of the clock in any source: FFmpeg's `-dts_error_threshold`."""

BACK_S = 1.0
"""A step back by more than this is a leap; smaller ones are disorder of single frames."""

TOLD_STEPS = 3
"""Steps of the clock told one by one."""


class FrameTimes:
    """Gives each frame its time, by the timestamps of the container, by arrival, or by counting.

    A frame that is not later than the one before is moved one period behind it. A clock that leaps is set anew, so that
    time goes on by one period, or for a live source by the time that has passed. A gap in a recording is kept. Both are
    logged as warnings.

    Example:
        >>> times = FrameTimes("a.ts", 1 / 25, leaps=True)
        >>> [times.next(pts_s) for pts_s in (7.0, 7.04, 3607.08)]
        [0.0, 0.04, 0.08]

    Args:
        name: name of the source for messages.
        period_s: time between two frames where no timestamp tells it, seconds.
        leaps: whether a step above `LEAP_S` is a leap of the clock, as in transport streams, rather than a gap.
        live: whether frames arrive at their own rate, so that arrival tells leaps from gaps.
    """

    def __init__(self, name: str, period_s: float, leaps: bool = False, live: bool = False) -> None:
        self._name, self._period_s, self._leaps, self._live = name, period_s, leaps, live
        self._offset_s: float | None = None
        self._arrived_s = 0.0
        self._told = 0
        self.last_s = -period_s

    def next(self, pts_s: float | None, arrived_s: float = 0.0) -> float:
        """Return the time of the next frame, seconds.

        Args:
            pts_s: its timestamp, seconds; None where it has none.
            arrived_s: when it arrived, steady seconds; used for a live source only.
        """
        passed_s, self._arrived_s = arrived_s - self._arrived_s, arrived_s
        if pts_s is None:
            time_s = self.last_s + self._period_s
        elif self._offset_s is None:
            time_s = self.last_s + self._period_s
            self._offset_s = time_s - pts_s
        else:
            time_s = self._by_clock(pts_s, passed_s)
        self.last_s = time_s
        return time_s

    def _by_clock(self, pts_s: float, passed_s: float) -> float:
        assert self._offset_s is not None  # noqa: S101
        time_s = pts_s + self._offset_s
        step_s = time_s - self.last_s
        if -BACK_S <= step_s <= max(GAP_S, 5 * self._period_s):
            return time_s if step_s > 0 else self.last_s + self._period_s
        if step_s > 0 and not self._is_leap(step_s, passed_s):
            self._tell(f"no frames from {self.last_s:.1f} to {time_s:.1f} s")
            return time_s
        self._tell(f"the clock leaps by {step_s:+.1f} s at {self.last_s:.1f} s; the frames are taken as continuous")
        time_s = self.last_s + (max(self._period_s, passed_s) if self._live else self._period_s)
        self._offset_s = time_s - pts_s
        return time_s

    def _is_leap(self, step_s: float, passed_s: float) -> bool:
        if self._live:
            return step_s > passed_s + LEAP_S
        return step_s > (LEAP_S if self._leaps else MAX_GAP_S)

    def _tell(self, sentence: str) -> None:
        self._told += 1
        if self._told <= TOLD_STEPS:
            more = "; further ones are not told" if self._told == TOLD_STEPS else ""
            logger.warning("%s: %s%s", self._name, sentence, more)
