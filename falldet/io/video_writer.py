"""Video output with PyAV: H.264 in an .mp4, each frame at its own time."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np

from falldet.io.files import atomic_path
from falldet.io.video_info import DEFAULT_FPS, codec_threads

TIME_BASE = Fraction(1, 90_000)
PRESET = "ultrafast"
"""x264's: half the processor time of "superfast" at equal quality, for 1.2 to 1.8 times the bytes."""


class _Discarded(Exception):
    """Raised to leave the temporary file without a name."""


class VideoWriter:
    """Writes frames as H.264 in an .mp4; the file appears under its name only when it is complete.

    A context manager. Leaving it through an exception discards the file, except for Ctrl-C, which keeps the frames
    written so far as a file that plays. Without a frame there is no file.

    Args:
        path: the .mp4 file; missing folders are created.
        fps: nominal frame rate stated to players; each frame's own time decides when it is shown.
        crf: x264 quality. Higher: a smaller file, more artifacts.

    Raises:
        FalldetError: the folder can't be written; at the first frame.

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
        self._file = ExitStack()  # holds the temporary file from the first frame on
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
        self._container.mux(self._stream.encode(frame))

    def close(self, keep: bool = True) -> None:
        """Complete the file and give it its name; with keep=False discard it."""
        if self._container is None or self._stream is None:
            return
        container, self._container = self._container, None
        with suppress(_Discarded), self._file, closing(container):
            if not keep:
                raise _Discarded
            container.mux(self._stream.encode(None))

    def _start(self, width: int, height: int) -> None:
        part = self._file.enter_context(atomic_path(self.path))
        self._container = av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"})
        stream = self._container.add_stream("libx264", rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        stream.codec_context.thread_count = codec_threads(width, height)
        stream.options = {"preset": PRESET, "crf": str(self._crf)}
        self._stream = stream


def _even(image: np.ndarray) -> np.ndarray:
    """Repeat the last row or column of an odd-sized image: H.264 in 4:2:0 needs even sides."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return image
