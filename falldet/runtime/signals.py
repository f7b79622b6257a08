"""What every tool shares at its border: exit codes, logging, Ctrl-C, one sentence instead of a traceback."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from falldet.errors import FalldetError

EXIT_OK = 0
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and leave the process with its exit code.

    A `FalldetError` becomes one sentence on stderr and exit code 2 (argparse's own code for a wrong option), Ctrl-C
    becomes exit code 130. Anything else is a defect of falldet and keeps its traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its font cache at INFO
    try:
        code = main() or EXIT_OK
    except FalldetError as error:
        sys.stderr.write(f"error: {error}\n")
        code = EXIT_USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped by Ctrl-C; what was finished is kept\n")
        code = EXIT_INTERRUPTED
    raise SystemExit(code)


@contextmanager
def stop_on_request() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets, so that long work can end cleanly; the second one interrupts at once.

    Outside the main thread, where Python gives no signals, the event is never set.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    before = signal.getsignal(signal.SIGINT)

    def request(number: int, frame: FrameType | None) -> None:
        requested.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, request)
    try:
        yield requested
    finally:
        signal.signal(signal.SIGINT, before)
