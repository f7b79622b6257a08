"""One source opened for live reading: frames as they arrive, and trouble told in words."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from falldet.errors import FalldetError
from falldet.io.addresses import is_stream
from falldet.io.video import to_bgr
from falldet.io.video_info import FORMATS_WITHOUT_CLOCK

OPEN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 2.5
"""FFmpeg reports the first time-out of RTSP as a damaged packet; a silent stream ends after twice this time."""

MAX_SIDE = 4096
SMALL_FRAME = 1280 * 720
MAX_DAMAGED_PACKETS = 250
NETWORK_PROTOCOLS = "rtsp,rtsps,rtp,srtp,http,https,httpproxy,hls,tcp,udp,tls,crypto,data"
"""What a URL may lead FFmpeg to; a stream must not open local files."""

TIMED_BY_ARRIVAL = FORMATS_WITHOUT_CLOCK | {"v4l2", "video4linux2,v4l2"}
"""A webcam's own times are not used: drivers disagree about their clock."""

SEGMENTED = {"hls", "dash"}
"""Formats whose frames arrive in bursts, and are played in real time by their timestamps."""

SHIFT_S = 10.0
"""A played source that is late by more than this goes on from where it is."""


class SourceError(FalldetError):
    """A source can't be read: `reason` in words, without its address.

    Attributes:
        reason: what happened.
        needs_user: whether it stays until a person mends the address, the login or the configuration.
    """

    def __init__(self, reason: str, needs_user: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.needs_user = reason, needs_user


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """A decoded frame that has not been converted yet.

    Attributes:
        arrival_s: when it was decoded, steady seconds.
        source_s: its time by the source, seconds; None where the source has no clock.
        decoded: as FFmpeg gives it.
    """

    arrival_s: float
    source_s: float | None
    decoded: av.VideoFrame

    def image(self) -> np.ndarray:
        """Return the frame as (H, W, 3) uint8 BGR, turned upright."""
        return to_bgr(self.decoded)


class LiveSource:
    """A source opened once: its size and rate, then its frames.

    Used as a context manager. Frames of a stream are given as they arrive. Those of a file are given in real time.

    Args:
        address: a file, an RTSP or HTTP URL, or a webcam's number.
        now: returns steady seconds.
        stop: ends the frames soon after it is set.
        transport: of RTSP, "tcp" or "udp".
        fast: give the frames of a file without waiting, with arrival times as if they had been waited for.

    Raises:
        SourceError: it can't be opened, or has no video.
    """

    def __init__(
        self,
        address: str,
        now: Callable[[], float],
        stop: threading.Event,
        transport: str = "tcp",
        fast: bool = False,
    ) -> None:
        self._now, self._stop, self._fast = now, stop, fast
        self._is_file = not is_stream(address)
        self._container = _open(address, transport)
        stream = self._container.streams.video[0]
        self.width, self.height = stream.width, stream.height
        self.nominal_fps = round(float(stream.average_rate or stream.guessed_rate or 0), 2)
        if max(self.width, self.height) > MAX_SIDE:
            self.close()
            raise SourceError(f"frames of {self.width}x{self.height} are too large; {MAX_SIDE} is the limit", True)
        context: Any = stream.codec_context
        if self.width * self.height <= SMALL_FRAME:
            context.thread_count = 1
        else:
            context.thread_type = "SLICE"  # frame threads delay each frame by one more
        name = self._container.format.name
        self.has_clock = name not in TIMED_BY_ARRIVAL
        self._is_played = self._is_file or name in SEGMENTED or bool(self._container.duration)

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source; not while another thread reads it."""
        self._container.close()

    def frames(self) -> Iterator[LiveFrame]:
        """Yield the frames until a file ends or stop is set.

        Raises:
            SourceError: a stream ends or breaks, or nothing in it can be decoded.
        """
        start_s: float | None = None
        first_s = 0.0
        for decoded in self._decoded():
            source_s = float(decoded.time) if self.has_clock and decoded.time is not None else None
            arrival_s = self._now()
            if self._is_played and source_s is not None:
                if start_s is None or not arrival_s - (start_s + source_s - first_s) > -SHIFT_S or source_s < first_s:
                    start_s, first_s = arrival_s, source_s
                due_s = start_s + source_s - first_s
                if self._fast:
                    arrival_s = due_s
                elif self._stop.wait(max(0.0, due_s - arrival_s)):
                    return
                else:
                    arrival_s = self._now()
            yield LiveFrame(arrival_s, source_s, decoded)
        if not self._is_file and not self._stop.is_set():
            raise SourceError("the server ended the stream")

    def _decoded(self) -> Iterator[av.VideoFrame]:
        damaged = 0
        try:
            for packet in self._container.demux(video=0):
                if self._stop.is_set():
                    return
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    damaged += 1
                    if damaged > MAX_DAMAGED_PACKETS:
                        raise SourceError(f"{damaged} packets in a row can't be decoded") from None
                    continue
                for frame in frames:
                    if frame.width and frame.height:
                        damaged = 0
                        yield frame
        except av.error.FFmpegError as error:
            raise _source_error(error) from None


def open_options(address: str, transport: str = "tcp") -> tuple[str, str | None, dict[str, str]]:
    """Return FFmpeg's name of a source, its format where it must be told, and options for live reading."""
    if address.isdigit():
        return f"/dev/video{address}", "v4l2", {}
    if not is_stream(address):
        return address, None, {"protocol_whitelist": "file"}
    options = {"protocol_whitelist": NETWORK_PROTOCOLS}
    if re.match(r"rtsps?://", address, re.IGNORECASE):
        options |= {"rtsp_transport": transport, "analyzeduration": "500000"}
    return address, None, options


def _open(address: str, transport: str) -> av.container.InputContainer:
    if not is_stream(address) and not Path(address).is_file():
        raise SourceError("no such file", needs_user=True)
    name, form, options = open_options(address, transport)
    begun_s = time.monotonic()
    try:
        container = av.open(name, format=form, options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if time.monotonic() - begun_s >= 0.9 * OPEN_TIMEOUT_S:  # FFmpeg then speaks of invalid data
            raise SourceError("no answer in time") from None
        raise _source_error(error) from None
    if not container.streams.video:
        container.close()
        raise SourceError("the source holds no video", needs_user=True)
    return container


def _source_error(error: Exception) -> SourceError:
    for kind, reason, needs_user in (
        (av.error.HTTPUnauthorizedError, "user name or password is wrong (401)", True),
        (av.error.HTTPForbiddenError, "access is forbidden (403)", True),
        (av.error.HTTPNotFoundError, "the server has no such path (404)", True),
        (av.error.EOFError, "the server ended the stream", False),
        (av.error.ExitError, "no answer in time", False),
        (av.error.InvalidDataError, "what arrives is not video", False),
        (TimeoutError, "no answer in time", False),
        (ConnectionRefusedError, "connection refused", False),
        (ConnectionResetError, "the server broke the connection", False),
    ):
        if isinstance(error, kind):
            return SourceError(reason, needs_user)
    reason = getattr(error, "strerror", None) or type(error).__name__
    return SourceError(f"can't be read: {str(reason).lower()}")
