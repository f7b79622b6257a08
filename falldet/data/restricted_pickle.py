"""A pickle reader for plain containers, numbers, strings and numeric numpy arrays, and for nothing else.

The names in numpy's pickles (`_reconstruct`, `ndarray`, `dtype`, ...) are replaced by functions of this module that
check every argument, so that no function of another module is ever called with values out of the file. An object array,
a function or an instance of a class is refused before any of its code runs.
Source: https://docs.python.org/3/library/pickle.html#restricting-globals
"""

from __future__ import annotations

import math
import pickle
from typing import Any, BinaryIO, NoReturn

import numpy as np

from falldet.errors import FalldetError

_NUMERIC = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


def load_restricted(stream: BinaryIO, where: str) -> Any:
    """Return what the pickle in `stream` holds; arrays come back as numpy arrays, numpy scalars as Python numbers.

    Raises:
        FalldetError: the stream is no pickle, is truncated, or names anything but numpy's numeric arrays.
    """
    try:
        return _Reader(stream).load()
    except _RefusedError as error:
        raise FalldetError(
            f"{where} is refused, it holds {error}; only lists, dicts, strings, numbers and numeric arrays are read"
        ) from None
    except Exception as error:  # a broken pickle makes the reader fail in nearly any way
        reason = str(error) or type(error).__name__
        raise FalldetError(f"{where} is no complete pickle ({reason}); make it anew or copy it again") from None


class _RefusedError(Exception):
    """The file holds an object that is not allowed."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of a name that numpy's arrays need; refuse every other."""
        replacement = _REPLACEMENTS.get((module.replace("numpy.core.", "numpy._core."), name))
        if replacement is None:
            raise _RefusedError(f"{module}.{name}")
        return replacement

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse references to objects outside the file."""
        raise _RefusedError(f"the outside reference {str(pid)[:80]!r}")


class _Replacement:
    """Replaces a name in the file: it can be called, where it has a function, but never be changed."""

    __slots__ = ("_function",)

    def __init__(self, function: Any = None) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        if self._function is None:
            raise _RefusedError("a call of numpy.ndarray")
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise _RefusedError("a change of a numpy function")


class _Dtype:
    """A numeric dtype being loaded; `__setstate__` takes its byte order."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in _NUMERIC:
            raise _RefusedError(f"an array of dtype {str(code)[:80]!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order, subtype, names = state[1], state[2], state[3]
        if order not in ("<", ">", "|", "=") or subtype is not None or names is not None:
            raise _RefusedError("an array of a structured dtype")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array being loaded: empty until `__setstate__` has checked its contents."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, column_major, content = state
        _check_buffer(content, dtype, shape)
        super().__setstate__((1, shape, dtype.dtype, bool(column_major), bytes(content)))


def _check_buffer(content: Any, dtype: Any, shape: Any) -> None:
    if not isinstance(dtype, _Dtype):
        raise _RefusedError("an array without a dtype")
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise _RefusedError(f"an array of shape {str(shape)[:80]}")
    if not isinstance(content, bytes | bytearray) or len(content) != math.prod(shape) * dtype.dtype.itemsize:
        raise _RefusedError("an array whose bytes do not fill its shape")


def _reconstruct(*_: Any) -> _Array:
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _frombuffer(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    _check_buffer(content, dtype, shape)
    return np.frombuffer(content, dtype.dtype).reshape(shape, order="F" if order == "F" else "C").copy()


def _scalar(dtype: Any, content: Any) -> Any:
    _check_buffer(content, dtype, ())
    return np.frombuffer(content, dtype.dtype)[0].item()


def _encode(text: Any, codec: Any) -> bytes:
    if not isinstance(text, str) or codec != "latin1":
        raise _RefusedError(f"an encoding {str(codec)[:80]!r}")
    return text.encode("latin1")


_REPLACEMENTS = {
    ("numpy._core.multiarray", "_reconstruct"): _Replacement(_reconstruct),
    ("numpy._core.numeric", "_frombuffer"): _Replacement(_frombuffer),
    ("numpy._core.multiarray", "scalar"): _Replacement(_scalar),
    ("numpy", "ndarray"): _Replacement(),
    ("numpy", "dtype"): _Replacement(_Dtype),
    ("_codecs", "encode"): _Replacement(_encode),
}
