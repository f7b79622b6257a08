"""Transfers from a real web server on this machine: interrupted, resumed, restarted, and two at once."""

from __future__ import annotations

import functools
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tqdm

from falldet.models import downloads, resumable_file
from falldet.models.downloads import Url
from falldet.models.resumable_file import SourceError, WrongFile, open_resumable, part_path, sweep_parts

CONTENT = hashlib.shake_256(b"a file").digest(256_000)  # what the server of conftest.py serves
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2
EXACT = (SHA256, len(CONTENT))
BY_PREFIX = (SHA256[:8], None)

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def goal(tmp_path: Path) -> Path:
    return tmp_path / "model.bin"


def fetch(goal: Path, address: str, known: tuple[str, int | None] = EXACT) -> None:
    with open_resumable(goal, *known, address) as target:
        Url(address).fetch(target)
        target.move_to(goal)


def asked(server: Any) -> list[tuple[int | None, int]]:
    """For each request, the first byte asked for and how many were sent."""
    return [(request.start, request.sent) for request in server.requests]


@pytest.mark.parametrize("known", [EXACT, BY_PREFIX])
def test_url_resumes_a_cut_transfer_without_fetching_a_byte_twice(
    goal: Path, server: Any, known: tuple[str, int | None]
) -> None:
    fetch(goal, f"{server.address}/cut-once", known)
    assert goal.read_bytes() == CONTENT
    (first, second) = asked(server)
    assert first == (None, HALF)
    assert 0 < second[0] <= HALF
    assert second[1] == len(CONTENT) - second[0]
    assert {request.encodings for request in server.requests} == {"identity"}, "bytes of a packed file can't be counted"


def test_url_resumes_a_response_without_a_length_that_ends_early(goal: Path, server: Any) -> None:
    fetch(goal, f"{server.address}/cut-once+unsized")
    assert goal.read_bytes() == CONTENT
    assert asked(server) == [(None, HALF), (HALF, HALF)]


@pytest.mark.parametrize("known", [EXACT, BY_PREFIX])
def test_url_resumes_the_part_of_an_earlier_call(goal: Path, server: Any, known: tuple[str, int | None]) -> None:
    address = f"{server.address}/right"
    part_path(goal, address).write_bytes(CONTENT[:100_000])
    fetch(goal, address, known)
    assert goal.read_bytes() == CONTENT
    assert asked(server) == [(100_000, 156_000)]
    assert list(goal.parent.iterdir()) == [goal]


def test_open_resumable_ignores_the_part_of_another_address(goal: Path, server: Any) -> None:
    part_path(goal, f"{server.address}/another").write_bytes(b"another file")
    fetch(goal, f"{server.address}/right")
    assert asked(server) == [(None, len(CONTENT))]


