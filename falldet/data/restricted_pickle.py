"""A pickle reader for plain containers, numbers, strings and numeric numpy arrays, and for nothing else.

The names in numpy's pickles (`_reconstruct`, `ndarray`, `dtype`, ...) are replaced by functions of this module that
check every argument, so that no function of another module is ever called with values out of the file. An object array,
a function or an instance of a class is refused before any of its code runs.

A file of a few bytes can ask for any amount of memory and time. The limits: a length in the file never exceeds the
rest of the file, the arrays together hold at most the size of the file and `EXTRA_BYTES`, and the number of steps is at
most `EXTRA_STEPS` and one for every `BYTES_PER_STEP` bytes of the file. Keys of dicts are strings or numbers, because
the hash of a tuple visits all that it holds. So memory stays below four times the file and some 200 MB, and time below
some seconds for each 50 MB.
Source: https://docs.python.org/3/library/pickle.html#restricting-globals
"""

from __future__ import annotations

import math
import os
import pickle
import pickletools
import struct
from collections.abc import Callable, Container, Mapping
from typing import Any, BinaryIO, NoReturn

import numpy as np

from falldet.errors import FalldetError
from falldet.terminal import printable, shown

CODE2OP: dict[str, pickletools.OpcodeInfo] = {info.code: info for info in pickletools.opcodes}
"""The instructions of pickles by their code."""

EXTRA_BYTES = 32 << 20
EXTRA_STEPS = 1 << 19
BYTES_PER_STEP = 32

_NUMERIC = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_MAX_AXES = 32
_STEPS_OF_A_CALL = 4
"""A call makes an object; any other step makes at most a small container."""

_OPCODES = frozenset(
    """PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT
    BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES
    BINBYTES8 BYTEARRAY8 EMPTY_LIST EMPTY_TUPLE EMPTY_DICT LIST TUPLE TUPLE1 TUPLE2 TUPLE3 DICT APPEND APPENDS SETITEM
    SETITEMS PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD""".split()
)


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
    except _RefusedError as error:
        raise FalldetError(
            f"{where} is refused, it holds {error}; only lists, dicts, strings, numbers and numeric arrays are read"
        ) from None
    except Exception as error:  # a broken pickle makes the reader fail in nearly any way
        reason = printable(str(error)[:120]) or type(error).__name__
        raise FalldetError(f"{where} is no complete pickle ({reason}); make it anew or copy it again") from None


def check_limits(stream: BinaryIO, where: str) -> None:
    """Read a pickle of any contents without making its objects, to see that reading it stays within the limits.

    Args:
        stream: a file open for reading, at the beginning of the pickle; afterwards it is at its end.
        where: name of the file, for messages.

    Raises:
        FalldetError: the stream is incomplete, or exceeds the limits of memory and time.
    """
    try:
        _InertReader(stream).load()
    except _RefusedError as error:
        raise FalldetError(f"{where} is refused, it holds {error}; give a file from a source that you trust") from None
    except Exception:  # as above
        raise FalldetError(f"{where} is incomplete or damaged; copy it again") from None


class _RefusedError(Exception):
    """The file holds an object that is not allowed."""


class _File:
    """A file that gives out no more than it has: a longer read fails before memory is taken for it."""

    def __init__(self, stream: BinaryIO) -> None:
        start = stream.tell()
        self.size = self._left = stream.seek(0, os.SEEK_END) - start
        stream.seek(start)
        self._stream = stream

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self._left:
            raise EOFError("it ends too early")
        self._left -= count
        return self._stream.read(count)

    def readline(self) -> bytes:
        line = self._stream.readline()
        self._left -= len(line)
        return line


class _Inert:
    """Stands for an object that a pickle names; nothing can be done with it."""

    __slots__ = ()


class _Steps(dict[int, Callable[[Any], None]]):
    """The functions of the opcodes; each lookup is a step, and there is a limit on steps."""

    def __init__(self, functions: dict[int, Callable[[Any], None]], left: int) -> None:
        super().__init__(functions)
        self.left = left

    def __getitem__(self, opcode: int) -> Callable[[Any], None]:
        self.take(1)
        return super().__getitem__(opcode)

    def __missing__(self, opcode: int) -> NoReturn:
        if chr(opcode) in "PQ":  # PERSID, BINPERSID
            raise _RefusedError("a reference to the outside")
        if chr(opcode) in CODE2OP:
            raise _RefusedError(f"the pickle instruction {CODE2OP[chr(opcode)].name}")
        raise ValueError(f"byte {opcode} where an instruction belongs")

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise _RefusedError("far more values than a file of this size does")


