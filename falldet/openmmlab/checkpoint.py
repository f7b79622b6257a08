"""Checkpoints read as data: loading a .pth file never runs code from it.

MMEngine 0.10's loader falls back to `torch.load(weights_only=False)`, which runs any code in the file's pickle. Here
every file goes through the `weights_only` reader, with a short list of the types in a training checkpoint.
https://github.com/open-mmlab/mmengine/issues/1655
Delete when MMEngine loads with `weights_only=True` and without the real `getattr` on its allow-list.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from numpy.core import multiarray

from falldet.errors import FalldetError

_STATISTICS = ("min", "max", "current", "mean")
_REMOTE = (
    ("http://", "https://"),
    ("modelzoo://", "torchvision://"),
    ("open-mmlab://", "openmmlab://"),
    (r"(\S+\:)?s3://", r"(\S+\:)?petrel://"),
    ("pavi://", "mmcls://"),
)


def install() -> None:
    """Route every checkpoint that MMEngine loads through `load_checkpoint`, and refuse all but local files."""
    CheckpointLoader.register_scheme(prefixes="", loader=load_from_local, force=True)
    for prefixes in _REMOTE:
        CheckpointLoader.register_scheme(prefixes=prefixes, loader=_refuse_remote, force=True)


def load_checkpoint(filename: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Return the contents of a .pth file: a state dict, or MMEngine's dict with `state_dict`, `meta`, `optimizer`, ...

    Args:
        filename: a local file.
        map_location: device of the tensors, as in `torch.load`.

    Raises:
        FalldetError: the file is missing, is no checkpoint, or names other types than tensors, numpy arrays and
            MMEngine's log histories.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FalldetError(f"no checkpoint {path}; name an existing .pth file, or train one with tools/train.py")
    try:
        with torch.serialization.safe_globals(_allowed()):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, TypeError, AttributeError, KeyError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        detail = next((line.strip() for line in reason if "GLOBAL" in line or "getattr" in line), reason[0])
        raise FalldetError(
            f"{path} is not a checkpoint that can be loaded safely ({detail[:200]}); use a file that holds weights only"
        ) from None
    if not isinstance(checkpoint, dict):
        raise FalldetError(f"{path} holds a {type(checkpoint).__name__}, not a checkpoint")
    return checkpoint


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a checkpoint for MMEngine, whose log line "Loads checkpoint by local backend" needs this function's name."""
    return load_checkpoint(filename, map_location)


def _refuse_remote(filename: str, map_location: Any = None) -> dict[str, Any]:
    raise FalldetError(
        f"the checkpoint {filename} is not a local file; download it, check its sha256 and name the file"
    )


def _history_getattr(owner: Any, name: str) -> Any:
    """Replacement of `builtins.getattr` in a checkpoint's pickle, which gives only the statistics of a log history."""
    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"getattr of {name!r} refused")


def _allowed() -> list[Any]:
    """Return the types that a training checkpoint may name, under their names in numpy 1 and in numpy 2."""
    functions = [
        (getattr(multiarray, function), f"numpy.{core}.multiarray.{function}")
        for function in ("_reconstruct", "scalar")
        for core in ("core", "_core")
    ]
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.uint8, np.bool_)]
    return [HistoryBuffer, np.ndarray, np.dtype, *kinds, *functions, (_history_getattr, "builtins.getattr")]
