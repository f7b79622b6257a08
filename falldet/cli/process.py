"""The border of a command: exit codes, logging, one sentence instead of a traceback."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from falldet.errors import FalldetError
from falldet.models.checkpoints import cache_folder
from falldet.terminal import log_to, printable

EXIT_OK = 0
EXIT_INCOMPLETE = 1
"""The events are complete, another output failed."""

EXIT_USER_ERROR = 2
"""A mistake of the user; argparse's own code for a wrong option."""

EXIT_INTERRUPTED = 130


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and leave the process with the exit code that it returns.

    A `FalldetError` becomes one sentence on stderr and exit code 2, Ctrl-C becomes exit code 130. Any other exception
    is a defect of falldet and keeps its traceback.
    """
    log_to(sys.stderr)
    # Matplotlib keeps a list of fonts in the home folder, unless it is told another one.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it announces its font cache at INFO
    try:
        code = main() or EXIT_OK
    except FalldetError as error:
        tell_error(error)
        code = EXIT_USER_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped by Ctrl-C; finished results are kept\n")
        code = EXIT_INTERRUPTED
    raise SystemExit(code)


def tell_error(error: Exception | str) -> None:
    """Write the sentence of an error to stderr."""
    sys.stderr.write(f"error: {printable(error)}\n")
