"""Pose clips: what is written is read back, is small, and holds no pixels."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.live.pose_clip import PoseHistory, read_clip, write_clip
from falldet.types import People


def filled(people: Callable[..., People], seconds: float, persons: int = 2) -> PoseHistory:
    history = PoseHistory(keep_s=60.0)
    for number in range(round(seconds * 15)):
        seen = people(*[(100 + 150 * person + number % 50, 200) for person in range(persons)])
        history.add(number / 15, seen.with_track_ids(np.arange(persons)), np.full(persons, 0.25))
    return history


def test_write_clip_is_small_and_read_back(tmp_path: Path, people_factory: Callable[..., People]) -> None:
    rows = filled(people_factory, 30.0).between(5.0, 30.0)
    path = tmp_path / "clips" / "i.json.gz"
    write_clip(path, rows, 5.0, {"camera": "hall", "size": [640, 480]})
    clip = read_clip(path)
    assert path.stat().st_size < 60_000
    assert clip["camera"] == "hall"
    first_ms, people = clip["frames"][0]
    assert first_ms == 0
    assert [row[:2] for row in people] == [[0, 25], [1, 25]]
    assert len(people[0]) == 2 + 3 * 17


def test_pose_history_is_bounded(people_factory: Callable[..., People]) -> None:
    history = filled(people_factory, 200.0, persons=1)
    times = [time_s for time_s, _ in history.between(0.0, 1000.0)]
    assert len(times) <= 60 * 15 + 1
    assert times[0] >= 139.0


def test_write_clip_of_an_empty_room(tmp_path: Path) -> None:
    history = PoseHistory()
    history.add(1.0, People.none(), np.zeros(0))
    write_clip(tmp_path / "i.json.gz", history.between(0, 2), 0.0, {})
    assert read_clip(tmp_path / "i.json.gz")["frames"] == [[1000, []]]


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(b"no json", mtime=0),
        gzip.compress(json.dumps({"format": "other", "version": 1, "frames": []}).encode(), mtime=0),
        gzip.compress(json.dumps({"format": "falldet-clip", "version": 1, "frames": [[0, [["x"]]]]}).encode(), mtime=0),
        gzip.compress(b'{"format": "falldet-clip", "version": 1, "frames": [[NaN, []]]}', mtime=0),
        gzip.compress(b" " * 9_000_000, mtime=0),
        gzip.compress(b"[" * 1_000_000, mtime=0),
    ],
    ids=itertools.count(),
)
def test_read_clip_refuses_what_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "i.json.gz"
    path.write_bytes(content)
    with pytest.raises(FalldetError, match="is no pose clip"):
        read_clip(path)