def test_open_resumable_shows_the_part_in_the_progress_bar(
    goal: Path, server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = functools.partial(tqdm.tqdm, mininterval=0.0)
    monkeypatch.setattr(tqdm, "tqdm", lambda **options: bar(**options | {"disable": False}))
    address = f"{server.address}/right"
    part_path(goal, address).write_bytes(CONTENT[:128_000])
    fetch(goal, address, BY_PREFIX)
    shown = capsys.readouterr().err
    assert "model.bin: 128kB" in shown, "before the server has told the size"
    assert "100%" in shown
    assert "256k/256k" in shown


def test_url_asks_no_server_for_a_complete_part(goal: Path, server: Any) -> None:
    address = f"{server.address}/right"
    part_path(goal, address).write_bytes(CONTENT)
    fetch(goal, address, BY_PREFIX)
    assert goal.read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize(
    ("path", "kept", "starts"),
    [
        ("/plain", CONTENT[:100], [100]),
        ("/refusing", CONTENT[:100], [100, None]),
        ("/astray", CONTENT[:100], [100, None]),
        ("/right", b"not the beginning", [17, None]),
        ("/right", CONTENT + b"and more", [256_008, None]),
        ("/capped", CONTENT[:150_000], [150_000, 200_000, 250_000]),
    ],
)
def test_url_gets_the_right_file_from_an_odd_server_or_part(
    goal: Path, server: Any, path: str, kept: bytes, starts: list[int | None]
) -> None:
    part_path(goal, server.address + path).write_bytes(kept)
    fetch(goal, server.address + path, BY_PREFIX)
    assert goal.read_bytes() == CONTENT
    assert [request.start for request in server.requests] == starts
    assert list(goal.parent.iterdir()) == [goal]


def test_resumable_file_restarts_a_part_that_is_too_long(goal: Path, server: Any) -> None:
    part_path(goal, f"{server.address}/right").write_bytes(CONTENT + b"and more")
    fetch(goal, f"{server.address}/right", EXACT)
    assert goal.read_bytes() == CONTENT
    assert asked(server) == [(None, len(CONTENT))]


@pytest.mark.parametrize("path", ["/wrong", "/wrong+plain", "/wrong+refusing"])
def test_url_fetches_a_wrong_file_once_at_most_and_keeps_nothing(goal: Path, server: Any, path: str) -> None:
    part_path(goal, server.address + path).write_bytes(CONTENT[:100])
    with pytest.raises(WrongFile, match="it gave a file whose sha256 is"):
        fetch(goal, server.address + path, BY_PREFIX)
    assert [request.sent for request in server.requests].count(len(CONTENT)) == 1
    assert list(goal.parent.iterdir()) == []


@pytest.mark.parametrize("path", ["/cut+plain", "/cut+refusing"])
def test_url_gives_up_a_transfer_without_progress(goal: Path, server: Any, path: str) -> None:
    with pytest.raises(SourceError, match="the transfer was cut short"):
        fetch(goal, server.address + path)
    assert len(server.requests) <= 1 + 2 * downloads.FRUITLESS_TRIES
    assert 0 < part_path(goal, server.address + path).stat().st_size <= HALF


def test_url_keeps_the_part_when_the_server_is_gone(goal: Path, server: Any) -> None:
    address = f"{server.address}/missing"
    part_path(goal, address).write_bytes(CONTENT[:100])
    with pytest.raises(SourceError, match="it answered 404"):
        fetch(goal, address)
    assert len(server.requests) == 1
    assert part_path(goal, address).read_bytes() == CONTENT[:100]


def test_url_doubles_the_pause_while_no_byte_comes(goal: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(downloads, "BACKOFF_S", 1.0)
    monkeypatch.setattr(downloads.time, "sleep", pauses.append)
    with pytest.raises(SourceError, match="it answered 503"):
        fetch(goal, f"{server.address}/busy")
    assert pauses == [2.0, 4.0]


def test_open_resumable_leaves_nothing_on_a_full_disk(goal: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write = resumable_file.ResumableFile.write

    def fill(self: resumable_file.ResumableFile, chunk: bytes) -> int:
        if self.size:
            raise OSError(28, "No space left on device")
        return write(self, chunk)

    monkeypatch.setattr(resumable_file.ResumableFile, "write", fill)
    with pytest.raises(OSError, match="No space left"):
        fetch(goal, f"{server.address}/right")
    assert list(goal.parent.iterdir()) == []


def test_open_resumable_keeps_two_downloads_of_one_file_apart(goal: Path, server: Any) -> None:
    address = f"{server.address}/right"
    with open_resumable(goal, *EXACT, address) as slow:
        slow.write(CONTENT[:1000])
        fetch(goal, address)
        assert goal.read_bytes() == CONTENT
        sweep_parts(goal)
        assert part_path(goal, address).exists(), "a part that is being written to was swept"
        goal.unlink()
        slow.write(CONTENT[1000:])
        slow.move_to(goal)
    assert goal.read_bytes() == CONTENT
    assert asked(server) == [(None, len(CONTENT))]
    assert list(goal.parent.iterdir()) == [goal]


def test_open_resumable_opens_no_part_that_has_become_the_file(
    goal: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{server.address}/right"
    part = part_path(goal, address)
    part.write_bytes(CONTENT)
    lock = resumable_file._lock

    def lock_late(stream: Any) -> bool:
        if not goal.exists():
            os.replace(part, goal)  # what the former owner does between opening and locking
        return lock(stream)

    monkeypatch.setattr(resumable_file, "_lock", lock_late)
    with open_resumable(goal, *EXACT, address) as target:
        assert target.size == 0
        target.write(b"bytes that must not land in the finished file")
        assert goal.read_bytes() == CONTENT


def test_open_resumable_without_locks_is_private(goal: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable_file, "fcntl", None)
    with pytest.raises(SourceError, match="cut short"):
        fetch(goal, f"{server.address}/cut")
    assert list(goal.parent.iterdir()) == []
    fetch(goal, f"{server.address}/right")
    assert goal.read_bytes() == CONTENT


def test_open_resumable_keeps_the_part_after_ctrl_c(goal: Path, server: Any) -> None:
    address = f"{server.address}/stall-once"
    code = (
        "import sys; from pathlib import Path\n"
        "from falldet.models.downloads import Url; from falldet.models.resumable_file import open_resumable\n"
        "goal, address, sha256, size = sys.argv[1:]\n"
        "with open_resumable(Path(goal), sha256, int(size), address) as target:\n"
        "    Url(address).fetch(target)\n"
    )
    command = [sys.executable, "-c", code, str(goal), address, SHA256, str(len(CONTENT))]
    environment = os.environ | {"PYTHONPATH": str(Path(resumable_file.__file__).parents[2])}
    child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    part, deadline_s = part_path(goal, address), time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in child.communicate(timeout=20)[1]
    kept = part.stat().st_size
    assert 0 < kept <= HALF
    assert list(goal.parent.iterdir()) == [part]
    fetch(goal, address)
    assert goal.read_bytes() == CONTENT
    assert asked(server)[1:] == [(kept, len(CONTENT) - kept)]
    assert list(goal.parent.iterdir()) == [goal]
