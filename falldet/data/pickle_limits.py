"""A pickle reader whose memory and time are bounded by the size of the file.

A file of a few bytes can ask for any amount of memory and time. The limits: a length in the file never exceeds the
rest of the file, and the number of steps is at most `EXTRA_STEPS` and one for every `BYTES_PER_STEP` bytes of the file.
Keys of dicts are strings or numbers, because the hash of a tuple visits all that it holds, and sets are not read. This
module makes plain containers; `falldet.data.restricted_pickle` adds arrays.
Source: the unpickler in Lib/pickle.py, which is written in Python: its memory can be bounded, that of the one in C not.
"""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
from collections.abc import Callable, Container, Mapping
from typing import Any, BinaryIO, NoReturn

from falldet.errors import FalldetError
from falldet.terminal import shown

EXTRA_STEPS = 1 << 19
BYTES_PER_STEP = 32

STEPS_OF_A_CALL = 4
"""A call makes an object; any other step makes at most a small container."""

_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
OPCODES = frozenset(
    """PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT
    BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES
    BINBYTES8 BYTEARRAY8 EMPTY_LIST EMPTY_TUPLE EMPTY_DICT LIST TUPLE TUPLE1 TUPLE2 TUPLE3 DICT APPEND APPENDS SETITEM
    SETITEMS PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD""".split()
)


def check_limits(stream: BinaryIO, where: str) -> Any:
    """Read a pickle of any contents without making its objects, to see that reading it stays within the limits.

    Args:
        stream: a file open for reading, at the beginning of the pickle; afterwards it is at its end.
        where: name of the file, for messages.

    Returns:
        The value, where it is a plain one; of a container only its type.

    Raises:
        FalldetError: the stream is incomplete, or exceeds the limits of memory and time.
    """
    try:
        return _InertReader(stream).load()
    except RefusedError as error:
        raise FalldetError(f"{where} is refused, it holds {error}; give a file from a source that you trust") from None
    except Exception:  # as above
        raise FalldetError(f"{where} is incomplete or damaged; copy it again") from None


class RefusedError(Exception):
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
            raise RefusedError("a reference to the outside")
        if opcode in _NAMES:
            raise RefusedError(f"the pickle instruction {_NAMES[opcode]}")
        raise ValueError(f"byte {opcode} where an instruction belongs")

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise RefusedError("far more values than a file of this size does")


class LimitedReader(pickle._Unpickler):
    """Python's own unpickler within the limits, for the instructions of a table.

    Args:
        stream: a file open for reading, at the beginning of the pickle.
        table: functions by instruction, of `instruction_table`.
    """

    def __init__(self, stream: BinaryIO, table: dict[int, Callable[[Any], None]]) -> None:
        file = _File(stream)
        super().__init__(file)  # type: ignore[arg-type]
        self.size = file.size
        self.steps = _Steps(table, EXTRA_STEPS + file.size // BYTES_PER_STEP)
        self.dispatch = self.steps  # type: ignore[misc]


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
        raise RefusedError(f"{shown(key)} as the key of a dict")
    return key


def _of_type(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise RefusedError(f"items for a {type(value).__name__}")
    return value


class _InertReader(LimitedReader):
    """Reads a pickle whose objects are not made: a name, a call and an outside reference give an `_Inert`."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, _INERT_FUNCTIONS)

    def find_class(self, module: str, name: str) -> Any:
        """Return an inert object."""
        return _Inert()

    def persistent_load(self, pid: Any) -> Any:
        """Return an inert object."""
        return _Inert()


def _inert_reduce(reader: Any) -> None:
    reader.steps.take(STEPS_OF_A_CALL)
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


_REPLACED = {
    "APPEND": _load_append,
    "APPENDS": _load_appends,
    "SETITEM": _load_setitem,
    "SETITEMS": _load_setitems,
    "DICT": _load_dict,
    "BYTEARRAY8": _load_bytearray8,
}
_INERT = {
    "REDUCE": _inert_reduce,
    "NEWOBJ": _inert_reduce,
    "BUILD": _inert_build,
    "APPEND": _inert_append,
    "APPENDS": _inert_appends,
    "SETITEM": _inert_setitem,
    "SETITEMS": _inert_setitems,
}


def instruction_table(
    names: Container[str], replaced: Mapping[str, Callable[[Any], None]]
) -> dict[int, Callable[[Any], None]]:
    """Return the functions of the instructions `names`: those of `replaced`, of this module, or else of pickle."""
    replaced = {**_REPLACED, **replaced}
    return {
        code: replaced.get(name, pickle._Unpickler.dispatch[code])
        for code, name in _NAMES.items()
        if name in names
    }


_INERT_FUNCTIONS = instruction_table(OPCODES | {"BINPERSID", "NEWOBJ"}, _INERT)
