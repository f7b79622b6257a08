"""Checkpoints read as data: loading a .pth file never runs code from it.

MMEngine 0.10's loader falls back to `torch.load(weights_only=False)`, which runs whatever the file's pickle says. Here
every file goes through the `weights_only` reader with the short list of types that a training checkpoint really holds.
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
    """Make every checkpoint that MMEngine loads pass through `load_checkpoint`; refuse what is not a local file."""
    CheckpointLoader.register_scheme(prefixes="", loader=load_from_local, force=True)
    for prefixes in _REMOTE:
        CheckpointLoader.register_scheme(prefixes=prefixes, loader=_refuse_remote, force=True)


def load_checkpoint(filename: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Return what a .pth file holds: a state dict, or MMEngine's dict with `state_dict`, `meta`, `optimizer`, ...

    Args:
        filename: a local file.
        map_location: device of the tensors, as in `torch.load`.

    Raises:
        FalldetError: there is no such file, it is no checkpoint, or it asks for anything but tensors, numpy arrays and
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
    """Load for MMEngine, which makes "Loads checkpoint by local backend" of this function's name."""
    return load_checkpoint(filename, map_location)


def _refuse_remote(filename: str, map_location: Any = None) -> dict[str, Any]:
    raise FalldetError(
        f"the checkpoint {filename} is not a local file; download it, check its sha256 and name the file"
    )


def _history_getattr(owner: Any, name: str) -> Any:
    """Stand in for `builtins.getattr` in a checkpoint's pickle: nothing but the statistics of a log history."""
    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"getattr of {name!r} refused")


def _allowed() -> list[Any]:
    """Return the types a training checkpoint may name, under the names that numpy 1 and numpy 2 give them."""
    functions = [
        (getattr(multiarray, function), f"numpy.{core}.multiarray.{function}")
        for function in ("_reconstruct", "scalar")
        for core in ("core", "_core")
    ]
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.uint8, np.bool_)]
    return [HistoryBuffer, np.ndarray, np.dtype, *kinds, *functions, (_history_getattr, "builtins.getattr")]
