"""Opening of a source with PyAV, once: the container, its video track, and the packets read to find that track."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import av
import av.error
from av.stream import Disposition

from falldet.errors import FalldetError
from falldet.io.source_kind import SourceKind, kind_of, local_path, scheme_of

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0
"""A live source that is silent for so long has broken off; FFmpeg takes twice this time to tell it of RTSP."""

MAX_PIXELS = 8192 * 4320
"""Largest frame that is decoded: a damaged header must not take all memory."""

PEEKED_PACKETS = 60
"""Video packets read at most to tell moving tracks from cover images, where there are several video tracks."""


@dataclass(slots=True)
class OpenSource:
    """An opened source.

    Attributes:
        kind: what it is.
        container: PyAV's container.
        track: the video track.
        peeked: packets of the track that were read to choose it; they come first.
    """

    kind: SourceKind
    container: av.container.InputContainer
    track: av.VideoStream
    peeked: list[av.Packet] = field(default_factory=list)

    def packets(self) -> Iterator[av.Packet]:
        """Yield the packets of the video track; of a live source those of other tracks as well, as a sign of life."""
        yield from self.peeked
        self.peeked = []
        yield from self.container.demux() if self.kind.is_live else self.container.demux(self.track)


def open_source(source: str | Path, name: str) -> OpenSource:
    """Open a source and choose its video track.

    Args:
        source: a file, a pipe, an address, or a webcam's number or device.
        name: its name for messages.

    Raises:
        FalldetError: it can't be opened, has no video, or none that can be decoded.
    """
    kind = kind_of(source)
    container = _open(source, kind, name)
    try:
        track, peeked = _video_track(container, name)
    except BaseException:
        container.close()
        raise
    track.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return OpenSource(kind, container, track, peeked)


def _open(source: str | Path, kind: SourceKind, name: str) -> av.container.InputContainer:
    address, options, form, pipe = str(source), {}, None, None
    if kind is SourceKind.WEBCAM:
        address, form = f"/dev/video{address}" if address.isdigit() else address, "v4l2"
    elif kind is SourceKind.PIPE:
        pipe = _open_pipe(local_path(source), name)
        address = f"pipe:{pipe}"
    elif kind is SourceKind.ADDRESS:
        scheme = scheme_of(source)
        address = scheme + address[len(scheme) :]  # FFmpeg knows its protocols in lower case only
        options = {"rtsp_transport": "tcp"} if scheme in ("rtsp", "rtsps") else {}
    else:
        _check_file(local_path(source), name)
        address = f"file:{local_path(source)}"  # FFmpeg takes the part before a colon for a protocol
    try:
        return av.open(address, format=form, options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FalldetError(f"can't read {name} as video: {reason}; {_CURES.get(kind, _FILE_CURE)}") from None
    finally:
        if pipe is not None:
            os.close(pipe)  # FFmpeg has a descriptor of its own


_FILE_CURE = "is it a complete video?"
_CURES = {
    SourceKind.ADDRESS: "check the address",
    SourceKind.WEBCAM: "is the camera connected, and free?",
    SourceKind.PIPE: "is what is written into it a video?",
}


def _check_file(path: Path, name: str) -> None:
    if not path.exists():
        raise FalldetError(f"no such video: {name}; check the path")
    if path.is_dir():
        raise FalldetError(f"{name} is a folder; give one video file")
    if not path.is_file():
        raise FalldetError(f"{name} is neither a file nor a camera; give a video, a pipe or /dev/videoN")
    if path.stat().st_size == 0:
        raise FalldetError(f"{name} is empty (0 bytes); copy it again")


def _open_pipe(path: Path, name: str) -> int:
    """Return a descriptor of a pipe into which data have come; it never blocks, so that time-outs work."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise FalldetError(f"can't read {name} as video: {error.strerror}; check the path") from None
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + OPEN_TIMEOUT_S
    while not waiting.poll(100):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise FalldetError(
                f"nothing is written into the pipe {name} for {OPEN_TIMEOUT_S:g} s; start what writes into it first"
            )
    return descriptor


def _video_track(container: av.container.InputContainer, name: str) -> tuple[av.VideoStream, list[av.Packet]]:
    """Return the track of the film, not of a cover image or a preview, and its packets read so far."""
    tracks = list(container.streams.video)
    if not tracks:
        raise FalldetError(f"{name} holds no video, only other streams; give a video file")
    decodable = [track for track in tracks if track.codec_context is not None]
    if not decodable:
        raise FalldetError(
            f"{name} holds video of an unknown codec, or is damaged; convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
        )
    if len(decodable) == 1:
        return decodable[0], []
    peeked = _peek(container, decodable)
    best = max(decodable, key=lambda track: _rank(track, peeked))
    return best, peeked[best.index]


def _rank(track: av.VideoStream, peeked: dict[int, list[av.Packet]]) -> tuple[bool, bool, int, int]:
    """Return what speaks for a track: it moves, is no attached image, is large, comes first."""
    most = max(len(packets) for packets in peeked.values())
    moves = len(peeked[track.index]) >= max(2, most / 5) and track.frames != 1
    attached = bool(track.disposition & (Disposition.attached_pic | Disposition.still_image))
    return not attached, moves, track.width * track.height, -track.index


def _peek(container: av.container.InputContainer, tracks: list[av.VideoStream]) -> dict[int, list[av.Packet]]:
    peeked: dict[int, list[av.Packet]] = {track.index: [] for track in tracks}
    with suppress(av.error.FFmpegError):
        for count, packet in enumerate(container.demux(tracks), 1):
            if packet.size:
                peeked[packet.stream.index].append(packet)
            if count >= PEEKED_PACKETS:
                break
    return peeked
