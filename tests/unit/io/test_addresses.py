"""Names of sources: what is a stream, and that no secret of an address is shown or filed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from falldet.io.addresses import is_stream, output_name, redacted, without_secrets


@pytest.mark.parametrize(
    ("source", "stream"),
    [
        ("rtsp://127.0.0.1/a", True),
        ("RTSP://127.0.0.1/a", True),
        ("http://127.0.0.1/a.mp4", True),
        ("0", True),
        ("12", True),
        ("²", False),
        ("a.mp4", False),
        ("C:/a.mp4", False),
        ("10:30:00.mp4", False),
        ("12.mp4", False),
        (Path("/videos/rtsp/a.mp4"), False),
        ("\0", False),
    ],
)
def test_is_stream_tells_streams_from_files(source: str | Path, stream: bool) -> None:
    assert is_stream(source) is stream


def test_is_stream_takes_a_file_that_exists_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("7").touch()
    assert not is_stream("7")


SECRET_ADDRESSES = [
    "rtsp://anna:SECRET@10.0.0.1:554/hall",
    "rtsp://anna:SECRET@10.0.0.1:554/a@b",
    "rtsp://anna:SEC/SECRET@10.0.0.1:554/hall",
    "rtsp://anna:12/SECRET@10.0.0.1/hall",
    "rtsp://SECRET@10.0.0.1/hall",
    "rtsp://anna:x@SECRET/y@10.0.0.1/hall",
    "rtsp://anna:SECRET?x#y@10.0.0.1/hall",
    "rtsp://10.0.0.1/user=admin&password=SECRET&channel=1.sdp",
    "http://10.0.0.1/SECRET/stream",
    "http://10.0.0.1/x?token=SECRET",
    "http://10.0.0.1/x#SECRET",
    "http://10.0.0.1?SECRET",
    "rtsp://10.0.0.1\\SECRET",
    "RTSP://anna:SECRET@[::1]:554/hall",
    "rtmp://10.0.0.1/live/SECRET",
    "srt://10.0.0.1:9000?passphrase=SECRET",
    "rtsp://anna:SECRET\n@10.0.0.1/x",
]


@pytest.mark.parametrize("address", SECRET_ADDRESSES)
def test_redacted_and_output_name_hold_no_secret(address: str) -> None:
    for name in (redacted(address), output_name(address), without_secrets(f"can't open {address}: refused", address)):
        assert "SEC" not in name
        assert name.isprintable()
    assert redacted(address).startswith(address.partition("://")[0].lower())


def test_redacted_tells_the_cameras_of_one_host_apart() -> None:
    first, second = (f"rtsp://anna:secret@10.0.0.1:554/{name}" for name in ("hall", "room"))
    assert redacted(first) != redacted(second)
    assert redacted(first).startswith("rtsp://10.0.0.1:554/...")
    assert output_name(first) != output_name(second)
    assert output_name(first) == output_name("rtsp://10.0.0.1:554/hall")
    assert redacted("rtsp://10.0.0.1/") == "rtsp://10.0.0.1"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("videos/a.b.mp4", "a.b"),
        (Path("videos/anna@home.mp4"), "anna@home"),
        ("0", "0"),
        ("...mp4", "video"),
        ("..", "video"),
        ("x/.mp4", "mp4"),
        ("10:30:00.mp4", "10_30_00"),
        ("a\x1b[31m\n.mp4", "a_x1b[31m_n"),
        (os.fsdecode(b"\xff.mp4"), "_xff"),
        ("é" * 120 + ".mp4", "é" * 100),
        ("rtsp://user:x@127.0.0.1:8554", "127_0_0_1_8554"),
    ],
)
def test_output_name_is_one_part_of_a_path(source: str | Path, name: str) -> None:
    assert output_name(source) == name
    assert Path("out", output_name(source)).resolve().parent == Path("out").resolve()


def test_redacted_shows_files_printable() -> None:
    assert redacted("videos/a\x1b.mp4") == r"videos/a\x1b.mp4"
    assert redacted(Path("videos/anna@home.mp4")) == "videos/anna@home.mp4"
