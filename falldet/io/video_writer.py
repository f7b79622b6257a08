"""Video output with PyAV: H.264 in an .mp4, each frame at its own time, playable at any moment."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from fractions import Fraction
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import cv2
import numpy as np

from falldet.errors import FalldetError
from falldet.io.video_info import DEFAULT_FPS, codec_threads

TIME_BASE = Fraction(1, 90_000)
PRESET = "ultrafast"
"""x264's: half the processor time of "superfast" at equal quality, for 1.2 to 1.8 times the bytes."""


UNFINISHED = ".unfinished"
"""Stands before the suffix while a video is written."""

FRAGMENT_S = 1.0
"""A killed process loses at most the video of this time. Higher: a smaller unfinished file."""


class _WholeWrites(io.FileIO):
    """A file without a buffer, so that nothing is lost with the process, that writes all it is given or raises."""

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        written = 0
        while written < len(view):
            written += super().write(view[written:]) or 0
        return written


class VideoWriter:
    """Writes frames as H.264 in an .mp4; the file appears under its name when it is complete.

    Until then it is NAME.unfinished.mp4 in the same folder, which plays at any moment, also after the process was
    killed: FFmpeg writes it in fragments and makes an ordinary file of it at the end.

    A context manager. Leaving it through an exception discards the file, except for Ctrl-C, which keeps the frames
    written so far. Without a frame there is no file.

    Args:
        path: the .mp4 file; missing folders are created.
        fps: nominal frame rate stated to players; each frame's own time decides when it is shown.
        crf: x264 quality. Higher: a smaller file, more artifacts.

    Raises:
        FalldetError: the folder can't be written, at the first frame; or the disk is full.

    Example:
        >>> with VideoWriter("copy.mp4") as writer:
        ...     for frame in read_frames("video.mp4"):
        ...         writer.write(frame.image, frame.time_s)
    """

    def __init__(self, path: str | Path, fps: float = DEFAULT_FPS, crf: int = 23) -> None:
        self.path = Path(path)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._crf = crf
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._file: io.FileIO | None = None  # from the first frame on
        self._last_pts = -1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(keep=kind is None or issubclass(kind, KeyboardInterrupt))

    def write(self, image: np.ndarray, time_s: float) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 BGR; resized where it differs in size from the first one. Odd sides grow by a pixel.
            time_s: when it is shown, seconds. A time that does not ascend is moved behind the last one.
        """
        image = _even(image)
        if self._stream is None:
            self._start(image.shape[1], image.shape[0])
        assert self._stream is not None  # noqa: S101
        assert self._container is not None  # noqa: S101
        if image.shape[:2] != (self._stream.height, self._stream.width):
            image = cv2.resize(image, (self._stream.width, self._stream.height))
        # OpenCV's conversion takes a fifth of FFmpeg's time.
        frame = av.VideoFrame.from_ndarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), format="yuv420p")
        self._last_pts = max(round(time_s / TIME_BASE), self._last_pts + 1)
        frame.pts = self._last_pts
        frame.time_base = TIME_BASE
        try:
            self._container.mux(self._stream.encode(frame))
        except (OSError, av.error.FFmpegError) as error:
            raise self._failure(error) from None

    def close(self, keep: bool = True) -> None:
        """Complete the file and give it its name; with keep=False discard it."""
        if self._file is None or self._container is None or self._stream is None:
            return
        file, container = self._file, self._container
        self._file = self._container = None
        unfinished = Path(os.fsdecode(file.name))
        try:
            if keep:
                container.mux(self._stream.encode(None))
                container.close()
                file.close()
                os.replace(unfinished, self.path)
        except (OSError, av.error.FFmpegError) as error:
            raise self._failure(error) from None
        finally:
            _abandon(container)
            file.close()
            unfinished.unlink(missing_ok=True)

    def _start(self, width: int, height: int) -> None:
        self._file = self._create()
        movflags = "+frag_keyframe+hybrid_fragmented"
        options = {"movflags": movflags, "frag_duration": f"{FRAGMENT_S * 1e6:.0f}", "flush_packets": "1"}
        self._container = av.open(self._file, "w", format="mp4", options=options)
        stream = self._container.add_stream("libx264", rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        stream.codec_context.thread_count = codec_threads(width, height)
        stream.options = {"preset": PRESET, "crf": str(self._crf)}
        self._stream = stream

    def _create(self) -> io.FileIO:
        """Create the unfinished file; its name is numbered where another one, of a killed process, is in the way."""
        for number in count(1):
            suffix = UNFINISHED if number == 1 else f"{UNFINISHED}-{number}"
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return _WholeWrites(self.path.with_name(f"{self.path.stem}{suffix}{self.path.suffix}"), "x+")
            except FileExistsError as error:
                if self.path.parent.is_dir():
                    continue
                raise self._failure(error) from None
            except OSError as error:
                raise self._failure(error) from None
        raise AssertionError

    def _failure(self, error: OSError | av.error.FFmpegError) -> FalldetError:
        return FalldetError(f"can't write {self.path}: {error.strerror}; make room or choose another place")


def _abandon(container: av.container.OutputContainer) -> None:
    """Close a container that may have failed, whatever it says."""
    with suppress(OSError, ValueError, av.error.FFmpegError):
        container.close()


def _even(image: np.ndarray) -> np.ndarray:
    """Repeat the last row or column of an odd-sized image: H.264 in 4:2:0 needs even sides."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return image
