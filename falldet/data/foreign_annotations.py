"""Annotation files of MMAction2 and PySKL in falldet's form, as far as converting them loses nothing.

What they have and falldet's don't: arrays of float16 or whole numbers, scores as a third coordinate (x, y, score),
further keys such as PySKL's `valid` and `box_score`, splits named xsub_train, and plain lists of clips without splits.
Source: https://mmaction2.readthedocs.io/en/latest/dataset_zoo/skeleton.html
and https://github.com/kennymckormick/pyskl/blob/main/tools/data/README.md
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from falldet.terminal import shown

logger = logging.getLogger(__name__)

NEAR = 0.7
"""Similarity from which an unknown key is taken for a misspelled one, which is told; others are left out."""

_MAX_EXACT = 1 << 24
"""Whole numbers up to here are exact in float32."""


def as_own_form(contents: Any, where: str, required: Sequence[str], optional: Sequence[str]) -> Any:
    """Return the contents of an annotation file in falldet's form where they are a foreign one, else as they are.

    Nothing is checked here: what is left of another form is what `check_annotations` tells.

    Args:
        contents: what the file holds.
        where: name of the file, for the log.
        required: keys of every clip.
        optional: keys that a clip may have.
    """
    if isinstance(contents, list | tuple) and contents and all(isinstance(each, Mapping) for each in contents):
        contents = {"split": {}, "annotations": contents}
    if not isinstance(contents, Mapping) or not isinstance(contents.get("annotations"), list | tuple):
        return contents
    kept: set[Any] = {*required, *optional}
    left_out: set[Any] = set()
    converted = []
    for annotation in contents["annotations"]:
        if isinstance(annotation, Mapping):
            for key in annotation.keys() - kept - left_out:
                near = isinstance(key, str) and difflib.get_close_matches(key[:40], optional, n=1, cutoff=NEAR)
                (kept if near else left_out).add(key)
            annotation = _converted({key: annotation[key] for key in annotation if key not in left_out})
        converted.append(annotation)
    if left_out:
        logger.info("%s: keys that are not used: %s", where, ", ".join(sorted(map(shown, left_out))[:20]))
    return {**contents, "annotations": converted}


def _converted(converted: dict[str, Any]) -> dict[str, Any]:
    keypoint = converted.get("keypoint")
    if isinstance(keypoint, np.ndarray) and keypoint.ndim == 4 and keypoint.shape[3] == 3:
        if converted.get("keypoint_score") is None:
            converted["keypoint"], converted["keypoint_score"] = keypoint[..., :2], keypoint[..., 2]
    for key in ("keypoint", "keypoint_score"):
        if isinstance(converted.get(key), np.ndarray):
            converted[key] = _as_float32(converted[key])
    keypoint = converted.get("keypoint")
    if isinstance(keypoint, np.ndarray) and keypoint.ndim == 4:
        converted.setdefault("total_frames", keypoint.shape[1])
    if "img_shape" in converted:
        converted.setdefault("original_shape", converted["img_shape"])
    return converted


def _as_float32(array: np.ndarray) -> np.ndarray:
    """Return the array as float32 where every number stays what it is, else as it was."""
    kind = array.dtype.kind
    if array.dtype == np.float32 and array.dtype.isnative:
        return array
    if array.dtype == np.float16 or (kind == "f" and array.dtype.itemsize == 4):
        return array.astype(np.float32)
    if kind in "iu" and array.size and -_MAX_EXACT <= array.min() and array.max() <= _MAX_EXACT:
        return array.astype(np.float32)
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):
            converted = array.astype(np.float32)
        if np.array_equal(converted, array, equal_nan=True):
            return converted
    return array
