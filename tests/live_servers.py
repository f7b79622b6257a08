"""Servers for the tests of live reading, each in a process or thread of its own on this machine, and their scenes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2

from falldet.synthetic import Scene

RTSP_SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"
PATIENCE_S = 20.0


def has_gstreamer() -> bool:
    """Whether the system's Python has GStreamer's RTSP server."""
    script = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        return subprocess.run([SYSTEM_PYTHON, "-c", script], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until(holds: Callable[[], bool], timeout_s: float = PATIENCE_S, what: str = "it") -> float:
    """Wait for a condition; return the seconds that it took."""
    start_s = time.monotonic()
    while not holds():
        assert time.monotonic() - start_s < timeout_s, f"{what} did not come true within {timeout_s} s"
        time.sleep(0.02)
    return time.monotonic() - start_s


class RtspServer:
    """GStreamer's RTSP server, which can be killed, frozen and started again on the same port."""

    def __init__(self, *streams: str, start: bool = True) -> None:
        self.port = free_port()
        self._arguments = [SYSTEM_PYTHON, str(RTSP_SERVER), str(self.port), *streams]
        self._process: subprocess.Popen | None = None
        if start:
            self.start()

    def address(self, name: str, login: str = "") -> str:
        return f"rtsp://{login}{'@' if login else ''}127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == b"ready"

    def freeze(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()  # type: ignore[union-attr]
            self._process = None


@contextlib.contextmanager
def rtsp_server(*streams: str, start: bool = True) -> Iterator[RtspServer]:
    server = RtspServer(*streams, start=start)
    try:
        yield server
    finally:
        server.kill()


class _Web(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


@contextlib.contextmanager
def mjpeg_server(scene: Scene) -> Iterator[str]:
    """Serve a moving scene as multipart JPEG, in real time and without end; http://.../10 sends 10 frames a second.

    /401 and /404 refuse, /text is no video.
    """
    images = [cv2.imencode(".jpg", frame.image)[1].tobytes() for frame in scene.frames()]

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.strip("/")
            if name in ("401", "403", "404"):
                return self.send_error(int(name))
            self.send_response(200)
            kind = "text/plain" if name == "text" else "multipart/x-mixed-replace; boundary=frame"
            self.send_header("Content-Type", kind)
            if name == "text":
                self.send_header("Content-Length", "1400")
            self.end_headers()
            if name == "text":
                return self.wfile.write(b"no video here\n" * 100)
            start_s, fps = time.monotonic(), float(name)
            with contextlib.suppress(OSError):
                for number in range(100_000):
                    time.sleep(max(0.0, start_s + number / fps - time.monotonic()))
                    image = images[round(number * scene.fps / fps) % len(images)]
                    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(image)
                    self.wfile.write(head + image + b"\r\n")
                    self.wfile.flush()

    web = _Web(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{web.server_address[1]}"
    finally:
        web.shutdown()
        web.server_close()


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections and say nothing; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connections.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield int(server.getsockname()[1])
        for connection in connections:
            connection.close()


def encode(scene: Scene, path: Path) -> Path:
    """Write a scene as cameras do: no frame refers to a later one, a whole image every second."""
    with av.open(str(path), "w") as container:
        options = {"tune": "zerolatency", "g": str(round(scene.fps)), "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=round(scene.fps), options=options)
        stream.width, stream.height, stream.pix_fmt = scene.camera.width, scene.camera.height, "yuv420p"
        for frame in scene.frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def live_command(*arguments: str) -> list[str]:
    return [sys.executable, str(Path(__file__).resolve().parents[1] / "tools" / "live.py"), *arguments]
