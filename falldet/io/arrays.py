"""Arrays in .npz files, read within limits of memory and without pickle."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

MAX_RATIO = 100
EXTRA_BYTES = 64 << 20
"""An .npz may hold `MAX_RATIO` times its own size and this: compressed zeros would fill any memory."""


def read_arrays(path: str | Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name.

    Args:
        path: the file.
        names: the arrays to read; all must be there.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, lacks an array, holds more than numbers and text, or exceeds the limit.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    wanted = list(names)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive, [f"{name}.npy" for name in wanted], path.stat().st_size)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in wanted}
    except FileNotFoundError:
        raise
    except ValueError:
        raise
    except Exception as error:  # a damaged archive makes the reader fail in nearly any way
        raise ValueError(str(error)[:120] or type(error).__name__) from None


def _check_sizes(archive: zipfile.ZipFile, members: list[str], size: int) -> None:
    """Raise ValueError where the arrays take more memory than the limit, or more than their bytes in the file."""
    entries = {entry.filename: entry for entry in archive.infolist()}
    missing = [name for name in members if name not in entries]
    if missing:
        raise ValueError(f"it lacks the array {missing[0].removesuffix('.npy')}")
    if sum(entries[name].file_size for name in members) > MAX_RATIO * size + EXTRA_BYTES:
        raise ValueError("its arrays are far larger than the file")
    for name in members:
        with archive.open(name) as stream:
            version = npy.read_magic(stream)
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read_header(stream)
            stated = math.prod(shape) * dtype.itemsize if len(shape) <= 32 and min(shape, default=0) >= 0 else -1
            if dtype.hasobject or stream.tell() + stated != entries[name].file_size:
                raise ValueError(f"the array {name.removesuffix('.npy')} doesn't fill its shape")
