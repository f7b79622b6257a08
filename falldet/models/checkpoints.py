"""Names of models resolved to files: from the checkpoints folder, the user's cache, or downloaded."""

from __future__ import annotations

import difflib
import logging
import os
from functools import cache
from pathlib import Path

from falldet.errors import FalldetError
from falldet.io.files import sha256_of
from falldet.models.downloads import Url
from falldet.models.resumable_file import SourceError, mismatch, open_resumable, sweep_parts
from falldet.models.shipped import shipped_folder
from falldet.models.zoo import CHECKPOINTS, Checkpoint
from falldet.terminal import shown

logger = logging.getLogger(__name__)

SHIPPED_FOLDER = shipped_folder("checkpoints")


def find_checkpoint(name_or_path: str | Path) -> Path:
    """Return the file of a known checkpoint, downloaded if missing, or the given path if it is a file.

    Searched in order: the folder FALLDET_CHECKPOINTS, the shipped checkpoints, the user's cache (FALLDET_CACHE, or the
    system's cache folder), the sources of the checkpoint. Only the last needs a network. A downloaded file must have
    the right hash. A file in one of the first two folders may be the user's own weights where only the beginning of
    the hash is known: it is used with a warning.

    Args:
        name_or_path: a name in `falldet.models.zoo.CHECKPOINTS`, or a path.

    Raises:
        FalldetError: the name is unknown, the file found is a wrong one, no source gives the right one, or the cache
            can't be written.
    """
    checkpoint = CHECKPOINTS.get(str(name_or_path))
    if checkpoint is None:
        return _given_path(name_or_path)
    for folder in _local_folders():
        path = folder / checkpoint.file_name
        if path.is_file():
            _accept(path, checkpoint)
            return path
    if not checkpoint.sources:
        raise FalldetError(f"{_local_folders()[0] / checkpoint.file_name} is missing; {checkpoint.cure}")
    path = cache_folder() / checkpoint.file_name
    if path.is_file():
        fault = _fault(path, checkpoint)
        if not fault:
            return path
        logger.warning("%s in the cache is broken (%s); fetching it again", path, fault)
    _fetch(checkpoint, path)
    return path


def cache_folder() -> Path:
    """Return the folder of downloaded and compiled models: FALLDET_CACHE, or falldet's in the system's cache."""
    if os.environ.get("FALLDET_CACHE"):
        return Path(os.environ["FALLDET_CACHE"]).expanduser()
    import pooch

    return Path(pooch.os_cache("falldet"))


def _local_folders() -> list[Path]:
    named = os.environ.get("FALLDET_CHECKPOINTS")
    return [Path(named).expanduser(), SHIPPED_FOLDER] if named else [SHIPPED_FOLDER]


def _given_path(name_or_path: str | Path) -> Path:
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    near = difflib.get_close_matches(str(name_or_path)[:80], CHECKPOINTS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise FalldetError(
        f"no file and no known checkpoint {shown(str(name_or_path), 200)}{hint} "
        f"Known names: {', '.join(sorted(CHECKPOINTS))}; a path must point to an existing file"
    )


def _accept(path: Path, checkpoint: Checkpoint) -> None:
    """Check a file in a checkpoints folder; warn of weights that are not the published ones.

    Raises:
        FalldetError: the file can't be read, or the whole hash is known and the file has another.
    """
    fault = _fault(path, checkpoint)
    if fault and (checkpoint.is_exact or not os.access(path, os.R_OK)):
        raise FalldetError(f"{path} is not {checkpoint.name}: {fault}; delete it or {_cure(checkpoint)}")
    if fault:
        _warn_of_own_weights(path, fault)


@cache
def _warn_of_own_weights(path: Path, fault: str) -> None:
    logger.warning("%s is not the published file (%s); it is used as weights of your own", path, fault)


def _fault(path: Path, checkpoint: Checkpoint) -> str:
    """Return the fault of the file at `path` in words; empty for the right file."""
    if checkpoint.sha256 is None:
        return ""
    try:
        size = path.stat().st_size
        if checkpoint.size not in (None, size):
            return f"it has {size:,} bytes, not {checkpoint.size:,}"
        found = sha256_of(path)
    except OSError as error:
        return f"it can't be read ({error.strerror})"
    return "" if found.startswith(checkpoint.sha256) else f"its {mismatch(found, checkpoint.sha256)}"


def _cure(checkpoint: Checkpoint) -> str:
    size = "" if checkpoint.size is None else f" ({checkpoint.size:,} bytes)"
    sha256 = f"sha256 {checkpoint.sha256}{'' if checkpoint.is_exact else '...'}"
    address = next((f" from {source.address}" for source in checkpoint.sources if isinstance(source, Url)), "")
    return f"put the file {checkpoint.file_name}{size} with {sha256}{address} into {_local_folders()[0]}"


def _fetch(checkpoint: Checkpoint, path: Path) -> None:
    size, sha256 = checkpoint.size, checkpoint.sha256 or ""
    failures = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for source in checkpoint.sources:
            logger.info("fetching %s from %s into %s", path.name, source, path.parent)
            try:
                with open_resumable(path, sha256, size, source.address if isinstance(source, Url) else "") as target:
                    source.fetch(target)
                    target.move_to(path)
                sweep_parts(path)
                return
            except SourceError as error:
                failures.append(f"{source}: {error}")
                if source is not checkpoint.sources[-1]:  # the error below has the last one's failure
                    logger.warning("%s did not give %s: %s", source, path.name, error)
    except OSError as error:
        space = "room" if size is None else f"{size / 1e6:.0f} MB"
        raise FalldetError(
            f"can't write {path} ({error.strerror or error}); set FALLDET_CACHE to a folder with "
            f"{space} to write to, or {_cure(checkpoint)}"
        ) from None
    raise FalldetError(f"no source gave {path.name} ({'; '.join(failures)}); {_cure(checkpoint)}")
