"""What `falldet demo` tells of its sources, and its exit code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from falldet.cli import demo, make_parser
from falldet.errors import FalldetError
from falldet.io.video_writer import VideoWriter
from falldet.runtime.runner import RunResult
from falldet.types import Event, EventState

EVENT = Event("7.520-a-1", "a", 1, 6.8, 7.52, None, 7.4, 0.99, EventState.FALLEN, (0.0, 0.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("result", "code", "out", "err"),
    [
        (RunResult([], 10, 1.0, []), 0, "a.mp4: 0 falls\n", ""),
        (RunResult([EVENT], 10, 1.0, []), 0, "a.mp4: 1 fall: 7.5 s (person #1)\n", ""),
        (
            RunResult([], 10, 1.0, ["Timeline: disk full"]),
            1,
            "a.mp4: 0 falls\n",
            "error: a.mp4: incomplete results: Timeline: disk full\n",
        ),
        (
            RunResult([], 10, 1.0, ["Timeline: disk full"], "no data for 10 s"),
            3,
            "a.mp4: 0 falls\n",
            "error: a.mp4: incomplete results: Timeline: disk full\n"
            "error: a.mp4 broke off after 1.0 s: no data for 10 s\n",
        ),
        (FalldetError("no frame could be read"), 2, "", "error: a.mp4: no frame could be read\n"),
        (FalldetError("no such video: a.mp4"), 2, "", "error: no such video: a.mp4\n"),
    ],
)
def test_tell_names_the_source_and_returns_its_code(
    result: RunResult | FalldetError, code: int, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.tell("a.mp4", result) == code
    assert capsys.readouterr() == (out, err)


def test_tell_hides_the_password_of_a_camera(capsys: pytest.CaptureFixture[str]) -> None:
    demo.tell("rtsp://me:secret@cam/1", RunResult([], 1, 0.1, []))
    assert "secret" not in capsys.readouterr().out


def test_run_goes_on_after_a_source_that_fails(
    pose_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        with VideoWriter(tmp_path / f"{name}.mp4", 10.0) as writer:
            for index in range(5):
                writer.write(np.zeros((48, 64, 3), np.uint8), index / 10)
    sources = [str(tmp_path / f"{name}.mp4") for name in ("a", "none", "b")]
    arguments = make_parser().parse_args(["demo", *sources, "--no-video", "--out-dir", str(tmp_path / "out")])
    assert demo.run(arguments) == 2
    told = capsys.readouterr()
    lines = [f"{source}: 0 falls; results in {tmp_path / 'out' / Path(source).stem}" for source in sources[::2]]
    assert told.out.splitlines()[:2] == lines
    assert told.out.splitlines()[2].startswith("10 frames in ")
    assert f"error: no such video: {sources[1]}" in told.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "b"}
