"""Fixtures of all tests: a seeded generator, the shared videos, synthetic people, a local web server."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import falldet.models.openvino  # noqa: F401  # before any other import of OpenVINO: no telemetry
from falldet.errors import FalldetError
from falldet.models.checkpoints import find_checkpoint
from falldet.skeleton import JOINT_COUNT
from falldet.types import People

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20240607)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos, which is not part of the repository; skipped without it."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("needs the real videos in ../shared/data, which are not part of the repository")
    return folder


@pytest.fixture(scope="session")
def pose_model() -> Path:
    """The file of the embedded pose model; skipped where it can't be downloaded."""
    try:
        return find_checkpoint("movenet_multipose")
    except FalldetError as error:
        pytest.skip(f"needs the pose model: {error}")


@pytest.fixture
def people_factory() -> Callable[..., People]:
    """Standing people by the position of their hips: `people_factory((100, 200), (300, 200), height_px=120)`."""

    def make(*centers: tuple[float, float], height_px: float = 120.0, score: float = 0.9) -> People:
        rows = np.array(
            [-0.5] + [-0.52] * 4 + [-0.35] * 2 + [-0.15] * 2 + [0.0] * 2 + [0.0] * 2 + [0.25] * 2 + [0.5] * 2
        )
        sides = np.array([0.0] + [0.03, -0.03, 0.05, -0.05] + [0.12, -0.12] * 6)
        upright = np.stack([sides, rows], axis=1) * height_px  # (K, 2)
        keypoints = np.array(centers, dtype=np.float32).reshape(-1, 1, 2) + upright
        boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
        count = len(keypoints)
        return People(keypoints, np.full((count, JOINT_COUNT), score), boxes, np.full(count, score))

    return make


@dataclass
class Request:
    """A request to the server.

    Attributes:
        path: path of the URL.
        start: first byte requested; None for the whole file.
        encodings: accepted encodings.
        sent: bytes sent in response.
    """

    path: str
    start: int | None
    encodings: str
    sent: int = 0


@dataclass
class DownloadServer:
    """A local download server that serves `content` with the faults named in the path, joined by "+".

    cut: hangs up after half the file; stall: goes silent there; plain: knows no ranges; unsized: states no length;
    missing, busy: 404, 503; wrong, long: another file; refusing: 416 to every range; astray: another range than
    requested; capped: at most 50,000 bytes of a range. With `-once` after cut or busy: only the first time.
    """

    address: str = ""
    content: bytes = hashlib.shake_256(b"a file").digest(256_000)
    requests: list[Request] = field(default_factory=list)

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        """Respond to one GET."""
        words = set(handler.path.strip("/").split("+"))
        if all(request.path != handler.path for request in self.requests):
            words |= {word.removesuffix("-once") for word in words}
        requested = handler.headers.get("Range")
        start = None if requested is None else int(requested.removeprefix("bytes=").removesuffix("-"))
        request = Request(handler.path, start, handler.headers.get("Accept-Encoding", ""))
        self.requests.append(request)
        body = self.content[::-1] if "wrong" in words else self.content + b"x" * ("long" in words)
        if start is None or "plain" in words:
            start = 0
        if words & {"missing", "busy"}:
            return handler.send_error(404 if "missing" in words else 503)
        if start >= len(body) or (start and "refusing" in words):
            return handler.send_error(416)
        end = start + 50_000 if start and "capped" in words else len(body)
        handler.send_response(206 if start else 200)
        if start:
            first = start + ("astray" in words)
            handler.send_header("Content-Range", f"bytes {first}-{min(end, len(body)) - 1}/{len(body)}")
        if "unsized" not in words:
            handler.send_header("Content-Length", str(len(body[start:end])))
        handler.end_headers()
        part = body[start : len(body) // 2 if words & {"cut", "stall"} else end]
        request.sent = len(part)  # before the client has everything and the test reads on
        handler.wfile.write(part)
        if "stall" in words:
            handler.wfile.flush()
            time.sleep(1.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DownloadServer]:
    """A download server without a proxy in between; downloads pause for a millisecond between their tries."""
    monkeypatch.setattr("falldet.models.downloads.BACKOFF_S", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    serving = DownloadServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serving.respond(self)

        def log_message(self, *_: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is no error
    serving.address = f"http://127.0.0.1:{web.server_address[1]}"
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield serving
    web.shutdown()
    web.server_close()
