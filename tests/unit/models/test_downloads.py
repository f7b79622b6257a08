"""Transfers from a real web server on this machine: broken off, resumed, started over, and two at once."""

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

from falldet.models import downloads
from falldet.models import resumable_file as resumable_file
from falldet.models.downloads import Url
from falldet.models.resumable_file import SourceError, WrongFile, part_path, resumable_file, sweep_parts

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
    with resumable_file(goal, *known, address) as target:
        Url(address).fetch(target)
        target.move_to(goal)


def asked(server: Any) -> list[tuple[int | None, int]]:
    """For each request, the first byte asked for and how many were sent."""
    return [(request.start, request.sent) for request in server.requests]


@pytest.mark.parametrize("known", [EXACT, BY_PREFIX])
def test_a_transfer_that_is_cut_goes_on_without_sending_again_what_is_there(
    goal: Path, server: Any, known: tuple[str, int | None]
) -> None:
    fetch(goal, f"{server.address}/cut-once", known)
    assert goal.read_bytes() == CONTENT
    (first, second) = asked(server)
    assert first == (None, HALF)
    assert 0 < second[0] <= HALF
    assert second[1] == len(CONTENT) - second[0]
    assert {request.encodings for request in server.requests} == {"identity"}, "bytes of a packed file can't be counted"


def test_an_answer_without_a_length_that_ends_early_goes_on(goal: Path, server: Any) -> None:
    fetch(goal, f"{server.address}/cut-once+unsized")
    assert goal.read_bytes() == CONTENT
    assert asked(server) == [(None, HALF), (HALF, HALF)]


@pytest.mark.parametrize("known", [EXACT, BY_PREFIX])
def test_the_next_call_goes_on_with_what_is_kept(goal: Path, server: Any, known: tuple[str, int | None]) -> None:
    address = f"{server.address}/right"
    part_path(goal, address).write_bytes(CONTENT[:100_000])
    fetch(goal, address, known)
    assert goal.read_bytes() == CONTENT
    assert asked(server) == [(100_000, 156_000)]
    assert list(goal.parent.iterdir()) == [goal]


def test_what_is_kept_of_another_address_is_not_built_on(goal: Path, server: Any) -> None:
    part_path(goal, f"{server.address}/another").write_bytes(b"another file")
    fetch(goal, f"{server.address}/right")
    assert asked(server) == [(None, len(CONTENT))]


def test_the_bar_begins_with_what_is_kept(
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


def test_a_part_that_is_whole_already_needs_no_server(goal: Path, server: Any) -> None:
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
def test_a_server_or_a_part_that_does_not_fit_still_ends_in_the_right_file(
    goal: Path, server: Any, path: str, kept: bytes, starts: list[int | None]
) -> None:
    part_path(goal, server.address + path).write_bytes(kept)
    fetch(goal, server.address + path, BY_PREFIX)
    assert goal.read_bytes() == CONTENT
    assert [request.start for request in server.requests] == starts
    assert list(goal.parent.iterdir()) == [goal]


def test_a_part_longer_than_the_file_is_known_to_be_is_started_over(goal: Path, server: Any) -> None:
    part_path(goal, f"{server.address}/right").write_bytes(CONTENT + b"and more")
    fetch(goal, f"{server.address}/right", EXACT)
    assert goal.read_bytes() == CONTENT
    assert asked(server) == [(None, len(CONTENT))]


@pytest.mark.parametrize("path", ["/wrong", "/wrong+plain", "/wrong+refusing"])
def test_a_wrong_file_is_fetched_whole_once_at_most_and_nothing_of_it_is_kept(
    goal: Path, server: Any, path: str
) -> None:
    part_path(goal, server.address + path).write_bytes(CONTENT[:100])
    with pytest.raises(WrongFile, match="it gave a file whose sha256 is"):
        fetch(goal, server.address + path, BY_PREFIX)
    assert [request.sent for request in server.requests].count(len(CONTENT)) == 1
    assert list(goal.parent.iterdir()) == []


@pytest.mark.parametrize("path", ["/cut+plain", "/cut+refusing"])
def test_a_transfer_that_never_gets_further_is_given_up(goal: Path, server: Any, path: str) -> None:
    with pytest.raises(SourceError, match="the transfer was cut short"):
        fetch(goal, server.address + path)
    assert len(server.requests) <= 1 + 2 * downloads.FRUITLESS_TRIES
    assert 0 < part_path(goal, server.address + path).stat().st_size <= HALF


def test_a_server_that_went_away_costs_nothing_of_what_is_kept(goal: Path, server: Any) -> None:
    address = f"{server.address}/missing"
    part_path(goal, address).write_bytes(CONTENT[:100])
    with pytest.raises(SourceError, match="it answered 404"):
        fetch(goal, address)
    assert len(server.requests) == 1
    assert part_path(goal, address).read_bytes() == CONTENT[:100]


def test_the_pause_grows_while_nothing_new_comes(goal: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(downloads, "BACKOFF_S", 1.0)
    monkeypatch.setattr(downloads.time, "sleep", pauses.append)
    with pytest.raises(SourceError, match="it answered 503"):
        fetch(goal, f"{server.address}/busy")
    assert pauses == [2.0, 4.0]


def test_a_full_disk_leaves_nothing_behind(goal: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write = resumable_file.ResumableFile.write

    def fill(self: resumable_file.ResumableFile, chunk: bytes) -> int:
        if self.size:
            raise OSError(28, "No space left on device")
        return write(self, chunk)

    monkeypatch.setattr(resumable_file.ResumableFile, "write", fill)
    with pytest.raises(OSError, match="No space left"):
        fetch(goal, f"{server.address}/right")
    assert list(goal.parent.iterdir()) == []


def test_two_who_fetch_the_same_do_not_meet(goal: Path, server: Any) -> None:
    address = f"{server.address}/right"
    with resumable_file(goal, *EXACT, address) as slow:
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


def test_a_lock_on_a_part_that_has_become_the_file_is_not_taken(
    goal: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{server.address}/right"
    part = part_path(goal, address)
    part.write_bytes(CONTENT)
    lock = resumable_file._lock

    def lock_late(stream: Any) -> bool:
        if not goal.exists():
            os.replace(part, goal)  # what the former owner does between our opening and our locking
        return lock(stream)

    monkeypatch.setattr(resumable_file, "_lock", lock_late)
    with resumable_file(goal, *EXACT, address) as target:
        assert target.size == 0
        target.write(b"bytes that must not land in the finished file")
        assert goal.read_bytes() == CONTENT


def test_without_locks_a_download_is_private(goal: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable_file, "fcntl", None)
    with pytest.raises(SourceError, match="cut short"):
        fetch(goal, f"{server.address}/cut")
    assert list(goal.parent.iterdir()) == []
    fetch(goal, f"{server.address}/right")
    assert goal.read_bytes() == CONTENT


def test_ctrl_c_keeps_the_part_and_the_next_call_goes_on(goal: Path, server: Any) -> None:
    address = f"{server.address}/stall-once"
    code = (
        "import sys; from pathlib import Path\n"
        "from falldet.models.downloads import Url; from falldet.models.resumable_file import resumable_file\n"
        "goal, address, sha256, size = sys.argv[1:]\n"
        "with resumable_file(Path(goal), sha256, int(size), address) as target:\n"
        "    Url(address).fetch(target)\n"
    )
    command = [sys.executable, "-c", code, str(goal), address, SHA256, str(len(CONTENT))]
    environment = os.environ | {"PYTHONPATH": str(Path(resumable_file.__file__).parents[1])}
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
