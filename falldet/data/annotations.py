"""Keypoint annotations for training and evaluation: MMAction2's skeleton pickle, loaded without running code.

The file holds `dict(split={name: [frame_dir, ...]}, annotations=[Annotation, ...])`.
Source: https://mmaction2.readthedocs.io/en/latest/dataset_zoo/skeleton.html
"""

from __future__ import annotations

import difflib
import pickle
import sys
from collections import Counter
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np

from falldet.data.foreign_annotations import as_own_form
from falldet.data.plausibility import check_joints
from falldet.data.restricted_pickle import load_restricted
from falldet.errors import FalldetError
from falldet.io.files import atomic_write
from falldet.skeleton import JOINT_COUNT
from falldet.terminal import shown

SPLIT_NAMES = ("train", "val", "test")
MAX_FILE_BYTES = 4 << 30

MAX_NUMBER = 1 << 40
"""Largest label, size or number of frames that is taken for a number."""

_TOOL = " with `python tools/extract_kpts.py`"


class _RequiredFields(TypedDict):
    frame_dir: str
    label: int
    img_shape: tuple[int, int]
    original_shape: tuple[int, int]
    total_frames: int
    keypoint: np.ndarray
    keypoint_score: np.ndarray


class Annotation(_RequiredFields, total=False):
    """The poses of one clip; a missing joint has score 0 and lies at (0, 0).

    Keys:
        frame_dir: name of the clip.
        label: 1 for a fall, else 0.
        img_shape: height and width of the frames in pixels.
        original_shape: the same.
        total_frames: number of frames, T.
        keypoint: (M, T, K, 2) float32, pixels, of M people.
        keypoint_score: (M, T, K) float32.
        time_s: (T,) float64, seconds; may be left out, as may all keys from here on.
        fall_intervals: [start_s, end_s] of each descent, half-open; left out where a fall's time is unknown.
        subject: name of the person; clips of one subject stay in one split.
        source: name of the data set.
    """

    time_s: np.ndarray
    fall_intervals: list[list[float]]
    subject: str
    source: str


class AnnotationFile(TypedDict):
    """Contents of an annotation file: clip names by split, and the clips."""

    split: dict[str, list[str]]
    annotations: list[Annotation]


REQUIRED_KEYS = tuple(_RequiredFields.__annotations__)
OPTIONAL_KEYS = tuple(key for key in Annotation.__annotations__ if key not in REQUIRED_KEYS)


