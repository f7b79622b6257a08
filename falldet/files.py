"""Text files that appear only when they are complete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from falldet.errors import FalldetError


@contextmanager
def finished_file(path: Path) -> Iterator[IO[str]]:
    """Open a UTF-8 text file that gets its name only when the block ends well; folders are made.

    Raises:
        FalldetError: the folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise FalldetError(f"can't write {path}: {error.strerror}; choose another place") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            yield stream
        Path(part).chmod(0o644)
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
