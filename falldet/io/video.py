"""Video input with PyAV: frames with exact timestamps from files, pipes, network streams and webcams.

No more than a few frames are in memory at once. `falldet.io.video_writer` is the way out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import av.error
import cv2
import numpy as np

from falldet.errors import FalldetError
from falldet.io import container as opening
from falldet.io.addresses import redacted
from falldet.io.container import open_source
from falldet.io.frame_times import FrameTimes
from falldet.io.source_kind import SourceKind
from falldet.io.video_info import FORMATS_WITHOUT_CLOCK, VideoInfo, codec_threads, info_of, sample_aspect, stated_rate
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
MISSING_SHARE = 0.05
"""A file that lacks more than this share of both its frames and its length is reported as truncated."""

Rotation = Literal[0, 90, 180, 270]

_TS_DISCONT = 0x0200
"""FFmpeg's AVFMT_TS_DISCONT: the clock of the format may leap."""

_CLOCKWISE = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How images are read.

    Attributes:
        rotate: degrees clockwise by which images are turned after the rotation that the file states: 0, 90, 180 or 270.
            For a camera mounted sideways or upside down: people must stand upright.
    """

    rotate: Rotation = 0


class VideoReader:
    """A source opened once: its metadata and its frames.

    Times come from the container's own timestamps, so variable frame rates stay exact; where timestamps are missing,
    the nominal rate or the arrival fills in, see `FrameTimes`. The first frame is at 0 s. Rotation metadata is applied,
    and pixels that are not square are made so by enlarging the image. Of several video tracks the film is read, not a
    cover image or a preview. A truncated file yields the frames before the break, and frames that can't be decoded
    are skipped; both are logged as warnings.

    Args:
        source: a file, a pipe, an RTSP or HTTP URL, or the number or device of a webcam.
        rotate: degrees clockwise by which images are turned: 0, 90, 180 or 270.

    Attributes:
        source: as given.
        info: metadata of the source.
        is_live: whether frames come at their own rate, and may stop coming.
        broken_off: once the frames have ended, why a live source gave no more; empty for a source that is complete.

    Raises:
        FalldetError: the source can't be opened or has no video that can be decoded.

    Example:
        >>> with VideoReader("video.mp4") as reader:
        ...     print(reader.info.fps)
        ...     for frame in reader.frames():
        ...         print(frame.time_s, frame.image.shape)
    """

    def __init__(self, source: str | Path, rotate: Rotation = 0) -> None:
        self.source, self._rotate = source, rotate
        self._name = redacted(source)
        self._opened = open_source(source, self._name)
        self._reading, self._closed = threading.Lock(), False  # the lock is held while FFmpeg works on the container
        self.info = info_of(self._opened)
        self.is_live = self._opened.kind.is_live
        self.broken_off = ""

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source; one that another thread still waits for is left to the end of the process."""
        self._closed = True
        if self._reading.acquire(timeout=0.5):
            self._opened.container.close()
            self._reading.release()

    def frames(self) -> Generator[Frame, None, None]:
        """Yield the frames in presentation order, once.

        Raises:
            FalldetError: not a single frame can be decoded.
        """
        track, index = self._opened.track, 0
        track.codec_context.thread_count = codec_threads(track.width, track.height)
        track.codec_context.thread_type = "AUTO"
        times, by_container = self._times()
        aspect = sample_aspect(track, self._name)
        for decoded in self._decode():
            now_s = time.monotonic()
            pts_s = now_s if by_container is None else decoded.time if by_container else None
            time_s = times.next(pts_s, now_s)
            yield Frame(index, float(time_s), to_bgr(decoded, self._rotate, aspect))
            index += 1
        if index == 0:
            reason = f": {self.broken_off}" if self.broken_off else "; is the file complete?"
            raise FalldetError(f"no frame could be read from {self._name}{reason}")
        self._tell_end(index, times.last_s + 1 / self.info.fps)

    def _times(self) -> tuple[FrameTimes, bool | None]:
        """Return the clock, and whether it takes the container's timestamps; None: it takes the arrival."""
        opened, form = self._opened, self._opened.container.format
        has_clock = form.name not in FORMATS_WITHOUT_CLOCK
        leaps = bool(form.flags & _TS_DISCONT)
        times = FrameTimes(self._name, 1 / self.info.fps, leaps, self.is_live and not self.info.duration_s)
        if has_clock:
            return times, True
        if stated_rate(opened.track) is None:
            if self.is_live:
                return times, None
            cure = "if that is wrong: ffmpeg -r RATE -i IN -c copy OUT.mp4"
            logger.warning("%s states no frame rate; %g a second are assumed; %s", self._name, self.info.fps, cure)
        return times, False

    def _decode(self) -> Iterator[av.VideoFrame]:
        packets, damaged, seen_s = self._opened.packets(), 0, time.monotonic()
        while (packet := self._next_packet(packets)) is not None:
            try:
                for frame in self._decoded(packet):
                    yield frame
                    seen_s = time.monotonic()
            except av.error.FFmpegError:
                damaged += 1
            if self.is_live and time.monotonic() - seen_s > opening.READ_TIMEOUT_S:
                self.broken_off = f"no image for {opening.READ_TIMEOUT_S:g} s, though other data came"
                break
        if damaged:
            logger.warning("%s: %d damaged frames are skipped", self._name, damaged)

    def _next_packet(self, packets: Iterator[av.Packet]) -> av.Packet | None:
        try:
            with self._reading:  # a closed container must not be read
                return None if self._closed else next(packets, None)
        except av.error.FFmpegError as error:
            if self.is_live:
                silent = isinstance(error, av.error.ExitError)
                self.broken_off = f"no data for {opening.READ_TIMEOUT_S:g} s" if silent else str(error.strerror)
            else:
                logger.warning("%s is truncated (%s); the frames before are used", self._name, error.strerror)
            return None

    def _decoded(self, packet: av.Packet) -> list[av.VideoFrame]:
        if packet.stream.index != self._opened.track.index:  # stream_index of the last, empty packets is 0
            return []
        with self._reading:
            frames = [] if self._closed else packet.decode()
        return [frame for frame in frames if isinstance(frame, av.VideoFrame) and frame.width and frame.height]

    def _tell_end(self, count: int, length_s: float) -> None:
        """Tell a file that is truncated; tell a live source that broke off."""
        if not self.is_live:
            self._warn_if_truncated(count, length_s)
            return
        stated_s = self.info.duration_s
        if stated_s and length_s >= stated_s * (1 - MISSING_SHARE) - 1:
            self.broken_off = ""
        elif not self.broken_off and self._opened.kind is not SourceKind.PIPE:
            self.broken_off = (
                "the server ended it" if self._opened.kind is SourceKind.ADDRESS else "the camera ended it"
            )
        if self.broken_off:
            logger.warning("%s broke off after %.1f s: %s", self._name, length_s, self.broken_off)

    def _warn_if_truncated(self, count: int, length_s: float) -> None:
        track = self._opened.track
        stated, stated_s = track.frames, float((track.duration or 0) * (track.time_base or 0))
        if count < stated * (1 - MISSING_SHARE) and length_s < stated_s * (1 - MISSING_SHARE):
            logger.warning("%s is truncated: it has %d of %d frames; these are used", self._name, count, stated)


