"""Files that appear only when they are complete, and the digest that tells one file from another."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from falldet.errors import FalldetError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@contextmanager
def atomic_write(path: Path, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a file, of UTF-8 text or binary, that gets its name only when the block ends well; folders are made.

    Raises:
        FalldetError: the folder can't be written, or has no room.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise FalldetError(f"can't write {path}: {error.strerror}; choose another place") from None
    try:
        mode, encoding, newline = ("wb", None, None) if binary else ("w", "utf-8", "")
        with os.fdopen(descriptor, mode, encoding=encoding, newline=newline) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(part).chmod(0o644)
        os.replace(part, path)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise FalldetError(f"can't write {path}: {error.strerror}; make room or choose another place") from None
    finally:
        Path(part).unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's contents in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
