"""Video input with PyAV: frames with exact timestamps from files, network streams and webcams.

No more than a few frames are in memory at once. `falldet.io.video_writer` is the way out.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import cv2
import numpy as np

from falldet.errors import FalldetError
from falldet.io.addresses import is_stream, redacted
from falldet.types import Frame

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for names in (
        "mp4 m4v mov avi mkv webm wmv asf flv f4v 3gp 3g2 ogv divx mxf",
        "mpg mpeg m2v mpe vob ts mts m2ts m2t dav",
        "264 h264 265 h265 hevc mjpg mjpeg y4m",
    )
    for name in names.split()
)
DEFAULT_FPS = 25.0
"""Frame rate assumed for a source that states none."""

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0
MISSING_SHARE = 0.05
"""A file that lacks more than this share of both its frames and its length is reported as truncated."""

_SMALL_FRAME_PIXELS = 1280 * 720
_ROTATIONS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


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


class VideoReader:
    """An opened source: its metadata and its frames, for one opening of the file, stream or webcam.

    Times come from the container's own timestamps, so variable frame rates stay exact; where timestamps are missing,
    the nominal rate fills in. The first frame is at 0 s. Rotation metadata is applied. A truncated file yields the
    frames before the break, and frames that can't be decoded are skipped; both are logged as warnings.

    Args:
        source: a file, an RTSP or HTTP URL, or the index of a webcam.

    Attributes:
        source: as given.
        info: metadata of the source.

    Raises:
        FalldetError: the source can't be opened or has no video.

    Example:
        >>> with VideoReader("video.mp4") as reader:
        ...     print(reader.info.fps)
        ...     for frame in reader.frames():
        ...         print(frame.time_s, frame.image.shape)
    """

    def __init__(self, source: str | Path) -> None:
        self.source = source
        self._container = _open(source)
        self.info = _info(self._container)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source."""
        self._container.close()

    def frames(self) -> Generator[Frame, None, None]:
        """Yield the frames in presentation order, once.

        Raises:
            FalldetError: not a single frame can be decoded.
        """
        stream = self._container.streams.video[0]
        stream.codec_context.thread_count = codec_threads(stream.width, stream.height)
        stream.thread_type = "AUTO"
        period_s = 1.0 / self.info.fps
        index, first_s, last_s = 0, None, -period_s
        for decoded in _decode(self._container, self.source):
            pts_s = decoded.time
            if pts_s is not None and first_s is None:
                first_s = pts_s - (last_s + period_s)
            time_s = pts_s - first_s if pts_s is not None and first_s is not None else last_s + period_s
            if time_s <= last_s:  # a repeated or backward timestamp
                time_s = last_s + period_s
            yield Frame(index, float(time_s), to_bgr(decoded))
            index, last_s = index + 1, time_s
        if index == 0:
            raise FalldetError(f"no frame could be read from {redacted(self.source)}; is the file complete?")
        self._warn_if_truncated(index, last_s + period_s)

    def _warn_if_truncated(self, count: int, length_s: float) -> None:
        stream = self._container.streams.video[0]
        stated, stated_s = stream.frames, float((stream.duration or 0) * (stream.time_base or 0))
        if count < stated * (1 - MISSING_SHARE) and length_s < stated_s * (1 - MISSING_SHARE):
            name = redacted(self.source)
            logger.warning("%s is truncated: it has %d of %d frames; these are used", name, count, stated)


def probe(source: str | Path) -> VideoInfo:
    """Return the metadata of `source`; raises FalldetError where it can't be opened as video.

    Opens the source for this alone; `VideoReader.info` has the same for one opening.
    """
    with VideoReader(source) as reader:
        return reader.info


def read_frames(source: str | Path) -> Generator[Frame, None, None]:
    """Yield the frames of a file, an RTSP or HTTP URL, or the index of a webcam; see `VideoReader`.

    Example:
        >>> for frame in read_frames("video.mp4"):
        ...     print(frame.index, frame.time_s, frame.image.shape)

    Raises:
        FalldetError: the source can't be opened, has no video, or not a single frame can be decoded.
    """
    with VideoReader(source) as reader:
        yield from reader.frames()


def _info(container: av.container.InputContainer) -> VideoInfo:
    stream = container.streams.video[0]
    fps = _frame_rate(stream)
    duration_s = None
    if stream.duration and stream.time_base:
        duration_s = float(stream.duration * stream.time_base)
    elif container.duration:
        duration_s = container.duration / av.time_base
    frames = stream.frames or (round(duration_s * fps) if duration_s else None)
    return VideoInfo(fps, frames, duration_s)


def _open(source: str | Path) -> av.container.InputContainer:
    name, options, form = str(source), {}, None
    if name.isdigit():
        name, form = f"/dev/video{name}", "v4l2"
    elif name.startswith("rtsp://"):
        options = {"rtsp_transport": "tcp"}
    elif not is_stream(source):
        _check_file(Path(source))
    try:
        container = av.open(name, format=form, options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        cure = "check the address" if is_stream(source) else "is it a complete video?"
        raise FalldetError(f"can't read {redacted(source)} as video: {reason}; {cure}") from None
    if not container.streams.video:
        container.close()
        raise FalldetError(f"{redacted(source)} holds no video, only other streams; give a video file")
    return container


def _check_file(path: Path) -> None:
    if not path.exists():
        raise FalldetError(f"no such video: {path}; check the path")
    if path.is_dir():
        raise FalldetError(f"{path} is a folder; give one video file")
    if path.stat().st_size == 0:
        raise FalldetError(f"{path} is empty (0 bytes); copy it again")


def _decode(container: av.container.InputContainer, source: str | Path) -> Iterator[av.VideoFrame]:
    damaged = 0
    try:
        for packet in container.demux(video=0):
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                damaged += 1
                continue
            yield from (frame for frame in decoded if frame.width and frame.height)
    except av.error.FFmpegError as error:
        logger.warning("%s is truncated (%s); the frames before are used", redacted(source), error.strerror)
    if damaged:
        logger.warning("%s: %d damaged frames are skipped", redacted(source), damaged)


def _frame_rate(stream: av.VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate < 1000:
            return float(rate)
    return DEFAULT_FPS


def to_bgr(frame: av.VideoFrame) -> np.ndarray:
    """Return a decoded frame as (H, W, 3) uint8 BGR, rotated as its metadata says."""
    # One thread: for a frame of ordinary size, waking others takes longer than the conversion.
    image = frame.reformat(format="bgr24", threads=1).to_ndarray()
    rotation = _ROTATIONS.get(round(frame.rotation) % 360)
    return image if rotation is None else cv2.rotate(image, rotation)
