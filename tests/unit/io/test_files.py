"""Files that appear only when they are complete."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from falldet.errors import FalldetError
from falldet.io.files import atomic_path, atomic_write, sha256_of, sweep_parts


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_and_raise(path: Path, error: BaseException) -> None:
    with atomic_write(path) as stream:
        stream.write("newer")
        raise error


def test_atomic_write_names_the_file_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.txt"
    with atomic_write(path) as stream:
        stream.write("größer\n")
        assert not path.exists()
    assert path.read_bytes() == "größer\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    assert left_over(path.parent) == ["a.txt"]


def test_atomic_write_writes_bytes(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.bin", binary=True) as stream:
        stream.write(b"\x00\r\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\r\n"


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()])
def test_atomic_write_keeps_the_older_file_after_an_exception(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("older")
    with pytest.raises(type(error)):
        write_and_raise(path, error)
    assert path.read_text() == "older"
    assert left_over(tmp_path) == ["a.txt"]


def test_atomic_path_is_beside_the_file_and_takes_its_name(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.mp4"
    with atomic_path(path) as part:
        assert part.parent == path.parent
        assert part.read_bytes() == b""
        part.write_bytes(b"frames")
        assert not path.exists()
    assert path.read_bytes() == b"frames"
    assert path.stat().st_mode & 0o777 == 0o644
    assert left_over(path.parent) == ["a.mp4"]


def test_atomic_path_leaves_nothing_after_an_exception(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.mp4"):
        raise ZeroDivisionError
    assert left_over(tmp_path) == []


def test_atomic_path_names_the_cure_where_the_folder_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FalldetError, match=r"can't write .*a\.mp4: .*; choose another place"):
        atomic_path(tmp_path / "file" / "a.mp4").__enter__()


def test_atomic_path_names_the_cure_where_the_disk_is_full(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match=r"can't write .*a\.mp4: full; make room"), atomic_path(tmp_path / "a.mp4"):
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a.mp4"):
        raise PermissionError(errno.EPERM, "not a matter of room")
    assert left_over(tmp_path) == []


def test_sha256_of_is_that_of_the_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"falls")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"falls").hexdigest()


def test_sweep_parts_deletes_what_killed_processes_left_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom falldet.io.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as stream:\n"
        "    stream.write('half')\n    stream.flush()\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.csv"], cwd=root, check=False)
    (stale,) = tmp_path.iterdir()
    others = [".b.part", "c.abcd1234.part", ".d.ABCD1234.part", ".e.abcd1234.csv"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".f.abcd1234.part").mkdir()
    with atomic_path(tmp_path / "live.csv") as live:
        assert sweep_parts(tmp_path) == [stale]
        assert live.exists()
    assert left_over(tmp_path) == sorted([*others, ".f.abcd1234.part", "live.csv"])
    assert sweep_parts(tmp_path / "missing") == []