def load_annotations(path: str | Path) -> AnnotationFile:
    """Return the validated contents of an annotation file; nothing in the file can run as code.

    Files of MMAction2 and PySKL are read as well (`falldet.data.foreign_annotations`), with their own names of splits.

    Raises:
        FalldetError: the file is missing, too large, not an annotation pickle, breaks a rule of `check_annotations`, or
            its joints can't be in pixels of its images.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise FalldetError(f"can't read {path}: it is no file; give a readable annotation file")
        if size > MAX_FILE_BYTES:
            raise FalldetError(f"{path} has {size / 2**30:.1f} GiB; more than {MAX_FILE_BYTES >> 30} GiB is not read")
        with path.open("rb") as stream:
            contents = load_restricted(stream, str(path))
    except FileNotFoundError:
        raise FalldetError(
            f"no annotation file {path}; make it with `python tools/extract_kpts.py videos/ --out {path}`"
        ) from None
    except OSError as error:
        raise FalldetError(f"can't read {path}: {error.strerror}; give a readable annotation file") from None
    contents = as_own_form(contents, str(path), REQUIRED_KEYS, OPTIONAL_KEYS)
    checked = check_annotations(contents, str(path), any_splits=True)
    for index, annotation in enumerate(checked["annotations"]):
        check_joints(annotation, f"{path}: annotations[{index}] ({shown(annotation['frame_dir'])})")
    return checked


def dump_annotations(contents: Mapping[str, Any], path: str | Path) -> None:
    """Check `contents` and write them to `path` in one step; equal contents give equal bytes.

    Raises:
        FalldetError: the contents break a rule of `check_annotations`, or the file can't be written.
    """
    path = Path(path)
    contents = check_annotations(contents, str(path))
    with atomic_write(path, binary=True) as stream:
        pickle.dump(contents, stream, protocol=4)


def check_annotations(contents: Any, where: str, any_splits: bool = False) -> AnnotationFile:
    """Return `contents` in canonical form: equal contents are pickled to equal bytes.

    Keys have a fixed order, arrays are C-contiguous (copied only where they were not), shapes are tuples, and equal
    strings are one object.

    Args:
        contents: what an annotation file holds.
        where: the file's name, for the message.
        any_splits: True allows splits of other names than `SPLIT_NAMES`, which may share clips.

    Raises:
        FalldetError: a key is missing or unknown, a value has a wrong type, dtype, shape or range, a clip name occurs
            twice or in two splits, or a split names a clip without an annotation.
    """
    if not isinstance(contents, Mapping) or set(contents) != {"split", "annotations"}:
        raise FalldetError(f"{where} must be a dict with the keys 'split' and 'annotations'; make it anew{_TOOL}")
    if not isinstance(contents["annotations"], list | tuple) or not contents["annotations"]:
        raise FalldetError(f"{where}: 'annotations' must be a list of at least one clip; make it anew{_TOOL}")
    annotations = [
        _check_annotation(annotation, f"{where}: annotations[{index}]")
        for index, annotation in enumerate(contents["annotations"])
    ]
    counts = Counter(annotation["frame_dir"] for annotation in annotations)
    repeated = next((name for name, count in counts.items() if count > 1), None)
    if repeated is not None:
        raise FalldetError(
            f"{where}: frame_dir {shown(repeated)} occurs {counts[repeated]} times; give each clip its own name"
        )
    return {"split": _check_split(contents["split"], counts, where, any_splits), "annotations": annotations}


def _check_split(split: Any, names: Container[str], where: str, any_splits: bool) -> dict[str, list[str]]:
    if not isinstance(split, Mapping):
        raise FalldetError(f"{where}: 'split' must be a dict of lists, got {type(split).__name__}")
    split_of: dict[str, str] = {}
    for name, entries in split.items():
        if not isinstance(name, str) or (name not in SPLIT_NAMES and not any_splits):
            raise FalldetError(f"{where}: unknown split {shown(name)}; write {', '.join(SPLIT_NAMES)}")
        if not isinstance(entries, list | tuple):
            raise FalldetError(f"{where}: split[{shown(name)}] must be a list of frame_dir, got {type(entries).__name__}")
        own: set[str] = set()
        for entry in entries:
            if not isinstance(entry, str) or entry not in names:
                raise FalldetError(f"{where}: split[{shown(name)}] names {shown(entry)}, which has no annotation; remove it")
            if entry in own or (name in SPLIT_NAMES and entry in split_of):
                other = "listed twice" if entry in own else f"also in split[{shown(split_of[entry])}]"
                raise FalldetError(f"{where}: {shown(entry)} of split[{shown(name)}] is {other}; keep one of the two")
            own.add(entry)
            if name in SPLIT_NAMES:
                split_of[entry] = name
    ordered = [name for name in SPLIT_NAMES if name in split] + [name for name in split if name not in SPLIT_NAMES]
    return {sys.intern(name): [sys.intern(entry) for entry in split[name]] for name in ordered}


def _check_annotation(annotation: Any, place: str) -> Annotation:
    if not isinstance(annotation, Mapping):
        raise FalldetError(f"{place} must be a dict, got {type(annotation).__name__}")
    missing = [key for key in REQUIRED_KEYS if key not in annotation]
    if missing:
        raise FalldetError(f"{place} has no {missing[0]!r}; every clip needs {', '.join(REQUIRED_KEYS)}")
    for key in annotation:
        if key not in REQUIRED_KEYS + OPTIONAL_KEYS:
            near = difflib.get_close_matches(str(key), OPTIONAL_KEYS, n=1, cutoff=0.0)
            raise FalldetError(f"{place} has the unknown key {shown(key)}; did you mean {shown(near[0])}? Otherwise remove it")
    frame_dir = annotation["frame_dir"]
    if not isinstance(frame_dir, str) or not frame_dir:
        raise FalldetError(f"{place}: frame_dir must be a name, got {shown(frame_dir)}")
    place = f"{place} ({shown(frame_dir)})"
    checked: dict[str, Any] = {"frame_dir": sys.intern(frame_dir)}
    checked["label"] = _whole_number(annotation, "label", place)
    if checked["label"] not in (0, 1):
        raise FalldetError(f"{place}: label = {shown(checked['label'])} must be 1 (fall) or 0 (not a fall); map other classes to these two")
    for key in ("img_shape", "original_shape"):
        checked[key] = _image_shape(annotation, key, place)
    checked |= _check_arrays(annotation, place)
    if annotation.get("fall_intervals") is not None:
        checked["fall_intervals"] = _fall_intervals(annotation["fall_intervals"], checked["label"], place)
    for key in ("subject", "source"):
        if annotation.get(key) is not None:
            if not isinstance(annotation[key], str):
                raise FalldetError(f"{place}: {key} must be a string, got {shown(annotation[key])}")
            checked[key] = sys.intern(annotation[key])
    return cast(Annotation, checked)


def _check_arrays(annotation: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return total_frames and the arrays of one annotation, checked against each other."""
    keypoint = _array(annotation, "keypoint", np.float32, place)
    if keypoint.ndim != 4 or keypoint.shape[2:] != (JOINT_COUNT, 2) or 0 in keypoint.shape:
        raise FalldetError(f"{place}: keypoint must be (M, T, {JOINT_COUNT}, 2) with M, T >= 1, got {keypoint.shape}")
    score = _array(annotation, "keypoint_score", np.float32, place)
    if score.shape != keypoint.shape[:3]:
        raise FalldetError(f"{place}: keypoint_score must be {keypoint.shape[:3]} as keypoint is, got {score.shape}")
    if score.min() < 0:
        raise FalldetError(f"{place}: keypoint_score holds {score.min():g}; scores start at 0, a missing joint")
    frames = _whole_number(annotation, "total_frames", place)
    if frames != keypoint.shape[1]:
        raise FalldetError(f"{place}: total_frames = {frames}, but keypoint has T = {keypoint.shape[1]} frames")
    arrays: dict[str, Any] = {"total_frames": frames, "keypoint": keypoint, "keypoint_score": score}
    if annotation.get("time_s") is not None:
        time_s = arrays["time_s"] = _array(annotation, "time_s", np.float64, place)
        if time_s.shape != (frames,):
            raise FalldetError(f"{place}: time_s must be ({frames},) as total_frames is, got {time_s.shape}")
        if (np.diff(time_s) < 0).any():
            at = int(np.argmax(np.diff(time_s) < 0)) + 1
            raise FalldetError(
                f"{place}: time_s[{at}] = {time_s[at]:g} lies before the previous frame's; sort the frames"
            )
    return arrays


