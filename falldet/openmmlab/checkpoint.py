"""Checkpoints read as data: loading a .pth file never runs code from it.

MMEngine 0.10's loader falls back to `torch.load(weights_only=False)`, which runs any code in the file's pickle. Here
every file goes through the `weights_only` reader, with a short list of the types in a training checkpoint.
https://github.com/open-mmlab/mmengine/issues/1655
Delete when MMEngine loads with `weights_only=True` and without the real `getattr` on its allow-list.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import OneCycleParamScheduler
from mmengine.runner import CheckpointLoader
from numpy.core import multiarray
from torch import Tensor

from falldet.data.pickle_limits import check_limits
from falldet.errors import FalldetError
from falldet.terminal import printable, shown

_PICKLES_OF_OLD_FORMAT = 5
"""Magic number, version, system, contents and keys of the storages, in files of torch before 1.6."""

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
"""First value of such files (torch/serialization.py)."""

_STATISTICS = ("min", "max", "current", "mean")
_ANNEALING = ("_annealing_cos", "_annealing_linear")
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
        FalldetError: the file is missing, incomplete or no checkpoint, or names other types than tensors, numpy arrays
            and MMEngine's log histories.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FalldetError(f"no checkpoint {path}; name an existing .pth file, or train one with tools/train.py")
    try:
        _check_container(path)
        with torch.serialization.safe_globals(_allowed()):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except OSError as error:
        raise FalldetError(f"can't read {path} ({error.strerror or 'incomplete'}); copy it again") from None
    except FalldetError:
        raise
    except Exception as error:  # a broken file makes torch's reader fail in nearly any way
        raise FalldetError(_reason(path, str(error))) from None
    if not isinstance(checkpoint, dict):
        raise FalldetError(
            f"{path} holds a {type(checkpoint).__name__}, not a checkpoint; give a .pth of a training run"
        )
    return checkpoint


def state_dict_of(checkpoint: dict[str, Any], path: str | Path) -> dict[str, Tensor]:
    """Return the weights in the contents of a checkpoint; raises FalldetError where they are none."""
    weights = checkpoint.get("state_dict", checkpoint)
    if not isinstance(weights, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    ):
        raise FalldetError(f"{path} holds no weights by name; give a .pth of a training run")
    return weights


def _check_container(path: Path) -> None:
    """Check the file around the tensors, before torch reads it.

    Raises:
        FalldetError: the file is incomplete or no checkpoint, would take more memory than its size, or its pickle
            exceeds the limits of `falldet.data.pickle_limits`.
    """
    with path.open("rb") as stream:
        start = stream.read(4)
        stream.seek(0)
        if not start.startswith(b"PK"):
            if start[:1] != b"\x80":
                raise FalldetError(f"{path} is not a checkpoint{' (it is empty)' * (not start)}; give a .pth file")
            if check_limits(stream, str(path)) != _MAGIC_NUMBER:
                raise FalldetError(f"{path} is not a checkpoint but another pickle; give a .pth of a training run")
            for _ in range(_PICKLES_OF_OLD_FORMAT - 1):
                check_limits(stream, str(path))
            return
        try:
            with zipfile.ZipFile(stream) as archive:
                entries = archive.infolist()
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                    raise FalldetError(f"{path} is compressed, as torch writes none; give a .pth of a training run")
                for entry in entries:
                    if entry.filename.endswith("data.pkl"):
                        check_limits(io.BytesIO(archive.read(entry)), str(path))
        except zipfile.BadZipFile:
            raise FalldetError(f"{path} is incomplete; copy it again") from None


def _reason(path: Path, message: str) -> str:
    lines = message.strip().splitlines()
    named = next((line.strip() for line in lines if "GLOBAL" in line or "getattr" in line), None)
    if named is None:
        return f"{path} is incomplete or damaged; copy it again"
    detail = printable(named[:160])
    return f"{path} is not a checkpoint that can be loaded safely ({detail}); use a file that holds weights only"


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a checkpoint for MMEngine, whose log line "Loads checkpoint by local backend" needs this function's name."""
    return load_checkpoint(filename, map_location)


def _refuse_remote(filename: str, map_location: Any = None) -> dict[str, Any]:
    raise FalldetError(
        f"the checkpoint {shown(filename)} is not a local file; download it, check its sha256 and name the file"
    )


def _limited_getattr(owner: Any, name: str) -> Any:
    """Replacement of `builtins.getattr` in a checkpoint's pickle, for functions of a log history and of a schedule."""
    if (owner is HistoryBuffer and name in _STATISTICS) or (owner is OneCycleParamScheduler and name in _ANNEALING):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"getattr of {shown(name)} refused")


def _allowed() -> list[Any]:
    """Return the types that a training checkpoint may name, under their names in numpy 1 and in numpy 2."""
    functions = [
        (getattr(multiarray, function), f"numpy.{core}.multiarray.{function}")
        for function in ("_reconstruct", "scalar")
        for core in ("core", "_core")
    ]
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.uint8, np.bool_)]
    return [
        HistoryBuffer,
        OneCycleParamScheduler,
        np.ndarray,
        np.dtype,
        *kinds,
        *functions,
        (_limited_getattr, "builtins.getattr"),
    ]
