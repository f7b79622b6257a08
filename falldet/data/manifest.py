"""The clips of a data set and their labels, read from a manifest; `falldet.data.folder` reads them from folders."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from falldet.data.annotations import SPLIT_NAMES
from falldet.data.table import read_table
from falldet.errors import FalldetError
from falldet.terminal import shown

FALL_WORDS = frozenset({"fall", "falls", "falling", "fallen"})
NOT_FALL_WORDS = frozenset({"notfall", "notfalls", "nofall", "nofalls", "nonfall", "nonfalls", "adl", "adls"})

NUMBERS = {"1": 1, "0": 0, "1.0": 1, "0.0": 0}
SPLIT_WORDS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}

TIME_COLUMNS = ("fall_start", "fall_end", "event_end")
COLUMNS = ("path", "label", "subject", "split", "source", "fps", *TIME_COLUMNS, *(f"{name}_s" for name in TIME_COLUMNS))

BEYOND_S = 1.0
"""Time by which a labeled fall may end after its clip, seconds: labels are rounded, and clips cut."""

SHORTEST_S = 0.15
"""Shortest labeled fall, seconds; real descents take half a second and more."""

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
        place: file and line of its labels; empty for labels from a folder.
    """

    path: Path
    label: int
    subject: str
    split: str | None = None
    fall_intervals: tuple[FallInterval, ...] = ()
    source: str = ""
    place: str = field(default="", compare=False)


def read_manifest(path: str | Path, root: str | Path | None = None) -> list[ClipRecord]:
    """Return the clips listed in a manifest, a CSV file with a header line.

    Columns: `path` and `label` (fall / not_fall, or 1 / 0) are required; `subject`, `split`, `source` and the times of
    falls are read where present, others are ignored. Times are frames in `fall_start`, `fall_end` and `event_end`, with
    `fps`, or seconds in `fall_start_s`, `fall_end_s` and `event_end_s`. Frames count from 0 and the end frames belong to
    the interval; `;` separates several falls; a blank `fall_end` means that only the whole event is labeled.

    Separators are found (`read_table`), and numbers may have a decimal comma.

    Args:
        path: the CSV file.
        root: what the paths in it are relative to; by default the manifest's folder, or the one above it for a path
            that exists only there.

    Raises:
        FalldetError: the file can't be read, lacks a column, or has a wrong value; the line is named.
    """
    path = Path(path)
    roots = (path.parent, path.parent.parent) if root is None else (Path(root),)
    records = [
        _record(values, roots, f"{path}:{number}") for number, values in read_table(path, COLUMNS, ("path", "label"))
    ]
    if not records:
        raise FalldetError(f"{path} lists no clip; add a line for each video")
    return records


def check_times(clip: ClipRecord, last_s: float) -> None:
    """Raise FalldetError where a clip's labeled falls reach beyond its end.

    Args:
        clip: the clip.
        last_s: time of its last frame in seconds.
    """
    for fall in clip.fall_intervals:
        if fall.start_s >= last_s or fall.end_s > last_s + BEYOND_S:
            raise FalldetError(
                f"{clip.place or clip.path}: the fall from {fall.start_s:.1f} s to {fall.end_s:.1f} s lies beyond the end "
                f"of {clip.path.name} at {last_s:.1f} s; correct fps, or write seconds into fall_start_s and fall_end_s"
            )


def label_of(word: str) -> int | None:
    """Return 1 for a word for a fall, 0 for one for other motion, None for others."""
    bare = re.sub(r"[\s_-]", "", word.lower())
    return 1 if bare in FALL_WORDS else 0 if bare in NOT_FALL_WORDS else None


def _record(values: Mapping[str, str], roots: Sequence[Path], place: str) -> ClipRecord:
    if not values["path"]:
        raise FalldetError(f"{place}: path is blank; name a video")
    label = NUMBERS.get(values["label"].replace(",", "."), label_of(values["label"]))
    if label is None:
        raise FalldetError(f"{place}: unknown label {shown(values['label'])}; write fall or not_fall")
    split = values.get("split", "").lower() or None
    split = SPLIT_WORDS.get(split, split) if split else None
    if split is not None and split not in SPLIT_NAMES:
        raise FalldetError(f"{place}: unknown split {shown(split)}; write {', '.join(SPLIT_NAMES)} or leave it blank")
    if "\0" in values["path"]:
        raise FalldetError(f"{place}: path = {shown(values['path'])} is no path; save the file as UTF-8")
    names = dict.fromkeys((values["path"], values["path"].replace("\\", "/")))  # Windows writes backslashes
    candidates = [root / name for name in names for root in roots]
    path = next((candidate for candidate in candidates if candidate.exists()), candidates[0])
    start = values.get("fall_start") or values.get("fall_start_s")
    if start and label == 0:
        raise FalldetError(f"{place}: label is not_fall, but fall_start is {shown(start)}; correct one of them")
    intervals = _intervals(values, place)
    subject = values.get("subject") or path.stem
    return ClipRecord(path, label, subject, split, intervals, values.get("source", ""), place)


def _intervals(values: Mapping[str, str], place: str) -> tuple[FallInterval, ...]:
    """Return the fall intervals of one line in seconds."""
    unit = "_s" if values.get("fall_start_s") else ""
    columns = [f"{name}{unit}" for name in ("fall_start", "fall_end", "event_end")]
    if not values.get(columns[0]):
        return ()
    if unit and values.get("fall_start"):
        raise FalldetError(f"{place}: the fall has frames in fall_start and seconds in fall_start_s; leave one blank")
    starts, ends, event_ends = (values.get(column, "").split(";") for column in columns)
    intervals = []
    for number, start in enumerate(starts):
        fall_end, event_end = (cells[number].strip() if number < len(cells) else "" for cells in (ends, event_ends))
        if not fall_end and not event_end:
            raise FalldetError(f"{place}: the fall from {shown(start)} has neither fall_end nor event_end; give one")
        first = _number(start, columns[0], place)
        last = _number(fall_end or event_end, columns[1 if fall_end else 2], place)
        if not 0 <= first <= last:
            raise FalldetError(
                f"{place}: a fall can't go from {shown(start)} to {shown(fall_end or event_end)}; count from 0"
            )
        start_s, end_s = (first, last) if unit else _seconds(first, last, values, place)
        if end_s - start_s < SHORTEST_S:
            raise FalldetError(
                f"{place}: the fall lasts {end_s - start_s:.3f} s, too short for one; write seconds into fall_start_s and "
                "fall_end_s, or correct fps"
            )
        intervals.append(FallInterval(start_s, end_s, bool(fall_end)))
    return tuple(intervals)


def _seconds(first: float, last: float, values: Mapping[str, str], place: str) -> tuple[float, float]:
    """Return start and end in seconds of a fall from frame `first` to frame `last`, which belongs to it."""
    if first % 1 or last % 1:
        raise FalldetError(
            f"{place}: fall_start and fall_end = {first:g} and {last:g} are no frame numbers; write seconds into "
            "fall_start_s and fall_end_s"
        )
    if not values.get("fps"):
        raise FalldetError(f"{place}: fps is blank, and the fall's times are frames; give fps, or times in fall_start_s")
    fps = _number(values["fps"], "fps", place)
    if fps <= 0:
        raise FalldetError(f"{place}: fps = {fps:g} must be above 0")
    return first / fps, (last + 1) / fps


def _number(text: str, column: str, place: str) -> float:
    try:
        number = float(text.strip().replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FalldetError(f"{place}: {column} = {shown(text)} is not a number")
    return number
