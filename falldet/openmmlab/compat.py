"""Repairs that make the OpenMMLab wheels importable without a compiled mmcv and without a matching torchvision.

Three repairs, each idempotent and without effect where the repaired part is present:

- `mmcv._ext`: mmcv-lite ships every mmcv/ops/*.py but not the compiled module they load. A substitute has a working
  `nms` and raises for every other operator when that is called.
  https://github.com/open-mmlab/mmcv/issues/2059
  Delete when mmdet and mmpose import without mmcv's compiled operators.
- `torchvision`: a wheel linked against CUDA can't load its C++ library with a CPU-only torch, and then fails on two
  operator schemas it annotates. Declaring the schemas is enough, for nothing here calls the operators.
  https://github.com/pytorch/vision/issues/9085
  Delete when `import torchvision` works without its C++ library.
- `mmaction.models.localizers.drn`: a package that is missing from the mmaction2 1.2.0 wheel.
  https://github.com/open-mmlab/mmaction2/issues/2714
  Delete when an mmaction2 release ships it.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any, NoReturn

import torch

from falldet.openmmlab.nms import nms

_SCHEMAS: list[torch.library.Library] = []
"""The declared operator schemas, kept alive by this list."""


def install() -> None:
    """Apply the three repairs."""
    _repair_torchvision()
    _provide_mmcv_operators()
    _provide_drn()


class _MissingOperators(types.ModuleType):
    """The module `mmcv._ext` without compiled code: `nms`, and for any other name a function that raises."""

    def __init__(self) -> None:
        super().__init__("mmcv._ext", "Substitute for mmcv's compiled operators.")
        self.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)  # MMEngine calls find_spec
        self.nms = nms

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise NotImplementedError(
                f"mmcv's compiled operator {name!r} was called, but mmcv-lite has none; install a compiled mmcv 2.1.0"
            )

        missing.__name__ = name
        return missing


def _provide_mmcv_operators() -> None:
    if "mmcv._ext" in sys.modules or importlib.util.find_spec("mmcv._ext") is not None:
        return
    import mmcv

    mmcv._ext = sys.modules["mmcv._ext"] = _MissingOperators()


def _repair_torchvision() -> None:
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # remains of the failed import
        schemas = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            schemas.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _SCHEMAS.append(schemas)
        importlib.import_module("torchvision")


def _provide_drn() -> None:
    import mmaction

    name = "mmaction.models.localizers.drn"
    if name in sys.modules or (Path(mmaction.__file__).parent / "models" / "localizers" / "drn").is_dir():
        return

    class DRN(torch.nn.Module):
        """Placeholder of the localizer that the wheel lacks."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise NotImplementedError("the DRN localizer is missing from the mmaction2 1.2.0 wheel")

    package, module = types.ModuleType(name), types.ModuleType(f"{name}.drn")
    package.__dict__.update(__path__=[], drn=module)
    module.__dict__.update(DRN=DRN)
    sys.modules[name], sys.modules[f"{name}.drn"] = package, module
