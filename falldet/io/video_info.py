"""What a source states of itself: frame rate, length, the shape of its pixels."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import av

from falldet.io.container import OpenSource

logger = logging.getLogger(__name__)

DEFAULT_FPS = 25.0
"""Frame rate assumed for a source that states none."""

FORMATS_WITHOUT_CLOCK = frozenset(
    {"mpjpeg", "mjpeg", "h264", "hevc", "vvc", "m4v", "mpegvideo", "h263", "h261", "cavsvideo", "dirac", "vc1", "obu"}
)
"""Formats without times, to which FFmpeg gives 25 frames a second.

Multipart JPEG over a network is timed by arrival. A raw codec is timed by the rate that the codec states.
"""

MAX_SAMPLE_ASPECT = 4
"""Pixels more elongated than this are a damaged header, and taken for square."""

_SMALL_FRAME_PIXELS = 1280 * 720


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Metadata of a source, from its container, before any frame is decoded.

    Attributes:
        fps: nominal frame rate; `DEFAULT_FPS` where the container has none.
        frames: number of frames; None where it is unknown, as for a live stream.
        duration_s: length in seconds; None where it is unknown.
    """

    fps: float
    frames: int | None
    duration_s: float | None


def codec_threads(width: int, height: int) -> int:
    """Return the number of threads to decode or encode frames of this size with.

    0 leaves the choice to the codec, whose threads cost more than they bring up to 1280 x 720 pixels.
    """
    return 1 if width * height <= _SMALL_FRAME_PIXELS else 0


def info_of(opened: OpenSource) -> VideoInfo:
    """Return what the container of an opened source states."""
    track, container = opened.track, opened.container
    fps = _frame_rate(opened)
    duration_s = None
    if track.duration and track.time_base:
        duration_s = float(track.duration * track.time_base)
    elif container.duration:
        duration_s = container.duration / av.time_base
    frames = track.frames or (round(duration_s * fps) if duration_s else None)
    return VideoInfo(fps, frames, duration_s)


def _frame_rate(opened: OpenSource) -> float:
    track = opened.track
    if opened.container.format.name in FORMATS_WITHOUT_CLOCK:
        return stated_rate(track) or DEFAULT_FPS
    for rate in (track.average_rate, track.guessed_rate, track.base_rate):
        if rate and 0 < rate < 1000:
            return float(rate)
    return DEFAULT_FPS


def stated_rate(track: av.VideoStream) -> float | None:
    """Return the frame rate that a raw codec states in its own headers."""
    rate = track.codec_context.framerate
    return float(rate) if rate and 0 < rate < 1000 else None


def sample_aspect(track: av.VideoStream, name: str) -> float:
    """Return the width of a pixel of the track divided by its height; `name` is that of the source for messages."""
    aspect = float(track.sample_aspect_ratio or 1)
    if 1 / MAX_SAMPLE_ASPECT <= aspect <= MAX_SAMPLE_ASPECT:
        return aspect
    logger.warning("%s states pixels %g times as wide as high; they are taken for square", name, aspect)
    return 1.0
