"""Text on its way to a terminal: bounded in time and length, and without escape sequences."""

from __future__ import annotations

import io
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from falldet.cli import make_parser
from falldet.cli.process import tell_error
from falldet.terminal import LineFormatter, printable, shown


def laughs(kind: type = tuple, levels: int = 60) -> Any:
    value: Any = kind(("ha",))
    for _ in range(levels):
        value = kind((value, value))
    return value


def deep(levels: int = 100_000) -> Any:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


recursive: list[Any] = []
recursive.append(recursive)


@pytest.mark.parametrize(
    "value",
    [
        laughs(),
        laughs(list),
        deep(),
        recursive,
        {"a": laughs()},
        list(range(10**6)),
        {number: number for number in range(10**5)},
        set(range(10**5)),
        "x" * 10**8,
        b"\x1b" * 10**7,
        bytearray(10**6),
        1 << 10**7,
        -(1 << 10**6),
        np.zeros((100, 100)),
        np.array(laughs(tuple, 3), dtype=object),
        type("T" * 10**6, (), {})(),
        "\x1b[31m\n\a\u202e\udcff",
    ],
    ids=lambda value: type(value).__name__[:20],
)
def test_shown_is_bounded_in_time_and_length(value: Any) -> None:
    started = time.monotonic()
    text = shown(value)
    assert time.monotonic() - started < 0.5
    assert len(text) <= 90
    assert text.isprintable()


@pytest.mark.parametrize(
    "value", [None, True, 7, -1.5, 1j, "it's", b"a", [], [1, "b"], (), (1,), (1, 2), {}, {"a": [1]}, {1}, ...]
)
def test_shown_equals_repr_for_small_values(value: Any) -> None:
    assert shown(value) == repr(value)


def test_shown_gives_numpy_scalars_as_numbers() -> None:
    assert (shown(np.float32(0.5)), shown(np.int64(3)), shown(np.zeros(3))) == ("0.5", "3", "an array float64 (3,)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("straße 1.mp4", "straße 1.mp4"),
        ("a\x1b[31m\n\a\x7f\x9b.mp4", r"a\x1b[31m\n\x07\x7f\x9b.mp4"),
        (os.fsdecode(b"\xff\xfe.mp4"), r"\xff\xfe.mp4"),
        ("\u202egpj.mp4\u2028", r"\u202egpj.mp4\u2028"),
        (Path("a\tb"), r"a\tb"),
    ],
)
def test_printable_escapes_what_a_terminal_would_obey(text: Any, expected: str) -> None:
    assert printable(text) == expected
    assert printable(text).encode("utf-8")


def test_line_formatter_gives_one_line_and_keeps_tracebacks() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter("%(message)s"))
    log = logging.Logger("x")
    log.addHandler(handler)
    log.warning("%s is truncated", os.fsdecode(b"\x1b]0;x\a\xff\n.mp4"))
    assert stream.getvalue() == "\\x1b]0;x\\x07\\xff\\n.mp4 is truncated\n"
    try:
        raise ValueError("x")
    except ValueError:
        log.exception("it failed")
    assert "\nTraceback" in stream.getvalue()


def test_tell_error_and_parser_show_names_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    tell_error("can't read \x1b[2J\n.mp4")
    with pytest.raises(SystemExit):
        make_parser().parse_args(["demo", "a.mp4", "--none\x1b[2J"])
    errors = capsys.readouterr().err
    assert "\x1b" not in errors
    assert "can't read \\x1b[2J\\n.mp4\n" in errors
