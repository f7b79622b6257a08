"""Training and baseline inference: the only package that imports torch, MMEngine and the OpenMMLab libraries.

Importing it makes the installed wheels usable (`compat`), makes checkpoint loading safe (`checkpoint`) and registers
falldet's dataset, sampler, transforms, backbone, metric and hook under the names in the configs; `aliases` has former
names.
"""

from __future__ import annotations

import importlib

from falldet.errors import FalldetError

_REGISTERED = (
    "transforms",
    "dataset",
    "samplers",
    "augmentation",
    "backbones",
    "metrics",
    "hooks",
    "random_state",
    "aliases",
)


def _load() -> None:
    try:
        importlib.import_module("falldet.openmmlab.compat").install()
        importlib.import_module("falldet.openmmlab.checkpoint").install()
        for name in _REGISTERED:
            importlib.import_module(f"falldet.openmmlab.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "falldet":
            raise
        raise FalldetError(
            f"this needs OpenMMLab, and the module {error.name!r} is not installed; run `make install`"
        ) from None


_load()
