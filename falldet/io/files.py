"""Atomic writing of finished files, what a killed process left of them, and their sha256."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from falldet.errors import FalldetError

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_PART_NAME = re.compile(r"\..+\.[a-z0-9_]{8}\.part")  # as `tempfile.mkstemp` makes it


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield the path of an empty temporary file next to `path`, which is renamed to `path` when the block ends well.

    For writers that open their file by name; `atomic_write` is for all others. A block that raises leaves an older
    file under `path` as it was. Missing folders are created.

    Raises:
        FalldetError: the folder can't be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = _locked_part(path)
    except OSError as error:
        raise FalldetError(f"can't write {path}: {error.strerror}; choose another place") from None
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        os.replace(part, path)
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise FalldetError(f"can't write {path}: {error.strerror}; make room or choose another place") from None
    finally:
        part.unlink(missing_ok=True)
        os.close(descriptor)


def sweep_parts(folder: Path) -> list[Path]:
    """Delete the temporary files that processes killed while writing left in a folder; return which.

    A file that a live process writes is locked, and stays. Files of other programs have other names.
    """
    swept = []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if _PART_NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink() and _is_stale(path):
                path.unlink(missing_ok=True)
                swept.append(path)
    return swept


def _locked_part(path: Path) -> tuple[int, str]:
    """Return the descriptor and the name of a temporary file for `path`, locked as long as the descriptor is open."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with suppress(OSError):  # some network drives have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(name):  # a sweep did not come in between
            return descriptor, name
        os.close(descriptor)


def _is_stale(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def atomic_write(path: Path, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a file for writing that appears under `path` only when the block ends well.

    Missing folders are created. The contents are flushed to the disk before the file gets its name.

    Args:
        path: the finished file; an older one is replaced in one step.
        binary: bytes instead of UTF-8 text, whose line ends are written as they are.

    Raises:
        FalldetError: the folder can't be written, or the disk is full.
    """
    mode, encoding, newline = ("wb", None, None) if binary else ("w", "utf-8", "")
    with atomic_path(path) as part, part.open(mode, encoding=encoding, newline=newline) as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's contents, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
