"""A long drawn video of falls at known times, served by a real RTSP server, for the studies of the live side."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from falldet.errors import FalldetError
from falldet.synthetic import SCENES, Scene
from research import WORK_DIRS

SERVER = Path(__file__).resolve().parents[2] / "tests" / "rtsp_server.py"
SYSTEM_PYTHON = "/usr/bin/python3"
FPS = 15.0
FALLING = ("fall_forward", "fall_backward", "fall_left", "fall_sideways", "fall_in_company")
SCENE_S, EMPTY_S = 7.0, 6.0


def falls_video(rounds: int) -> tuple[Path, list[tuple[float, float]]]:
    """Return a video of falls, an empty room after each, `rounds` times, and the descents in seconds."""
    path = WORK_DIRS / "live" / f"falls_{rounds}.mp4"
    scenes = [replace(SCENES[name](), duration_s=SCENE_S, fps=FPS) for name in FALLING]
    descents = []
    for number in range(rounds * len(scenes)):
        start_s = number * (SCENE_S + EMPTY_S)
        descents += [(start_s + start, start_s + stop) for _, start, stop in scenes[number % len(scenes)].falls()]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, scenes, rounds)
    return path, descents


def _write(path: Path, scenes: list[Scene], rounds: int) -> None:
    drawn = [_images(scene) + _images(replace(scene, people=(), duration_s=EMPTY_S)) for scene in scenes]
    part = path.with_suffix(".part.mp4")
    with av.open(str(part), "w") as container:
        options = {"tune": "zerolatency", "g": str(round(FPS)), "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=round(FPS), options=options)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for _ in range(rounds):
            for images in drawn:
                for image in images:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    part.replace(path)


def _images(scene: Scene) -> list[np.ndarray]:
    return [frame.image for frame in scene.frames()]


class RtspServer:
    """GStreamer's RTSP server of one video in a process of its own; each client gets the video from its start."""

    def __init__(self, video: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._video = video
        self.process: subprocess.Popen[bytes] | None = None

    def address(self, number: int) -> str:
        """Return the URL for one camera."""
        return f"rtsp://127.0.0.1:{self.port}/cam?{number}"

    def start(self) -> None:
        """Start the process; raises FalldetError where GStreamer is missing."""
        command = [SYSTEM_PYTHON, str(SERVER), str(self.port), f"cam={self._video.resolve()}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self.process.stdout is None or self.process.stdout.readline().strip() != b"ready":
            raise FalldetError("GStreamer's RTSP server is missing; install python3-gi and gir1.2-gst-rtsp-server-1.0")

    def kill(self) -> None:
        """Kill the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def serving(video: Path) -> Iterator[RtspServer]:
    """Yield a running server of `video`."""
    server = RtspServer(video)
    server.start()
    try:
        yield server
    finally:
        server.kill()
