"""The border of a command: exit codes, logging, one sentence instead of a traceback."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from falldet.cli.output import guarded_output
from falldet.errors import FalldetError
from falldet.models.checkpoints import cache_folder
from falldet.runtime.signals import Interrupted, interrupt_on_request
from falldet.terminal import log_to, printable

EXIT_OK = 0
EXIT_INCOMPLETE = 1
"""The events are complete, another output failed."""

EXIT_USER_ERROR = 2
"""A mistake of the user; argparse's own code for a wrong option."""

EXIT_BROKEN_OFF = 3
"""A stream ended or froze; the results up to there are complete."""

EXIT_INTERRUPTED = 130
"""Ended by Ctrl-C; 143 by SIGTERM and 129 by SIGHUP, which is 128 and the signal's number."""


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and leave the process with the exit code that it returns.

    A `FalldetError` becomes one sentence on stderr and exit code 2, Ctrl-C becomes exit code 130, SIGTERM 143, SIGHUP
    129. Any other exception is a defect of falldet and keeps its traceback.
    """
    # Matplotlib keeps a list of fonts in the home folder, unless it is told another one.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))
    with guarded_output() as out:
        log_to(sys.stderr)
        logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it announces its font cache at INFO
        code = _code_of(main)
        out.flush()
        if out.failure:
            tell_error(f"standard output can't be written: {out.failure}; results in files are not concerned")
            code = code or EXIT_INCOMPLETE
    raise SystemExit(code)


def _code_of(main: Callable[[], int | None]) -> int:
    try:
        interrupt_on_request()
        return main() or EXIT_OK
    except FalldetError as error:
        tell_error(error)
        return EXIT_USER_ERROR
    except KeyboardInterrupt as error:
        by = str(error) if isinstance(error, Interrupted) else "Ctrl-C"
        sys.stderr.write(f"\nstopped by {by}; finished results are kept\n")
        return 128 + error.number if isinstance(error, Interrupted) else EXIT_INTERRUPTED


def tell_error(error: Exception | str) -> None:
    """Write the sentence of an error to stderr."""
    sys.stderr.write(f"error: {printable(error)}\n")
