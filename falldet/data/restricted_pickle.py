"""A pickle reader for plain containers, numbers, strings and numeric numpy arrays, and for nothing else.

The names in numpy's pickles (`_reconstruct`, `ndarray`, `dtype`, ...) are replaced by functions of this module that
check every argument, so that no function of another module is ever called with values out of the file. An object array,
a function or an instance of a class is refused before any of its code runs.

Memory and time are bounded (`falldet.data.pickle_limits`); here the arrays together hold at most the size of the file
and `EXTRA_BYTES`. So memory stays below four times the file and some 200 MB, and time below some seconds for each 50 MB.
Source: https://docs.python.org/3/library/pickle.html#restricting-globals
"""

from __future__ import annotations

import math
import pickle
from typing import Any, BinaryIO, NoReturn

import numpy as np

from falldet.data.pickle_limits import OPCODES, STEPS_OF_A_CALL, LimitedReader, RefusedError, instruction_table
from falldet.errors import FalldetError
from falldet.terminal import printable, shown

EXTRA_BYTES = 32 << 20

_NUMERIC = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_MAX_AXES = 32

def load_restricted(stream: BinaryIO, where: str) -> Any:
    """Return what the pickle in `stream` holds; arrays come back as numpy arrays, numpy scalars as Python numbers.

    Args:
        stream: a file open for reading, at its beginning.
        where: name of the file, for messages.

    Raises:
        FalldetError: the stream is no pickle, is truncated, names anything but numpy's numeric arrays, or exceeds the
            limits of memory and time.
    """
    try:
        return _Reader(stream).load()
    except RefusedError as error:
        raise FalldetError(
            f"{where} is refused, it holds {error}; only lists, dicts, strings, numbers and numeric arrays are read"
        ) from None
    except Exception as error:  # a broken pickle makes the reader fail in nearly any way
        reason = printable(str(error)[:120]) or type(error).__name__
        raise FalldetError(f"{where} is no complete pickle ({reason}); make it anew or copy it again") from None


class _Reader(LimitedReader):
    """Reads plain containers, and arrays through the functions of this module."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, _FUNCTIONS)
        self._array_bytes_left = self.size + EXTRA_BYTES

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of a name that numpy's arrays need; refuse every other."""
        replacement = _REPLACEMENTS.get((module.replace("numpy.core.", "numpy._core."), name))
        if replacement is None:
            raise RefusedError(printable(f"{module[:80]}.{name[:80]}"))
        return replacement

    def take_array(self, value: Any) -> None:
        """Count the bytes of an array or text; many may be made from the same bytes of the file."""
        self._array_bytes_left -= value.nbytes if isinstance(value, np.ndarray) else len(value)
        if self._array_bytes_left < 0:
            raise RefusedError("arrays of far more bytes than the file")


def _load_reduce(reader: Any) -> None:
    reader.steps.take(STEPS_OF_A_CALL)
    arguments, function = reader.stack.pop(), reader.stack[-1]
    if not isinstance(function, _Replacement) or not isinstance(arguments, tuple):
        raise RefusedError("a call of what is no function")
    reader.stack[-1] = value = function(*arguments)
    if isinstance(value, np.ndarray | bytes):
        reader.take_array(value)


def _load_build(reader: Any) -> None:
    reader.steps.take(STEPS_OF_A_CALL)
    state, target = reader.stack.pop(), reader.stack[-1]
    if not isinstance(target, _Replacement | _Dtype | _Array):
        raise RefusedError(f"a change of a {type(target).__name__}")
    target.__setstate__(state)
    if isinstance(target, _Array):
        reader.take_array(target)


class _Replacement:
    """Replaces a name in the file: it can be called, where it has a function, but never be changed."""

    __slots__ = ("_function",)

    def __init__(self, function: Any = None) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        if self._function is None:
            raise RefusedError("a call of numpy.ndarray")
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise RefusedError("a change of a numpy function")


class _Dtype:
    """A numeric dtype being loaded; `__setstate__` takes its byte order."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or code not in _NUMERIC:
            raise RefusedError(f"an array of dtype {shown(code)}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order, subtype, names = state[1], state[2], state[3]
        if order not in ("<", ">", "|", "=") or subtype is not None or names is not None:
            raise RefusedError("an array of a structured dtype")
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
        raise RefusedError("an array without a dtype")
    if not isinstance(shape, tuple) or len(shape) > _MAX_AXES or not all(map(_is_length, shape)):
        raise RefusedError(f"an array of shape {shown(shape)}")
    if not isinstance(content, bytes | bytearray) or len(content) != math.prod(shape) * dtype.dtype.itemsize:
        raise RefusedError("an array whose bytes do not fill its shape")


def _is_length(length: Any) -> bool:
    return type(length) is int and 0 <= length < 1 << 48


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
        raise RefusedError(f"an encoding {shown(codec)}")
    return text.encode("latin1")


_REPLACEMENTS = {
    ("numpy._core.multiarray", "_reconstruct"): _Replacement(_reconstruct),
    ("numpy._core.numeric", "_frombuffer"): _Replacement(_frombuffer),
    ("numpy._core.multiarray", "scalar"): _Replacement(_scalar),
    ("numpy", "ndarray"): _Replacement(),
    ("numpy", "dtype"): _Replacement(_Dtype),
    ("_codecs", "encode"): _Replacement(_encode),
}

_FUNCTIONS = instruction_table(OPCODES, {"REDUCE": _load_reduce, "BUILD": _load_build})
