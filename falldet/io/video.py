"""Video in and out with PyAV: frames with exact timestamps from files and streams, H.264 out at the source's timing.

Never more than a few frames are in memory at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import av.error
import cv2
import numpy as np

from falldet.errors import FalldetError
from falldet.types import Frame

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp"}
)
OUTPUT_TIME_BASE = Fraction(1, 90_000)
DEFAULT_FPS = 25.0
OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0
PRESET = "ultrafast"
"""x264's: half the processor time of "superfast", as true to the picture, at 1.2 to 1.8 times the bytes."""

FORMATS_WITHOUT_CLOCK = frozenset({"mpjpeg"})
"""Formats timed by arrival: multipart JPEG over HTTP carries no times, and FFmpeg assumes 25 frames a second."""

SMALL_PICTURE = 1280 * 720
MISSING_SHARE = 0.05
"""A file with this share of its frames and of its length missing is reported as broken off."""

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a source says of itself before decoding; `frames` and `duration_s` are None where it doesn't say."""

    fps: float
    frames: int | None
    duration_s: float | None


def is_stream(source: str | Path) -> bool:
    """Return True for a URL (rtsp://...) or a webcam number, False for a file's path."""
    return bool(re.match(r"^([a-z][a-z0-9+.-]+://|\d+$)", str(source)))


def redacted(source: str | Path) -> str:
    """Return what messages call a source: a path, or an address without name and password."""
    return re.sub(r"(?<=://)[^/]*@", "", str(source)) if is_stream(source) else str(source)


class VideoReader:
    """A source opened once: what it says of itself, then its frames.

    Used as a context manager. Times come from the container's own timestamps, so variable frame rates stay exact;
    where timestamps are missing the nominal rate fills in. Multipart JPEG over HTTP is timed by arrival. Rotation metadata is applied. A file that breaks off in the
    middle yields the frames before the break, and images that can't be decoded are left out; both are logged as
    warnings.

    Args:
        source: a file, an RTSP or HTTP URL, or a webcam's number.

    Raises:
        FalldetError: the source can't be opened or has no video.
    """

    def __init__(self, source: str | Path) -> None:
        self.source = source
        self._container = _open(source)
        self.info = _info(self._container)
        self._has_clock = self._container.format.name not in FORMATS_WITHOUT_CLOCK

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source."""
        self._container.close()

    def frames(self) -> Generator[Frame, None, None]:
        """Yield the frames in the order they are shown; raises FalldetError where there is not a single one."""
        stream = self._container.streams.video[0]
        stream.codec_context.thread_count = _threads(stream.width, stream.height)
        stream.thread_type = "AUTO"
        period_s = 1.0 / self.info.fps
        index, first_s, last_s = 0, None, -period_s
        for image in _decode(self._container, self.source):
            shown_s = image.time if self._has_clock else time.monotonic()
            if shown_s is not None and first_s is None:
                first_s = shown_s - (last_s + period_s)
            time_s = shown_s - first_s if shown_s is not None and first_s is not None else last_s + period_s
            if time_s <= last_s:  # a repeated or backward timestamp
                time_s = last_s + period_s
            yield Frame(index, float(time_s), upright(image))
            index, last_s = index + 1, time_s
        if index == 0:
            raise FalldetError(f"no frame could be read from {redacted(self.source)}; is the file complete?")
        self._warn_if_broken_off(index, last_s + period_s)

    def _warn_if_broken_off(self, count: int, length_s: float) -> None:
        stream = self._container.streams.video[0]
        promised, promised_s = stream.frames, float((stream.duration or 0) * (stream.time_base or 0))
        if count < promised * (1 - MISSING_SHARE) and length_s < promised_s * (1 - MISSING_SHARE):
            name = redacted(self.source)
            logger.warning("%s breaks off: it has %d of %d frames; these are used", name, count, promised)


def probe(source: str | Path) -> VideoInfo:
    """Return what `source` says of itself; raises FalldetError where it can't be read as video."""
    with VideoReader(source) as reader:
        return reader.info


