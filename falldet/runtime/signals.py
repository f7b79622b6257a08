"""Ctrl-C, SIGTERM and SIGHUP as requests: long work ends in its own way, a second request interrupts at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

REQUESTS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a process to end; a service manager sends SIGTERM, a closed terminal SIGHUP."""


class Interrupted(KeyboardInterrupt):
    """Raised in place of KeyboardInterrupt where another signal than Ctrl-C asks the process to end.

    Attributes:
        number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopRequest(threading.Event):
    """An event that is set when the process is asked to end.

    Attributes:
        number: the signal that asked.
    """

    number: int = signal.SIGINT

    def interruption(self) -> KeyboardInterrupt:
        """Return the exception to raise once the work has ended in its own way."""
        return KeyboardInterrupt() if self.number == signal.SIGINT else Interrupted(self.number)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal as Python handles Ctrl-C, by an exception in the main thread."""
    raise KeyboardInterrupt if number == signal.SIGINT else Interrupted(number)


def interrupt_on_request() -> None:
    """Let SIGTERM and SIGHUP interrupt the main thread as Ctrl-C does, from now on; `nohup` keeps its effect."""
    if threading.current_thread() is threading.main_thread():
        for number in REQUESTS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, interrupt)


@contextmanager
def stop_on_request() -> Iterator[StopRequest]:
    """Yield an event that the first request sets, so that long work can end cleanly; a second one interrupts at once.

    Outside the main thread, where Python gives no signals, the event is never set. A SIGHUP that is ignored, as `nohup`
    arranges, stays ignored.
    """
    requested = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    before = {number: signal.getsignal(number) for number in REQUESTS}
    if before.get(signal.SIGHUP) is signal.SIG_IGN:
        del before[signal.SIGHUP]

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: FrameType | None) -> None:
        requested.number = number
        requested.set()
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield requested
    finally:
        restore()
