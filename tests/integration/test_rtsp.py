"""Streams from a real RTSP server on this machine: every frame arrives, and trouble ends in a sentence."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from scene_videos import last_events

from falldet.errors import FalldetError
from falldet.io.video import read_frames
from falldet.synthetic import SCENES, Scene

server = pytest.importorskip("aio_rtsp_toolkit.server", reason="needs requirements/dev.txt")

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 20


class Server:
    """An RTSP server of the files in a folder, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = server.RtspServer(str(folder), "127.0.0.1", self.port)
        self._ask(self._server.start())

    def address(self, name: str) -> str:
        return f"rtsp://127.0.0.1:{self.port}/{name}"

    def vanish(self) -> None:
        """End every connection and the server."""
        if self._loop.is_running():
            self._ask(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(TIMEOUT_S)

    async def _end(self) -> None:
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, work) -> None:
        waiting: Future = asyncio.run_coroutine_threadsafe(work, self._loop)
        waiting.result(TIMEOUT_S)


def encode(scene: Scene, path: Path) -> Path:
    """Write a scene as cameras do: no frame refers to a later one."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(scene.fps), options={"tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = scene.camera.width, scene.camera.height, "yuv420p"
        for frame in scene.frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a synthetic scene."""
    return encode(replace(SCENES["walk"](), duration_s=3.0), tmp_path_factory.mktemp("rtsp") / "walk.mp4")


@pytest.fixture
def served(clip: Path) -> Iterator[Server]:
    running = Server(clip.parent)
    yield running
    running.vanish()


def test_read_frames_gets_every_frame_of_a_stream_at_its_time(served: Server, clip: Path) -> None:
    given, streamed = list(read_frames(clip)), list(read_frames(served.address(clip.name)))
    assert [frame.index for frame in streamed] == [frame.index for frame in given]
    np.testing.assert_allclose([f.time_s for f in streamed], [f.time_s for f in given], atol=0.002)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(streamed, given, strict=True))


def test_read_frames_gets_two_streams_of_one_server_at_once(served: Server, clip: Path) -> None:
    together = zip(read_frames(served.address(clip.name)), read_frames(served.address(clip.name)), strict=True)
    assert sum(np.array_equal(a.image, b.image) for a, b in together) == len(list(read_frames(clip)))


def test_read_frames_tells_a_path_that_the_server_does_not_have(served: Server) -> None:
    with pytest.raises(FalldetError, match=r"can't read rtsp://127.0.0.1:\d+/\.\.\.\w+ as video: .*check the address"):
        list(read_frames(served.address("nothing.mp4")))


def test_read_frames_keeps_what_came_before_the_server_vanished(
    served: Server, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arrived = []
    with caplog.at_level(logging.WARNING):
        for frame in read_frames(served.address(clip.name)):
            arrived.append(frame.index)
            if frame.index == 30:
                served.vanish()
    assert 30 < len(arrived) < len(list(read_frames(clip)))
    assert arrived == list(range(len(arrived)))


@pytest.mark.slow
@pytest.mark.usefixtures("pose_model")
def test_demo_finds_the_fall_in_a_stream(tmp_path: Path) -> None:
    scene = SCENES["sample"]()
    ((_, start_s, end_s),) = scene.falls()
    served = Server(encode(scene, tmp_path / "sample.mp4").parent)
    address = served.address("sample.mp4")
    command = [
        sys.executable,
        str(ROOT / "tools" / "demo.py"),
        address,
        "--no-video",
        "--out-dir",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    served.vanish()
    assert done.returncode == 3, done.stderr  # a stream that ends has broken off
    assert "broke off after" in done.stderr
    (events,) = (tmp_path / "out").rglob("events.jsonl")
    (event,) = last_events(events.parent)
    assert start_s - 0.5 <= event["alert_s"] <= end_s + 3