class _Reader(pickle._Unpickler):
    """Python's own unpickler (the one in Python, whose memory can be bounded), for few instructions and names."""

    def __init__(self, stream: BinaryIO) -> None:
        file = _File(stream)
        super().__init__(file)  # type: ignore[arg-type]
        self._array_bytes_left = file.size + EXTRA_BYTES
        self.dispatch = _Steps(_FUNCTIONS, EXTRA_STEPS + file.size // BYTES_PER_STEP)  # type: ignore[misc]

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of a name that numpy's arrays need; refuse every other."""
        replacement = _REPLACEMENTS.get((module.replace("numpy.core.", "numpy._core."), name))
        if replacement is None:
            raise _RefusedError(printable(f"{module[:80]}.{name[:80]}"))
        return replacement

    def take_array(self, value: Any) -> None:
        """Count the bytes of an array or text; many may be made from the same bytes of the file."""
        self._array_bytes_left -= value.nbytes if isinstance(value, np.ndarray) else len(value)
        if self._array_bytes_left < 0:
            raise _RefusedError("arrays of far more bytes than the file")


def _load_reduce(reader: Any) -> None:
    reader.dispatch.take(_STEPS_OF_A_CALL)
    arguments, function = reader.stack.pop(), reader.stack[-1]
    if not isinstance(function, _Replacement) or not isinstance(arguments, tuple):
        raise _RefusedError("a call of what is no function")
    reader.stack[-1] = value = function(*arguments)
    if isinstance(value, np.ndarray | bytes):
        reader.take_array(value)


def _load_build(reader: Any) -> None:
    reader.dispatch.take(_STEPS_OF_A_CALL)
    state, target = reader.stack.pop(), reader.stack[-1]
    if not isinstance(target, _Replacement | _Dtype | _Array):
        raise _RefusedError(f"a change of a {type(target).__name__}")
    target.__setstate__(state)
    if isinstance(target, _Array):
        reader.take_array(target)


def _load_append(reader: Any) -> None:
    value = reader.stack.pop()
    _of_type(reader.stack[-1], list).append(value)


def _load_appends(reader: Any) -> None:
    items = reader.pop_mark()
    _of_type(reader.stack[-1], list).extend(items)


def _load_setitem(reader: Any) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    _of_type(reader.stack[-1], dict)[_checked_key(key)] = value


def _load_setitems(reader: Any) -> None:
    items = reader.pop_mark()
    _of_type(reader.stack[-1], dict).update(_pairs(items))


def _load_dict(reader: Any) -> None:
    items = reader.pop_mark()
    reader.append(_pairs(items))


def _load_bytearray8(reader: Any) -> None:
    (length,) = struct.unpack("<Q", reader.read(8))
    reader.append(bytearray(reader.read(length)))


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return {_checked_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _checked_key(key: Any) -> Any:
    if not isinstance(key, str | int | float | bytes | None):
        raise _RefusedError(f"{shown(key)} as the key of a dict")
    return key


def _of_type(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise _RefusedError(f"items for a {type(value).__name__}")
    return value


class _InertReader(_Reader):
    """Reads a pickle whose objects are not made: a name, a call and an outside reference give an `_Inert`."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.dispatch = _Steps(_INERT_FUNCTIONS, EXTRA_STEPS + self.dispatch.left)  # type: ignore[misc, attr-defined]

    def find_class(self, module: str, name: str) -> Any:
        """Return an inert object."""
        return _Inert()

    def persistent_load(self, pid: Any) -> Any:
        """Return an inert object."""
        return _Inert()


def _inert_reduce(reader: Any) -> None:
    reader.dispatch.take(_STEPS_OF_A_CALL)
    reader.stack.pop()
    reader.stack[-1] = _Inert()


def _inert_build(reader: Any) -> None:
    reader.stack.pop()


def _inert_append(reader: Any) -> None:
    reader.stack.pop()


def _inert_appends(reader: Any) -> None:
    reader.pop_mark()


def _inert_setitem(reader: Any) -> None:
    reader.stack.pop()
    _checked_key(reader.stack.pop())


def _inert_setitems(reader: Any) -> None:
    for key in reader.pop_mark()[::2]:
        _checked_key(key)


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
        if not isinstance(code, str) or code not in _NUMERIC:
            raise _RefusedError(f"an array of dtype {shown(code)}")
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
    if not isinstance(shape, tuple) or len(shape) > _MAX_AXES or not all(map(_is_length, shape)):
        raise _RefusedError(f"an array of shape {shown(shape)}")
    if not isinstance(content, bytes | bytearray) or len(content) != math.prod(shape) * dtype.dtype.itemsize:
        raise _RefusedError("an array whose bytes do not fill its shape")


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
        raise _RefusedError(f"an encoding {shown(codec)}")
    return text.encode("latin1")


_REPLACEMENTS = {
    ("numpy._core.multiarray", "_reconstruct"): _Replacement(_reconstruct),
    ("numpy._core.numeric", "_frombuffer"): _Replacement(_frombuffer),
    ("numpy._core.multiarray", "scalar"): _Replacement(_scalar),
    ("numpy", "ndarray"): _Replacement(),
    ("numpy", "dtype"): _Replacement(_Dtype),
    ("_codecs", "encode"): _Replacement(_encode),
}

_REPLACED = {
    "REDUCE": _load_reduce,
    "BUILD": _load_build,
    "APPEND": _load_append,
    "APPENDS": _load_appends,
    "SETITEM": _load_setitem,
    "SETITEMS": _load_setitems,
    "DICT": _load_dict,
    "BYTEARRAY8": _load_bytearray8,
}
_INERT = {
    **_REPLACED,
    "REDUCE": _inert_reduce,
    "NEWOBJ": _inert_reduce,
    "BUILD": _inert_build,
    "APPEND": _inert_append,
    "APPENDS": _inert_appends,
    "SETITEM": _inert_setitem,
    "SETITEMS": _inert_setitems,
}


def _table(names: Container[str], replaced: Mapping[str, Callable[[Any], None]]) -> dict[int, Callable[[Any], None]]:
    return {
        ord(code): replaced.get(opcode.name, pickle._Unpickler.dispatch[ord(code)])
        for code, opcode in CODE2OP.items()
        if opcode.name in names
    }


_FUNCTIONS = _table(_OPCODES, _REPLACED)
_INERT_FUNCTIONS = _table(_OPCODES | {"BINPERSID", "NEWOBJ"}, _INERT)
