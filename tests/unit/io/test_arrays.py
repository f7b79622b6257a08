"""read_arrays: .npz files within limits of memory, without pickle."""

from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from falldet.io.arrays import read_arrays


def npy_header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def write(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content)
    return path


def test_read_arrays_reads_what_numpy_writes(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "é"]), "c": np.array(1), "d": np.zeros((0, 4))}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        found = read_arrays(tmp_path / "a.npz", arrays)
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize(
    "content",
    [
        npy_header("(1000000000000,)"),
        npy_header("(1000000000000, 0)") + b"\0",
        npy_header("(-1,)"),
        npy_header("(2,)"),
        npy_header("(1,)", "'|O'") + b"\x80\x04N.",
        npy_header("(" + "1," * 70 + ")") + bytes(4),
        npy_header("("),
        b"\x93NUMPY\x09\x00",
        b"",
        b"x" * 100,
    ],
)
def test_read_arrays_refuses_an_array_that_does_not_fill_its_shape(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_arrays(write(tmp_path / "a.npz", content), ["a"])


def test_read_arrays_refuses_what_is_far_larger_than_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", npy_header("(50000000,)") + bytes(200_000_000))
    started = time.monotonic()
    with pytest.raises(ValueError, match="far larger than the file"):
        read_arrays(path, ["a"])
    assert time.monotonic() - started < 1


def test_read_arrays_refuses_a_missing_array_a_pipe_and_no_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="lacks the array b"):
        read_arrays(tmp_path / "a.npz", ["a", "b"])
    os.mkfifo(tmp_path / "pipe.npz")
    for name, content in (("pipe.npz", None), ("cut.npz", (tmp_path / "a.npz").read_bytes()[:-30])):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"."):
            read_arrays(tmp_path / name, ["a"])
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "none.npz", ["a"])
