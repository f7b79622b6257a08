"""Text on its way to a terminal: names and values of unknown origin are shown escaped, and never at full length."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import islice
from typing import Any

MAX_LENGTH = 80
"""Characters of a value in a message."""

_MAX_ITEMS = 4
_MAX_DEPTH = 2
_MAX_BITS = 256


def shown(value: Any, length: int = MAX_LENGTH) -> str:
    """Return a value as text for a message, like `repr`, but in bounded time and length and without a line break.

    `repr` of a value out of a file can take all memory: a tuple that holds another one twice, 60 times over, has 2^60
    items. Here no more than a few items and levels are visited.

    Args:
        value: anything; values of other types than Python's own and numpy's are shown as the name of their type.
        length: most characters of the result.

    Example:
        >>> shown(["a", "b"])
        "['a', 'b']"
    """
    text = _shown(value, length, _MAX_DEPTH)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _shown(value: Any, length: int, depth: int) -> str:
    if type(value).__module__ == "numpy" and hasattr(value, "dtype"):  # without numpy, which loads slowly
        if value.shape or value.dtype.kind not in "biuf":
            return f"an array {value.dtype} {value.shape}"[:length]
        value = value.item()
    if isinstance(value, str | bytes | bytearray):
        return repr(value[:length]) + "..." * (len(value) > length)
    if isinstance(value, int) and not isinstance(value, bool):
        bits = value.bit_length()  # repr takes quadratic time, and refuses more than some thousand digits
        return repr(int(value)) if bits <= _MAX_BITS else f"a whole number of {bits} bits"
    if value is None or value is Ellipsis or isinstance(value, bool | float | complex):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = [
            f"{_shown(key, length, depth - 1)}: {_shown(item, length, depth - 1)}"
            for key, item in islice(value.items(), _MAX_ITEMS if depth else 0)
        ]
        return f"{{{_joined(pairs, len(value))}}}"
    if isinstance(value, list | tuple | set | frozenset):
        items = [_shown(item, length, depth - 1) for item in islice(value, _MAX_ITEMS if depth else 0)]
        if isinstance(value, tuple):
            return f"({_joined(items, len(value))}{',' * (len(value) == 1)})"
        return f"[{_joined(items, len(value))}]" if isinstance(value, list) else f"{{{_joined(items, len(value))}}}"
    return f"a {type(value).__name__[:length]}"


def _joined(parts: list[str], count: int) -> str:
    return ", ".join(parts if len(parts) == count else [*parts, "..."])


def printable(text: object, keep: str = "") -> str:
    r"""Return text that a terminal and a UTF-8 file can hold: whatever is not printable becomes a backslash escape.

    Covers escape sequences (`\x1b`), line breaks, the bell, marks that turn the direction of writing, and the bytes of
    a file name that is not UTF-8.

    Args:
        text: a name, a path or a message.
        keep: characters to leave as they are, such as a line break.

    Example:
        >>> printable("a\x1b[31m.mp4")
        'a\\x1b[31m.mp4'
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8, as os.fsdecode gives it
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


class LineFormatter(logging.Formatter):
    """Formats a log record as one printable line; a traceback follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # the name is logging's
        """Return the line of a record."""
        return printable(super().formatMessage(record))


def log_to(stream: Any = None) -> None:
    """Send the log of this process to `stream`, stderr where it is None, one printable line a record."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