def probe(source: str | Path) -> VideoInfo:
    """Return the metadata of `source`; raises FalldetError where it can't be opened as video.

    Opens the source for this alone; `VideoReader.info` has the same for one opening.
    """
    with VideoReader(source) as reader:
        return reader.info


def read_frames(source: str | Path, rotate: Rotation = 0) -> Generator[Frame, None, None]:
    """Yield the frames of a file, a pipe, an RTSP or HTTP URL, or a webcam; see `VideoReader`.

    Example:
        >>> for frame in read_frames("video.mp4"):
        ...     print(frame.index, frame.time_s, frame.image.shape)

    Raises:
        FalldetError: the source can't be opened, has no video, or not a single frame can be decoded.
    """
    with VideoReader(source, rotate) as reader:
        yield from reader.frames()


def to_bgr(frame: av.VideoFrame, rotate: Rotation = 0, sample_aspect: float = 1.0) -> np.ndarray:
    """Return a decoded frame as (H, W, 3) uint8 BGR, with square pixels and rotated as its metadata says.

    Args:
        frame: as FFmpeg gives it.
        rotate: degrees clockwise by which it is turned further.
        sample_aspect: width of a pixel divided by its height; the image is enlarged to make pixels square.
    """
    # One thread: for a frame of ordinary size, waking others takes longer than the conversion.
    image = frame.reformat(format="bgr24", threads=1).to_ndarray()
    if sample_aspect != 1:
        height, width = image.shape[:2]
        size = (round(width * max(sample_aspect, 1.0)), round(height * max(1 / sample_aspect, 1.0)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    rotation = _CLOCKWISE.get((rotate - round(frame.rotation)) % 360)
    return image if rotation is None else cv2.rotate(image, rotation)
