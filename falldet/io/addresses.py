"""Names of video sources: which are streams, and how an address is shown and filed without its secrets.

User name, password, path, query and fragment of an address may hold a password or a key. Shown are scheme, host and
port, and a short tag in place of the rest that tells the cameras of one host apart.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from falldet.io.source_kind import SourceKind, kind_of
from falldet.terminal import printable

MAX_NAME_BYTES = 200
"""Length of the name of an output, which leaves room for suffixes in a file system's 255 bytes."""

_ADDRESS = re.compile(r"(?i)([a-z][a-z0-9+.-]+)://(.*)", re.DOTALL)
_HOST = re.compile(r"(?i)([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?")


def is_stream(source: str | Path) -> bool:
    """Return True for an address (rtsp://..., RTSP://...) or the index of a webcam, False for the path of a file.

    A file that exists is a file, whatever its name.
    """
    return kind_of(source) in (SourceKind.ADDRESS, SourceKind.WEBCAM)


def redacted(source: str | Path) -> str:
    """Return the name of a source for messages: a printable path, or an address without its secrets.

    Example:
        >>> redacted("rtsp://admin:secret@192.168.1.5:554/user=admin&password=secret")
        'rtsp://192.168.1.5:554/...f40a'
    """
    match = _ADDRESS.fullmatch(str(source)) if is_stream(source) else None
    if match is None:
        return printable(source)
    host, tag = _host_and_tag(match[2])
    return f"{match[1].lower()}://{host}{f'/...{tag}' if tag else ''}"


def without_secrets(message: str, source: str | Path) -> str:
    """Return a message of another library, printable, and with the source's address in its redacted form."""
    return printable(message.replace(str(source), redacted(source)) if is_stream(source) else message)


def output_name(source: str | Path) -> str:
    """Return the name of a source's outputs: one part of a path, printable, and without the secrets of an address.

    A file gives its name without the suffix, a webcam its index, an address host, port and tag. The name never begins
    with a dot and holds no separator: outputs stay in their folder.
    """
    text = str(source)
    match = _ADDRESS.fullmatch(text) if is_stream(source) else None
    if match is not None:
        name = re.sub(r"[^A-Za-z0-9]+", "_", "_".join(_host_and_tag(match[2]))).strip("_")
    elif is_stream(source):
        name = text
    else:
        name = re.sub(r'[\\/:*?"<>|]', "_", printable(Path(text).stem))
    name = name.encode()[:MAX_NAME_BYTES].decode(errors="ignore").lstrip(". ").rstrip(". ")
    return name or "video"


def _host_and_tag(rest: str) -> tuple[str, str]:
    """Return host with port, and a tag of what follows; no host where it can't be told from a password."""
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    follows = rest[len(authority) :]
    clear = _HOST.fullmatch(host) and "@" not in follows  # a password may hold a slash
    tagged = follows.strip("/") if clear else rest
    tag = hashlib.sha256(tagged.encode(errors="replace")).hexdigest()[:4] if tagged else ""
    return (host.lower() if clear else "stream"), tag
