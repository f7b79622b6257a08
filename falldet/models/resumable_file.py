"""Files on their way in: hashed as they grow, given their final name in one step, kept where they broke off.

What a broken transfer or Ctrl-C leaves behind is the start of the right file, so it is kept beside its goal under a
name made of the goal and the address it came from, and the next call goes on from there. One process at a time holds
that file, by a lock that ends with the process; whoever comes second writes to a file of its own. A part that turns out
wrong is deleted, and so is every part of a file that has arrived.
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
except ImportError:  # a system without it: every download is private and starts from the beginning
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

DOWNLOAD_LIMIT_S = 3600.0


class SourceError(Exception):
    """One source did not give the file; the message says why, and the next source has its turn."""


class WrongFile(SourceError):
    """A source gave another file than the one asked for: nothing of it is worth keeping."""


@contextlib.contextmanager
def resumable_file(path: Path, sha256: str, size: int | None, address: str = "") -> Iterator[ResumableFile]:
    """Open the file that becomes `path`, with what an earlier call fetched from the same address already in it.

    Args:
        path: the goal; its folder exists.
        sha256: hash that the whole file must have, or how it begins, in hexadecimal.
        size: in bytes, if known.
        address: where the bytes come from, if a transfer from there can go on where it broke off. Without one, or
            while another process holds that part, the file is private and nothing of it is kept.
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
                log.info("%.1f MB of %s are kept; the next call goes on from there", target.size / 1e6, path.name)
            elif not target.arrived:
                part.unlink(missing_ok=True)


def part_path(path: Path, address: str) -> Path:
    """Return where the part of `path` that came from `address` is kept."""
    return path.with_name(f"{path.name}.{hashlib.sha256(address.encode()).hexdigest()[:8]}.part")


def sweep_parts(path: Path) -> None:
    """Delete the parts of a file that has arrived, whatever address they came from, unless a process is at them."""
    for name in glob.glob(f"{glob.escape(str(path))}.*.part"):
        with contextlib.suppress(OSError), Path(name).open("rb") as stream:
            if fcntl is not None and _lock(stream):
                Path(name).unlink()


class ResumableFile:
    """A file on its way in, refused when it grows past its size or takes too long.

    Attributes:
        size: in bytes, so far.
        end: its size when it is whole; None as long as neither the caller nor the source has told.
        arrived: whether it has its final name.
    """

    def __init__(self, stream: BinaryIO, path: Path, sha256: str, size: int | None, progress: Any) -> None:
        """Keep the open `stream` of `path` and what the whole file must be; what it holds already is its beginning."""
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
        """Forget what was written."""
        self._stream.seek(0)
        self._stream.truncate()
        self._progress.initial = 0
        self._progress.reset()
        self._hash = hashlib.sha256()
        self.size, self.end = 0, self._whole_size

    def expect(self, size: int) -> None:
        """Take the source's word for the size of the whole file.

        Raises:
            WrongFile: the size is known to be another.
        """
        if self._whole_size not in (None, size):
            raise WrongFile(f"it offers {size:,} bytes, not {self._whole_size:,}")
        self.end = self._progress.total = size

    def write(self, chunk: bytes) -> int:
        """Append `chunk`.

        Raises:
            WrongFile: the file is longer than it should be.
            SourceError: it takes too long.
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
        """Return what tells the file from the one asked for, or an empty string when all of it is there."""
        if self._whole_size is not None and self.size != self._whole_size:
            return f"it gave {self.size:,} bytes, not {self._whole_size:,}"
        found = self._hash.hexdigest()
        return "" if found.startswith(self._sha256) else f"it gave a file whose {mismatch(found, self._sha256)}"

    def move_to(self, path: Path) -> None:
        """Give the file its final name in one step; raise `WrongFile` where it is not the right one."""
        if fault := self.fault():
            raise WrongFile(fault)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._path.chmod(0o644)
        os.replace(self._path, path)
        self.arrived = True


def mismatch(found: str, sha256: str) -> str:
    """Return the words for a hash that is not the one, or does not begin like the one, that was asked for."""
    return f"sha256 is {found}, not {sha256}{'' if len(sha256) == 64 else '...'}"


def _shared_part(path: Path, address: str) -> tuple[Path, BinaryIO] | None:
    """Open and lock the part that calls for the same address share; None where another process is at it."""
    part = part_path(path, address)
    while address and fcntl is not None:
        try:
            stream = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")
        except PermissionError:  # another user's part in a cache that several share
            return None
        if not _lock(stream):
            stream.close()
            log.info("another process is fetching %s from the same address; fetching it besides", path.name)
            return None
        # Its former owner may have renamed or deleted it between the two lines: then the lock is on no part any more.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), os.stat(part)):
                return part, stream
        stream.close()
    return None


def _private_part(path: Path) -> tuple[Path, BinaryIO]:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    return Path(name), os.fdopen(handle, "w+b")


def _lock(stream: BinaryIO) -> bool:
    """Lock a file until it is closed; False where it is locked already, or where its file system can't."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
