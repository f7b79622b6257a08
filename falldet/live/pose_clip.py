"""Skeletons around an incident: the last seconds of each camera in memory, and clips of them as files.

A clip holds joints only, never pixels: `{"format": "falldet-clip", "version": 1, ..., "frames": [[ms, [[track, lying,
x, y, c, ...]]]]}`, compressed by gzip; whole pixels, scores and lying degrees in hundredths.
"""

from __future__ import annotations

import gzip
import json
import math
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from falldet.errors import FalldetError
from falldet.io.files import atomic_write
from falldet.types import People

FORMAT = "falldet-clip"
VERSION = 1
MAX_BYTES = 8_000_000
"""Of a clip's JSON: about an hour of one person. More is refused when it is read."""

PoseRow = tuple[float, np.ndarray]
"""Time in seconds, and (N, 2 + 3 K) int32: for each person track, lying degree and x, y, score of every joint."""


class PoseHistory:
    """The skeletons of one camera over the last `keep_s` seconds, `max_rows` frames at most.

    Args:
        keep_s: how long a frame is kept.
        max_rows: bound of the memory.
    """

    def __init__(self, keep_s: float = 60.0, max_rows: int = 2000) -> None:
        self._keep_s = keep_s
        self._rows: deque[PoseRow] = deque(maxlen=max_rows)

    def add(self, time_s: float, people: People, lying: np.ndarray) -> None:
        """Take the people of one frame and their lying degrees (N,)."""
        self._rows.append((time_s, pose_rows(people, lying)))
        while self._rows and self._rows[0][0] < time_s - self._keep_s:
            self._rows.popleft()

    def between(self, start_s: float, stop_s: float) -> list[PoseRow]:
        """Return the frames in [start_s, stop_s)."""
        return [row for row in self._rows if start_s <= row[0] < stop_s]


def pose_rows(people: People, lying: np.ndarray) -> np.ndarray:
    """Return (N, 2 + 3 K) int32: track, lying degree, and x, y, score of each joint; pixels and hundredths."""
    joints = np.concatenate([people.keypoints, 100 * people.scores[..., None]], axis=2).reshape(
        len(people), 3 * people.scores.shape[1]
    )
    rows = np.column_stack([people.track_ids, 100 * lying, joints])
    return rows.round().astype(np.int32)


def write_clip(path: Path, rows: Iterable[PoseRow], start_s: float, about: dict[str, Any]) -> None:
    """Write a clip; the file appears when it is complete.

    Args:
        path: ends in .json.gz.
        rows: frames in order of time.
        start_s: time that becomes 0 ms.
        about: camera, size, incident, start as UTC and whatever else names the clip.

    Raises:
        FalldetError: the file can't be written.
    """
    frames = [[round(1000 * (time_s - start_s)), people.tolist()] for time_s, people in rows]
    clip = {"format": FORMAT, "version": VERSION, "joints": "coco17", **about, "frames": frames}
    with atomic_write(path, binary=True) as stream:
        stream.write(gzip.compress(json.dumps(clip, separators=(",", ":")).encode(), mtime=0))


def read_clip(path: Path) -> dict[str, Any]:
    """Return a clip as written; raises FalldetError where the file is none, is too large or holds a wrong number."""
    try:
        with gzip.open(path) as stream:
            text = stream.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        clip = json.loads(text)
        if clip["format"] != FORMAT or clip["version"] != VERSION:
            raise ValueError("it has another format")
        for ms, people in clip["frames"]:
            if not math.isfinite(ms) or not all(isinstance(value, int) for row in people for value in row):
                raise ValueError("a frame holds something else than whole numbers")
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FalldetError(f"{path} is no pose clip: {error}") from None
    return dict(clip)