def _array(annotation: Mapping[str, Any], key: str, dtype: type, place: str) -> np.ndarray:
    value = annotation[key]
    if not isinstance(value, np.ndarray) or value.dtype != dtype:
        found = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise FalldetError(f"{place}: {key} must be an array of {np.dtype(dtype)}, got {found}; convert it with numpy's astype")
    if not np.isfinite(value).all():
        raise FalldetError(f"{place}: {key} holds a number that is not finite; a missing joint has score 0 and xy 0")
    return np.ascontiguousarray(value).view(np.ndarray).view(dtype)


def _whole_number(annotation: Mapping[str, Any], key: str, place: str) -> int:
    value = annotation[key]
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or abs(int(value)) > MAX_NUMBER:
        raise FalldetError(f"{place}: {key} must be a whole number, got {shown(value)}")
    return int(value)


def _image_shape(annotation: Mapping[str, Any], key: str, place: str) -> tuple[int, int]:
    value = annotation[key]
    if isinstance(value, list | tuple) and len(value) == 2:
        height, width = (_whole_number({key: side}, key, place) for side in value)
        if height > 0 and width > 0:
            return height, width
    raise FalldetError(f"{place}: {key} must be (height, width) in pixels, got {shown(value)}")


def _fall_intervals(value: Any, label: int, place: str) -> list[list[float]]:
    try:
        rows = [(float(start_s), float(end_s)) for start_s, end_s in value]
        intervals = np.array(rows, dtype=np.float64).reshape(len(rows), 2)
    except (ValueError, TypeError, OverflowError):
        raise FalldetError(f"{place}: fall_intervals must be a list of [start_s, end_s], got {shown(value)}") from None
    wrong = ~(np.isfinite(intervals).all(axis=1) & (intervals[:, 0] < intervals[:, 1]) & (intervals[:, 0] >= 0))
    if wrong.any():
        raise FalldetError(f"{place}: fall_intervals holds {intervals[wrong][0].tolist()}; write 0 <= start_s < end_s")
    if len(intervals) and label == 0:
        raise FalldetError(f"{place}: label is 0 (not a fall), but fall_intervals is {shown(intervals.tolist())}; correct one")
    return intervals.tolist()
