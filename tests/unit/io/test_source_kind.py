"""kind_of: what exists is what it is; addresses in capitals; numbers, devices and pipes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from falldet.io.source_kind import SourceKind, kind_of, local_path, scheme_of


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("rtsp://127.0.0.1/a", SourceKind.ADDRESS),
        ("RTSP://127.0.0.1/a", SourceKind.ADDRESS),
        ("Http://127.0.0.1/a.mp4", SourceKind.ADDRESS),
        ("0", SourceKind.WEBCAM),
        ("10:30:00.mp4", SourceKind.FILE),
        ("concat:a.mp4", SourceKind.FILE),
        ("C:/a.mp4", SourceKind.FILE),
        (Path("0"), SourceKind.FILE),
        ("file:///missing.mp4", SourceKind.FILE),
        ("/dev/null", SourceKind.OTHER),
        ("/", SourceKind.OTHER),
        ("٣", SourceKind.FILE),  # a digit, but no webcam
        ("a\0b", SourceKind.FILE),
    ],
)
def test_kind_of_tells_by_the_name_what_does_not_exist(source: str | Path, kind: SourceKind) -> None:
    assert kind_of(source) is kind


@pytest.mark.parametrize("name", ["10:30:00.mp4", "7", "http:", "a?b#c.mp4", "%41.mp4"])
def test_kind_of_takes_a_file_that_exists_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    assert kind_of(name) is SourceKind.FILE
    assert not SourceKind.FILE.is_live


def test_kind_of_tells_pipes_and_sockets(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        assert kind_of(tmp_path / "pipe") is SourceKind.PIPE
        assert kind_of(str(tmp_path / "socket")) is SourceKind.OTHER
    assert SourceKind.PIPE.is_live


def test_local_path_takes_file_addresses_and_paths() -> None:
    assert local_path("FILE:///videos/a%20b.mp4") == Path("/videos/a b.mp4")
    assert local_path("10:30:00.mp4") == Path("10:30:00.mp4")
    assert (scheme_of("RTSPS://a"), scheme_of("a:b")) == ("rtsps", "")
