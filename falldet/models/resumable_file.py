"""Partial downloads: hashed while they grow, renamed in one step when complete, kept when interrupted.

An interrupted transfer leaves the beginning of the right file. This part is kept next to its target, under a name made
of the target and the address, and the next call resumes it. One process at a time holds a part, by a lock that ends
with the process; a second process writes to a private file. A part with wrong contents is deleted, and so are all parts
of a file that is complete.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # no file locks on this system: every download is private and starts from the beginning
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

DOWNLOAD_LIMIT_S = 3600.0


class SourceError(Exception):
    """A source failed to give the file, for the reason in the message; the next source is tried."""


class WrongFile(SourceError):
    """A source gave another file than the requested one; nothing of it is kept."""


@contextlib.contextmanager
def open_resumable(path: Path, sha256: str, size: int | None, address: str = "") -> Iterator[ResumableFile]:
    """Open the file that becomes `path`; it begins with the part that an earlier call fetched from the same address.

    When the block raises, the part is kept for the next call, except after `WrongFile` and `OSError`.

    Args:
        path: the finished file; its folder exists.
        sha256: hash of the whole file or the beginning of it, hexadecimal.
        size: size of the whole file in bytes, None where it is unknown.
        address: URL of the bytes, if transfers from there can be resumed. Without one, or while another process holds
            the part of this address, the file is private and nothing of it is kept.
    """
    from tqdm import tqdm

    part, stream = _shared_part(path, address) or _private_part(path)
    start = os.fstat(stream.fileno()).st_size
    bar = {"desc": path.name, "total": size, "initial": start, "unit": "B", "unit_scale": True}
    with stream, tqdm(**bar, disable=None) as progress:
        target = ResumableFile(stream, part, sha256, size, progress)
        keep = False
        try:
            yield target
        except (WrongFile, OSError):
            raise
        except BaseException:
            keep = target.size > 0 and part == part_path(path, address)
            raise
        finally:
            if keep:
                logger.info("%.1f MB of %s are kept; the next call resumes there", target.size / 1e6, path.name)
            elif not target.arrived:
                part.unlink(missing_ok=True)


def part_path(path: Path, address: str) -> Path:
    """Return the path of the part of `path` that comes from `address`."""
    return path.with_name(f"{path.name}.{hashlib.sha256(address.encode()).hexdigest()[:8]}.part")


def sweep_parts(path: Path) -> None:
    """Delete the parts of the complete file `path`, of every address, except those that a process holds."""
    for name in glob.glob(f"{glob.escape(str(path))}.*.part"):
        with contextlib.suppress(OSError), Path(name).open("rb") as stream:
            if fcntl is not None and _lock(stream):
                Path(name).unlink()


class ResumableFile:
    """A file that is being downloaded; it is refused when it outgrows its size or takes too long.

    Args:
        stream: opened for reading and writing; its contents are the beginning of the file.
        path: name of `stream`.
        sha256: hash of the whole file or the beginning of it, hexadecimal.
        size: size of the whole file in bytes, None where it is unknown.
        progress: a tqdm bar over the bytes.

    Attributes:
        size: bytes so far.
        end: size of the whole file in bytes; None until the caller or the source has stated it.
        arrived: True once the file is complete and has its final name.
    """

    def __init__(self, stream: BinaryIO, path: Path, sha256: str, size: int | None, progress: Any) -> None:
        self._stream, self._path, self._progress = stream, path, progress
        self._sha256, self._whole_size = sha256, size
        self._deadline_s = time.monotonic() + DOWNLOAD_LIMIT_S
        self._hash = hashlib.sha256()
        self.size, self.end, self.arrived = 0, size, False
        stream.seek(0)
        while chunk := stream.read(1 << 20):
            self._hash.update(chunk)
            self.size += len(chunk)
        if size is not None and self.size > size:
            self.restart()

    def restart(self) -> None:
        """Drop the contents, to start from the first byte."""
        self._stream.seek(0)
        self._stream.truncate()
        self._progress.initial = 0
        self._progress.reset()
        self._hash = hashlib.sha256()
        self.size, self.end = 0, self._whole_size

    def expect(self, size: int) -> None:
        """Set the size of the whole file, in bytes, as the source states it.

        Raises:
            WrongFile: the known size is another.
        """
        if self._whole_size not in (None, size):
            raise WrongFile(f"it offers {size:,} bytes, not {self._whole_size:,}")
        self.end = self._progress.total = size

    def write(self, chunk: bytes) -> int:
        """Append `chunk`.

        Raises:
            WrongFile: the file grows longer than its size.
            SourceError: the transfer takes longer than `DOWNLOAD_LIMIT_S`.
        """
        if self.end is not None and self.size + len(chunk) > self.end:
            raise WrongFile(f"it sends more than the {self.end:,} bytes of the file")
        if time.monotonic() > self._deadline_s:
            raise SourceError(f"it took more than {DOWNLOAD_LIMIT_S:.0f} s")
        written = self._stream.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)
        self._progress.update(len(chunk))
        return written

    def fault(self) -> str:
        """Return the difference from the requested file in words; empty when the file is complete and right."""
        if self._whole_size is not None and self.size != self._whole_size:
            return f"it gave {self.size:,} bytes, not {self._whole_size:,}"
        found = self._hash.hexdigest()
        return "" if found.startswith(self._sha256) else f"it gave a file whose {mismatch(found, self._sha256)}"

    def move_to(self, path: Path) -> None:
        """Rename the complete file to `path`.

        Raises:
            WrongFile: size or hash are not those of the requested file.
        """
        if fault := self.fault():
            raise WrongFile(fault)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._path.chmod(0o644)
        os.replace(self._path, path)
        self.arrived = True


def mismatch(found: str, sha256: str) -> str:
    """Return the words for a hash `found` that does not begin with `sha256`, both hexadecimal."""
    return f"sha256 is {found}, not {sha256}{'' if len(sha256) == 64 else '...'}"


def _shared_part(path: Path, address: str) -> tuple[Path, BinaryIO] | None:
    """Open and lock the part of an address, which all processes share; None where another process holds it."""
    part = part_path(path, address)
    while address and fcntl is not None:
        try:
            stream = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")
        except PermissionError:  # another user's part in a cache that several share
            return None
        if not _lock(stream):
            stream.close()
            logger.info("another process is fetching %s from the same address; fetching it separately", path.name)
            return None
        # Its former owner may have renamed or deleted it before the lock was taken: then open the part again.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), os.stat(part)):
                return part, stream
        stream.close()
    return None


def _private_part(path: Path) -> tuple[Path, BinaryIO]:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    return Path(name), os.fdopen(handle, "w+b")


def _lock(stream: BinaryIO) -> bool:
    """Lock a file until it is closed; return False where it is locked already or its file system has no locks."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
