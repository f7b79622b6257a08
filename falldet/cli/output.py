"""Standard output and error that may be closed, full or without a reader: a run never fails by them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class GuardedStream:
    """A text stream whose failures are kept instead of raised; what is written after one is dropped.

    Args:
        stream: the stream; None where the process was started without it.

    Attributes:
        failure: why the stream could not be written, in words; empty while all is well, or where the reader has seen
            enough, such as `head`.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # lives as long as the process
        self._failed = False
        self.failure = ""

    def write(self, text: str) -> int:
        """Write text as far as it goes; return its length."""
        if not self._failed:
            try:
                self._stream.write(text)
            except (OSError, ValueError) as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush as far as it goes."""
        if not self._failed:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError | ValueError) -> None:
        """Point the stream to nowhere, so that the end of the process doesn't fail by what it still holds."""
        self._failed = True
        if not isinstance(error, BrokenPipeError):
            self.failure = getattr(error, "strerror", None) or str(error)
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def guarded_output() -> Iterator[GuardedStream]:
    """Guard stdout and stderr in the block; yield the guarded stdout."""
    _open_standard_descriptors()
    before = sys.stdout, sys.stderr
    out, err = GuardedStream(sys.stdout), GuardedStream(sys.stderr)
    sys.stdout, sys.stderr = out, err  # type: ignore[assignment]
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _open_standard_descriptors() -> None:
    """Open closed standard descriptors on nothing: else the next file gets one, and libraries print into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
