"""The record comes first: the demo as a process that is asked to end, killed, or has nowhere to write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from scene_videos import last_events

from falldet.io.video import read_frames
from falldet.io.video_writer import VideoWriter
from falldet.synthetic import SCENES

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, str(ROOT / "tools" / "demo.py")]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("pose_model")]


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample scene, whose last image then stands for some minutes."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    with VideoWriter(path, 10.0) as writer:
        for frame in replace(SCENES["sample"](), fps=10.0).frames():
            writer.write(frame.image, frame.time_s)
        for index in range(3000):
            writer.write(frame.image, frame.time_s + 0.1 * (index + 1))
    return path


def start_and_await_an_event(video: Path, out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*DEMO, str(video), "--out-dir", str(out)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (out / "events.jsonl").exists() or not (out / "events.jsonl").stat().st_size:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_demo_completes_its_results_when_asked_to_end(long_video: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = start_and_await_an_event(long_video, tmp_path / "out")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert f"stopped by {number.name}; finished results are kept" in err
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["events.jsonl", "long.mp4", "scores.csv", "timeline.png"]
    assert len(last_events(tmp_path / "out")) == 1
    assert len(list(read_frames(tmp_path / "out" / "long.mp4"))) > 20


def test_demo_killed_leaves_its_events_and_a_video_that_plays(long_video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start_and_await_an_event(long_video, out)
    time.sleep(1.0)
    process.kill()
    process.communicate()
    events = (out / "events.jsonl").read_text()
    assert json.loads(events.splitlines()[0])["state"] in ("falling", "fallen")
    assert len(list(read_frames(out / "long.unfinished.mp4"))) > 20
    assert list(out.glob(".*.part"))
    done = subprocess.Popen(
        [*DEMO, str(long_video), "--out-dir", str(out), "--no-video"],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "out-2" / "events.jsonl").exists():
        assert done.poll() is None
        time.sleep(0.02)
    done.terminate()
    _, err = done.communicate(timeout=60)
    assert f"{out} holds the results of another run; these go to {out}-2" in err
    assert (out / "events.jsonl").read_text() == events
    assert not list(out.glob(".*.part"))


@pytest.mark.parametrize(
    ("limit", "redirection", "code", "says"),
    [
        ("", ">&-", 0, ""),
        ("", "| head -n 1", 0, ""),
        ("", "> /dev/full", 1, "standard output can't be written: No space left on device"),
        ("ulimit -f 64; ", "", 1, "AnnotatedVideo: can't write"),
    ],
)
def test_demo_keeps_its_events_without_room_or_a_terminal(
    sample_video: Path, tmp_path: Path, limit: str, redirection: str, code: int, says: str
) -> None:
    no_video = "" if limit else "--no-video"
    command = f'{limit}"$0" "$@" {no_video} {redirection}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command, *DEMO, str(sample_video), "--out-dir", "out"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert len(last_events(tmp_path / "out")) == 1
    assert not list((tmp_path / "out").glob("*.mp4"))
