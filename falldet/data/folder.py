"""The clips of a data set and their labels, from the names of folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from falldet.data.manifest import ClipRecord, label_of
from falldet.errors import FalldetError
from falldet.io.video import VIDEO_SUFFIXES

logger = logging.getLogger(__name__)

LAYOUT = "videos/fall/*.mp4 and videos/not_fall/*.mp4 (or .../fall/<subject>/*.mp4)"

NO_VIDEO_SUFFIXES = frozenset(
    ".bak .bmp .csv .db .doc .docx .gif .ini .ipynb .jpeg .jpg .json .jsonl .license .log .md .mp3 .npy .npz .pdf .pkl "
    ".png .py .srt .sh .tar .toml .tsv .txt .vtt .wav .webp .xls .xlsx .xml .yaml .yml .zip".split()
)
"""Suffixes of files that are evidently no video; other unknown files are told."""


@dataclass(frozen=True, slots=True)
class FolderClips:
    """Clips found in a folder.

    Attributes:
        clips: the videos, sorted.
        left_out: files below a folder with a label that are not used, with the reason.
    """

    clips: list[ClipRecord]
    left_out: list[tuple[Path, str]]


def clips_from_folder(folder: str | Path) -> FolderClips:
    """Return the videos below `folder`, sorted, labeled by the folder they are in.

    The label is that of the innermost folder named fall or not_fall (adl, no_fall, ... also mean not_fall); a folder
    below it names the subject, else each file is a subject of its own. Links to folders are followed once.

    Raises:
        FalldetError: the folder doesn't exist, or holds no video under such a name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FalldetError(f"no folder {folder}; falldet expects {LAYOUT}")
    clips: list[ClipRecord] = []
    left_out: list[tuple[Path, str]] = []
    unlabeled = 0
    for path in sorted(_files(folder)):
        reason = _reason_against(path)
        if reason == "":
            continue
        parts = (folder.resolve().name, *path.relative_to(folder).parts[:-1])
        labels = [label_of(part) for part in parts]
        depth = max((depth for depth, label in enumerate(labels) if label is not None), default=None)
        if depth is None:
            unlabeled += reason is None
        elif reason:
            left_out.append((path, reason))
        else:
            subject = parts[depth + 1] if depth + 1 < len(parts) else path.stem
            clips.append(ClipRecord(path, int(labels[depth] or 0), subject, source=folder.name))
    if not clips:
        found = f"{unlabeled} videos, none of them" if unlabeled else "no video"
        others = f"; {left_out[0][0].name}: {left_out[0][1]}" if left_out else ""
        raise FalldetError(
            f"{folder} holds {found} in a folder named fall or not_fall; falldet expects {LAYOUT}{others}"
        )
    if unlabeled:
        logger.warning("%s: skipped %d videos that are in no folder named fall or not_fall", folder, unlabeled)
    return FolderClips(clips, left_out)


def _files(folder: Path) -> Iterator[Path]:
    """Yield everything below `folder` but folders; hidden ones and one that is linked again are not entered."""
    entered = {os.path.realpath(folder)}
    for parent, folders, files in os.walk(folder, followlinks=True):
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(parent, name))
            if not name.startswith(".") and real not in entered:
                entered.add(real)
                kept.append(name)
        folders[:] = kept
        yield from (Path(parent, name) for name in files)


def _reason_against(path: Path) -> str | None:
    """Return why a file is not used; None for a video, and an empty text for a file that is evidently none."""
    suffix = path.suffix.lower()
    if suffix in NO_VIDEO_SUFFIXES or not suffix or path.name.startswith("._"):  # ._: macOS's notes on a file
        return ""
    if path.name.startswith("."):
        return "its name begins with a dot; rename it if it is a video" if suffix in VIDEO_SUFFIXES else ""
    if suffix not in VIDEO_SUFFIXES:
        return f"unknown suffix {suffix}; rename or convert it if it is a video"
    if not path.is_file():
        return "it is no file but a pipe, a device or a broken link"
    return None
