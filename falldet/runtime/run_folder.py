"""The folder of one run: never one that holds the record of another run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from falldet.errors import FalldetError
from falldet.io.files import sweep_parts

logger = logging.getLogger(__name__)

RECORD = "events.jsonl"
"""The file that claims a folder for a run."""


@contextmanager
def run_folder(base: Path) -> Iterator[Path]:
    """Claim a folder for the outputs of a run: `base`, or where that holds a record, `base`-2, `base`-3, ...

    Two runs that begin at the same moment get two folders. Temporary files that killed runs left in these folders are
    deleted. Where the block raises before anything is recorded, the folder is removed again.

    Raises:
        FalldetError: the folder can't be made.
    """
    missing = [folder for folder in base.parents if not folder.exists()]
    existed = base.exists()
    folder = _claim(base)
    if folder != base:
        logger.warning("%s holds the results of another run; these go to %s", base, folder)
    try:
        yield folder
    except BaseException:
        _give_back(folder, [*([] if existed and folder == base else [folder]), *missing])
        raise


def _claim(base: Path) -> Path:
    for number in count(1):
        folder = base if number == 1 else _numbered(base, number)
        sweep_parts(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(folder / RECORD, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        except OSError as error:
            if isinstance(error, FileExistsError) and folder.is_dir():
                continue
            raise FalldetError(f"can't write {folder}: {error.strerror}; choose another --out-dir") from None
        return folder
    raise AssertionError


def _numbered(base: Path, number: int) -> Path:
    whole = base if base.name not in ("", "..") else base.resolve()
    return whole.with_name(f"{whole.name}-{number}")


def _give_back(folder: Path, made: list[Path]) -> None:
    """Remove an empty record, and the folders that were made and are empty."""
    with suppress(OSError):
        if (folder / RECORD).stat().st_size == 0:
            (folder / RECORD).unlink()
            for each in made:
                each.rmdir()  # raises where other files are in it
