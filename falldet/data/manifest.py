"""The clips of a data set and their labels, read from a manifest or from folder names."""

from __future__ import annotations

import csv
import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from falldet.data.annotations import SPLIT_NAMES
from falldet.errors import FalldetError
from falldet.io.video import VIDEO_SUFFIXES

logger = logging.getLogger(__name__)

FALL_WORDS = frozenset({"fall", "falls", "falling", "fallen"})
NOT_FALL_WORDS = frozenset({"notfall", "notfalls", "nofall", "nofalls", "nonfall", "nonfalls", "adl", "adls"})

LAYOUT = "videos/fall/*.mp4 and videos/not_fall/*.mp4 (or .../fall/<subject>/*.mp4)"

DEFAULT_DESCENT_S = 1.2
"""Length of a descent where only the whole event is labeled: the median of URFD's labeled falls, rounded up."""


@dataclass(frozen=True, slots=True)
class FallInterval:
    """One labeled fall of a clip, half-open, in seconds from the clip's start.

    Attributes:
        start_s: start of the descent.
        end_s: end of the descent; where that is not labeled, of the whole event, lying included.
        fall_end_known: whether `end_s` is the end of the descent.
    """

    start_s: float
    end_s: float
    fall_end_known: bool

    @property
    def descent(self) -> tuple[float, float]:
        """Start and end of the descent in seconds; `DEFAULT_DESCENT_S` long where only the event is labeled."""
        if self.fall_end_known:
            return self.start_s, self.end_s
        return self.start_s, min(self.end_s, self.start_s + DEFAULT_DESCENT_S)


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One clip of a data set.

    Attributes:
        path: the video.
        label: 1 for a fall, 0 for anything else.
        subject: name of the person; clips of one subject stay in one split.
        split: "train", "val", "test", or None where it is to be drawn.
        fall_intervals: the labeled falls; empty where there is none or its time is unknown.
        source: where the clip comes from.
    """

    path: Path
    label: int
    subject: str
    split: str | None = None
    fall_intervals: tuple[FallInterval, ...] = ()
    source: str = ""


def read_manifest(path: str | Path, root: str | Path | None = None) -> list[ClipRecord]:
    """Return the clips listed in a manifest, a CSV file with a header line.

    Columns: `path` and `label` (fall / not_fall, or 1 / 0) are required; `subject`, `split`, `source`, `fps`,
    `fall_start`, `fall_end` and `event_end` are read where present, others are ignored. Frames count from 0 and the end
    frames belong to the interval; `;` separates several falls; a blank `fall_end` means that only the whole event is
    labeled.

    Args:
        path: the CSV file.
        root: what the paths in it are relative to; by default the manifest's folder, or the one above it for a path
            that exists only there.

    Raises:
        FalldetError: the file can't be read, lacks a column, or has a wrong value; the line is named.
    """
    path = Path(path)
    roots = (path.parent, path.parent.parent) if root is None else (Path(root),)
    records = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or []
            for column in ("path", "label"):
                if column not in columns:
                    raise FalldetError(f"{path}:1: no column {column!r}; the first line must name path and label")
            for row in reader:
                records.append(_record(row, roots, f"{path}:{reader.line_num}"))
    except FileNotFoundError:
        raise FalldetError(f"no manifest {path}; give an existing CSV file with the columns path and label") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FalldetError(f"{path} can't be read as a CSV file ({error}); save it as CSV in UTF-8") from None
    if not records:
        raise FalldetError(f"{path} lists no clip; add a line for each video")
    return records


def clips_from_folder(folder: str | Path) -> list[ClipRecord]:
    """Return the videos below `folder`, sorted, labeled by the folder they are in.

    The label is that of the innermost folder named fall or not_fall (adl, no_fall, ... also mean not_fall); a folder
    below it names the subject, else each file is a subject of its own.

    Raises:
        FalldetError: the folder doesn't exist, or holds no video under such a name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FalldetError(f"no folder {folder}; falldet expects {LAYOUT}")
    records, unlabeled = [], 0
    for path in _videos(folder):
        parts = (folder.resolve().name, *path.relative_to(folder).parts[:-1])
        labels = [_label(part) for part in parts]
        depth = max((depth for depth, label in enumerate(labels) if label is not None), default=None)
        if depth is None:
            unlabeled += 1
            continue
        subject = parts[depth + 1] if depth + 1 < len(parts) else path.stem
        records.append(ClipRecord(path, int(labels[depth] or 0), subject, source=folder.name))
    if not records:
        found = f"{unlabeled} videos, none of them" if unlabeled else "no video"
        raise FalldetError(f"{folder} holds {found} in a folder named fall or not_fall; falldet expects {LAYOUT}")
    if unlabeled:
        logger.warning("%s: skipped %d videos that are in no folder named fall or not_fall", folder, unlabeled)
    return records


def _videos(folder: Path) -> list[Path]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in VIDEO_SUFFIXES)


def _label(word: str) -> int | None:
    bare = re.sub(r"[\s_-]", "", word.lower())
    return 1 if bare in FALL_WORDS else 0 if bare in NOT_FALL_WORDS else None


def _record(row: Mapping[str, str | None], roots: Sequence[Path], place: str) -> ClipRecord:
    values = {key: (value or "").strip() for key, value in row.items() if isinstance(value, str) or value is None}
    if not values["path"]:
        raise FalldetError(f"{place}: path is blank; name a video")
    label = {"1": 1, "0": 0}.get(values["label"], _label(values["label"]))
    if label is None:
        raise FalldetError(f"{place}: unknown label {values['label']!r}; write fall or not_fall")
    split = values.get("split") or None
    if split is not None and split not in SPLIT_NAMES:
        raise FalldetError(f"{place}: unknown split {split!r}; write {', '.join(SPLIT_NAMES)} or leave it blank")
    candidates = [root / values["path"] for root in roots]
    path = next((candidate for candidate in candidates if candidate.exists()), candidates[0])
    intervals = _intervals(values, place)
    if intervals and label == 0:
        raise FalldetError(
            f"{place}: label is not_fall, but fall_start is {values['fall_start']!r}; correct one of them"
        )
    return ClipRecord(path, label, values.get("subject") or path.stem, split, intervals, values.get("source", ""))


def _intervals(values: Mapping[str, str], place: str) -> tuple[FallInterval, ...]:
    """Return the fall intervals of one line, from frame numbers to seconds."""
    if not values.get("fall_start"):
        return ()
    starts = values["fall_start"].split(";")
    ends, event_ends = (values.get(key, "").split(";") for key in ("fall_end", "event_end"))
    fps = _number(values.get("fps", ""), "fps", place)
    if fps <= 0:
        raise FalldetError(f"{place}: fps = {fps:g} must be above 0")
    intervals = []
    for number, start in enumerate(starts):
        fall_end, event_end = (column[number].strip() if number < len(column) else "" for column in (ends, event_ends))
        if not fall_end and not event_end:
            raise FalldetError(f"{place}: the fall from frame {start} has neither fall_end nor event_end; give one")
        first = _number(start, "fall_start", place)
        last = _number(fall_end or event_end, "fall_end" if fall_end else "event_end", place)
        if not 0 <= first <= last:
            raise FalldetError(f"{place}: a fall can't go from frame {start} to {fall_end or event_end}; count from 0")
        intervals.append(FallInterval(first / fps, (last + 1) / fps, bool(fall_end)))
    return tuple(intervals)


def _number(text: str, column: str, place: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FalldetError(f"{place}: {column} = {text!r} is not a number")
    return number
