"""Videos for the tests of reading and writing: the gray level of an image tells the number of its frame."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from falldet.io.video import read_frames
from falldet.types import Frame

STEP = 5  # gray levels from one frame to the next
TIME_BASE = Fraction(1, 60_000)


def gray_image(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """The image of frame `number`."""
    return np.full((height, width, 3), 20 + STEP * number, np.uint8)


def number_of(frame: Frame) -> int:
    """The number of a frame by its gray level; YUV costs up to three levels."""
    return round((float(frame.image.mean()) - 18.5) / STEP)


def write_video(
    path: Path,
    times_s: Sequence[float],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    rotation: int = 0,
    options: dict[str, str] | None = None,
    images: Sequence[np.ndarray] | None = None,
) -> Path:
    """Write gray images, or `images`, shown at `times_s`; with PyAV alone, not with the code under test."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.bit_rate = 2_000_000
        if path.suffix != ".avi":  # which knows no times, only a rate
            stream.codec_context.time_base = TIME_BASE
        stream.options = {"bf": "2"} if codec == "libx264" else {}
        if rotation:
            stream.set_display_rotation(rotation)
        for number, time_s in enumerate(times_s):
            image = gray_image(number, *size) if images is None else images[number]
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = round(time_s / TIME_BASE), TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def steady(frames: int, fps: float = 25.0) -> list[float]:
    """Times of `frames` frames at a constant rate."""
    return [i / fps for i in range(frames)]


def times_of(path: Path) -> list[float]:
    """The times of all frames, whose numbers and indices must ascend from 0."""
    frames = list(read_frames(path))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert [number_of(frame) for frame in frames] == list(range(len(frames)))
    return [frame.time_s for frame in frames]


VARIABLE = [0.0, 0.04, 0.05, 0.2, 0.21, 0.9, 1.0, 3.5, 3.52, 3.6]
