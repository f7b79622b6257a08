"""Mutated videos, each read in a child process with limits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from research.robustness import video_fuzz


def test_run_reads_mutated_videos_without_crash_or_hang() -> None:
    bad: list[str] = []
    found = video_fuzz.run(60, 7, lambda data, suffix, outcome: bad.append(f"{suffix}: {outcome}"), (20.0, 3000))
    assert bad == []
    assert set(found["outcomes"]) <= {"read", "read in part", "read with more frames", "refused"}  # type: ignore[call-overload]
    assert len(found["by_container"]) == len(video_fuzz.CONTAINERS)  # type: ignore[arg-type]


def test_mutate_changes_a_file_by_the_generator_alone() -> None:
    contents = bytes(range(256)) * 20
    mutated = [video_fuzz.mutate(contents, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert mutated[0] == mutated[1] != mutated[2]
    assert contents not in mutated


def test_reader_survives_a_child_that_crashes_or_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = video_fuzz.Reader(5.0, 3000)
    os.kill(reader._process.pid or 0, signal.SIGKILL)
    assert reader.read(tmp_path / "missing.mp4").outcome in ("crash", "refused")
    reader._limit_s = 0.0
    assert reader.read(tmp_path / "missing.mp4").outcome == "hang"
    reader._limit_s = 20.0
    assert reader.read(tmp_path / "missing.mp4").outcome == "refused"
    reader.close()
