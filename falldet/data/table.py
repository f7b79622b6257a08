"""Tables as people save them: CSV with any usual separator and encoding, headers in any case."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from falldet.errors import FalldetError
from falldet.terminal import shown

SEPARATORS = ",;\t|"
MAX_BYTES = 256 << 20

_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_table(path: Path, known: tuple[str, ...], required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each line and its values by column, stripped; missing ones are blank.

    The separator is the one of `SEPARATORS` that gives the most known columns. Columns are named in lower case with `_`
    for spaces. UTF-8 with or without a byte order mark is read, and UTF-16 with one.

    Args:
        path: a file with a header line.
        known: columns that may occur; others are yielded as well.
        required: columns that must occur.

    Raises:
        FalldetError: the file can't be read, lacks a required column, has one twice, or a line has too many values.
    """
    lines = _text(path).splitlines(keepends=True)
    first = 1 if lines and re.fullmatch(r"\s*sep=.\s*", lines[0], re.IGNORECASE) else 0  # Excel's own first line
    header = lines[first] if first < len(lines) else ""
    separator = max(SEPARATORS, key=lambda each: len(set(_names(header, each)) & {*known}))
    names = _names(header, separator)
    for column in required:
        if column not in names:
            found = f", not {shown(header.strip())}" if header.strip() else ""
            raise FalldetError(
                f"{path}:{first + 1}: no column {column!r}; the first line must name {' and '.join(required)}{found}"
            )
    repeated = next((name for name in known if names.count(name) > 1), None)
    if repeated:
        raise FalldetError(f"{path}:{first + 1}: the column {repeated} occurs twice; remove one")
    reader = csv.reader(io.StringIO("".join(lines[first + 1 :]), newline=""), delimiter=separator)
    try:
        for row in reader:
            number = reader.line_num + first + 1
            if any(cell.strip() for cell in row):
                yield number, _values(names, row, f"{path}:{number}", separator)
    except csv.Error as error:
        raise FalldetError(f"{path} can't be read as a CSV file ({error}); save it as CSV in UTF-8") from None


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise FalldetError(f"{path} can't be read as a CSV file (it is no file); save it as CSV in UTF-8")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise FalldetError(f"{path} has more than {MAX_BYTES >> 20} MiB, too much for a manifest; split it")
        return content.decode(_BYTE_ORDER_MARKS.get(content[:2], "utf-8-sig"))
    except FileNotFoundError:
        raise FalldetError(f"no manifest {path}; give an existing CSV file with the columns path and label") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.reason
        raise FalldetError(f"{path} can't be read as a CSV file ({reason}); save it as CSV in UTF-8") from None


def _names(header: str, separator: str) -> list[str]:
    cells = next(csv.reader([header.strip("\r\n")], delimiter=separator), [])
    return [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in cells]


def _values(names: list[str], row: list[str], place: str, separator: str) -> dict[str, str]:
    extra = [cell for cell in row[len(names) :] if cell.strip()]
    if extra:
        raise FalldetError(
            f"{place}: {len(row)} values for {len(names)} columns; quote values that hold a {separator!r}, "
            "such as a decimal comma"
        )
    return {name: cell.strip() for name, cell in zip(names, [*row, *[""] * len(names)], strict=False)}