def read_frames(source: str | Path) -> Generator[Frame, None, None]:
    """Yield the frames of a file, an RTSP or HTTP URL, or a webcam number; see `VideoReader`.

    Example:
        >>> for frame in read_frames("video.mp4"):
        ...     print(frame.index, frame.time_s, frame.image.shape)

    Raises:
        FalldetError: the source can't be opened, has no video or yields not a single frame.
    """
    with VideoReader(source) as reader:
        yield from reader.frames()


class VideoWriter:
    """Writes H.264 in an .mp4, frame by frame at given times; the file appears only when it is complete.

    Used as a context manager. Leaving it through an exception, Ctrl-C included, keeps what was written so far only if
    the file could be closed properly; a half-written file never carries the final name.

    Args:
        path: where the video goes; folders are made.
        fps: nominal rate for players; each frame's own time decides when it is shown.
        crf: x264 quality, lower is better and larger.
    """

    def __init__(self, path: str | Path, fps: float = DEFAULT_FPS, crf: int = 23) -> None:
        self.path = Path(path)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._crf = crf
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._part: Path | None = None
        self._last_pts = -1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(keep=kind is None or issubclass(kind, KeyboardInterrupt))

    def write(self, image: np.ndarray, time_s: float) -> None:
        """Append `image` (H, W, 3) uint8 BGR, shown from `time_s` on; times must ascend."""
        image = _even(image)
        if self._stream is None:
            self._start(image.shape[1], image.shape[0])
        assert self._stream is not None  # noqa: S101
        assert self._container is not None  # noqa: S101
        if image.shape[:2] != (self._stream.height, self._stream.width):
            image = cv2.resize(image, (self._stream.width, self._stream.height))
        # OpenCV's conversion takes a fifth of FFmpeg's time.
        picture = av.VideoFrame.from_ndarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), format="yuv420p")
        self._last_pts = max(round(time_s / OUTPUT_TIME_BASE), self._last_pts + 1)
        picture.pts = self._last_pts
        picture.time_base = OUTPUT_TIME_BASE
        self._container.mux(self._stream.encode(picture))

    def close(self, keep: bool = True) -> None:
        """Finish the file and give it its name, or with keep=False remove it."""
        if self._container is None or self._stream is None or self._part is None:
            return
        container, self._container = self._container, None
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(container.close)
                if keep:
                    container.mux(self._stream.encode(None))
            if keep:
                self._part.chmod(0o644)
                os.replace(self._part, self.path)
        finally:
            self._part.unlink(missing_ok=True)

    def _start(self, width: int, height: int) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.stem}.", suffix=".mp4", dir=self.path.parent)
        except OSError as error:
            raise FalldetError(f"can't write {self.path}: {error.strerror}; choose another --out-dir") from None
        os.close(descriptor)
        self._part = Path(name)
        self._container = av.open(name, "w", format="mp4", options={"movflags": "+faststart"})
        stream = self._container.add_stream("libx264", rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = OUTPUT_TIME_BASE
        stream.codec_context.thread_count = _threads(width, height)
        stream.options = {"preset": PRESET, "crf": str(self._crf)}
        self._stream = stream


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
                pictures = packet.decode()
            except av.error.InvalidDataError:
                damaged += 1
                continue
            yield from (picture for picture in pictures if picture.width and picture.height)
    except av.error.FFmpegError as error:
        logger.warning("%s breaks off (%s); what came before is used", redacted(source), error.strerror)
    if damaged:
        logger.warning("%s: %d damaged pictures are left out", redacted(source), damaged)


def _frame_rate(stream: av.VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate < 1000:
            return float(rate)
    return DEFAULT_FPS


def _threads(width: int, height: int) -> int:
    """Return how many threads code such pictures: 0 leaves it to the codec, which wastes some on small ones."""
    return 1 if width * height <= SMALL_PICTURE else 0


def upright(picture: av.VideoFrame) -> np.ndarray:
    """Return a decoded picture as (H, W, 3) uint8 BGR, its rotation metadata applied."""
    # One thread: for a picture of ordinary size, waking others takes longer than the conversion.
    image = picture.reformat(format="bgr24", threads=1).to_ndarray()
    turn = _TURNS.get(round(picture.rotation) % 360)
    return image if turn is None else cv2.rotate(image, turn)


def _even(image: np.ndarray) -> np.ndarray:
    """Repeat the last row or column of an odd-sized image: H.264 in 4:2:0 needs even sides."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return image
