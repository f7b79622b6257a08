"""What a source is: a file, a pipe, a webcam or an address on a network."""

from __future__ import annotations

import os
import re
import stat
from enum import Enum, auto
from pathlib import Path
from urllib.parse import unquote, urlsplit

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_VIDEO4LINUX_MAJOR = 81  # https://www.kernel.org/doc/Documentation/admin-guide/devices.txt


class SourceKind(Enum):
    """FILE: has an end, and is read as fast as possible. All others are live: they are read as their data come.

    PIPE: a named pipe, or one of the shell. WEBCAM: a number or /dev/videoN. ADDRESS: rtsp://, http:// and the like.
    OTHER: an existing path that holds no video: a folder, a socket, another device.
    """

    FILE = auto()
    PIPE = auto()
    WEBCAM = auto()
    ADDRESS = auto()
    OTHER = auto()

    @property
    def is_live(self) -> bool:
        """Whether frames come at their own rate, and may stop coming."""
        return self in (SourceKind.PIPE, SourceKind.WEBCAM, SourceKind.ADDRESS)


def kind_of(source: str | Path) -> SourceKind:
    """Return the kind of a source. What exists under this name is what it is; a missing path is a file."""
    try:
        status = os.stat(local_path(source))
    except (OSError, ValueError):
        if isinstance(source, Path) or scheme_of(source) == "file":
            return SourceKind.FILE
        if source.isascii() and source.isdigit():
            return SourceKind.WEBCAM
        return SourceKind.ADDRESS if _ADDRESS.match(source) else SourceKind.FILE
    if stat.S_ISFIFO(status.st_mode):
        return SourceKind.PIPE
    if stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) == _VIDEO4LINUX_MAJOR:
        return SourceKind.WEBCAM
    return SourceKind.FILE if stat.S_ISREG(status.st_mode) else SourceKind.OTHER


def scheme_of(source: str | Path) -> str:
    """Return the scheme of an address in lower case, such as "rtsp"; empty for anything else."""
    found = _ADDRESS.match(str(source))
    return found.group()[:-3].lower() if found else ""


def local_path(source: str | Path) -> Path:
    """Return the path of a file, which file:// may stand before."""
    if isinstance(source, str) and scheme_of(source) == "file":
        return Path(unquote(urlsplit(source).path))
    return Path(source)
