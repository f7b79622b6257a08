"""The state of a camera's reader, and the times that change it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
        stable_s: time with frames after which the wait starts from `first_retry_s` again.
    """

    stale_s: float = 3.0
    watchdog_s: float = 6.0
    connect_s: float = 15.0
    frozen_after_s: float = 60.0
    first_retry_s: float = 0.5
    max_retry_s: float = 30.0
    stable_s: float = 10.0

    def __post_init__(self) -> None:
        """Raise ValueError where a time is not positive or they are out of order."""
        if not 0 < self.stale_s < self.watchdog_s:
            raise ValueError(f"0 < stale_s < watchdog_s must hold, got {self.stale_s} and {self.watchdog_s}")
        if not 0 < self.first_retry_s <= self.max_retry_s:
            raise ValueError("0 < first_retry_s <= max_retry_s must hold")
        if self.frozen_after_s < 0 or self.connect_s <= 0 or self.stable_s < 0:
            raise ValueError("frozen_after_s, connect_s and stable_s must not be negative")


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
