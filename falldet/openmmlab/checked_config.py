"""Configs of others, such as the one in a checkpoint's folder: built from checked literals, never run.

MMEngine's own reader runs a config, after it has replaced templates such as `{{$VAR:default}}` in its text. Here the
config is built from the values that were read as literals; a template in them is a string like any other. What is built
from a config is named by types, and a type may only be one of OpenMMLab's classes for these networks: MMEngine imports
any other name as a module.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import Registry

from falldet.errors import FalldetError
from falldet.models.literal_config import find_config, read_literal_config
from falldet.models.shipped import shipped_folder
from falldet.openmmlab.config import SPLITS, load_config
from falldet.terminal import shown

MAX_NUMBER = 8192
"""Largest whole number in a network's settings: a number of channels or of layers takes memory and time."""

_OWN_IMPORTS = ["falldet.openmmlab"]
_BASE = re.compile(r"(mmdet|mmpose)::[\w-]+(/[\w-]+)*/[\w.-]+\.py")
_RESERVED = ("filename", "text", "pretty_text", "env_variables")
_RECOGNIZER_MODULES = (
    "falldet.openmmlab",
    "mmaction.datasets.transforms.formatting",
    "mmaction.datasets.transforms.pose_transforms",
    "mmaction.models.backbones.aagcn",
    "mmaction.models.backbones.stgcn",
    "mmaction.models.data_preprocessors",
    "mmaction.models.heads.gcn_head",
    "mmaction.models.losses.cross_entropy_loss",
    "mmaction.models.recognizers.recognizer_gcn",
    "mmengine.dataset",
    "mmengine.model.weight_init",
    "torch.nn",
)
"""Where the classes of a skeleton recognizer come from, and of the preparation of its input."""

_TOPDOWN_MODULES = ("mmdet", "mmpose", "mmcv", "mmengine", "torch.nn")
_SCOPES = ("mmaction", "mmdet", "mmengine", "mmpose")

LIBRARIES = {"YOLOX": "mmdet", "TopdownPoseEstimator": "mmpose"}
"""The library of a detector or pose network, by the type of its model."""


def config_beside(checkpoint: str | Path) -> Config:
    """Return the config in the folder of a checkpoint, whose contents may be unknown; see `checked_config`.

    Args:
        checkpoint: a .pth file in a work dir.

    Raises:
        FalldetError: the folder has no config or more than one, or the config is refused.
    """
    return checked_config(find_config(checkpoint))


def checked_config(path: str | Path) -> Config:
    """Return the config of a network, built from its literals; nothing in the file runs.

    Training runs write such configs. falldet's own, in configs/, are code that is known, and are read as such.

    Args:
        path: a .py file of literals; its `_base_`, if any, is a config of MMDetection or MMPose by its name.

    Raises:
        FalldetError: the file is missing or holds code, another base or import, or a type that is not a class of
            OpenMMLab's for such networks.
    """
    path = Path(path)
    if path.is_file() and path.resolve().parent == shipped_folder("configs").resolve():
        return load_config(path)
    content = read_literal_config(path)
    base = content.pop("_base_", None)
    _check_names(content, path)
    trusted: frozenset[Any] = frozenset()
    if base is None:
        merged = content
    elif isinstance(base, str) and _BASE.fullmatch(base):
        try:
            inherited = get_config(base)._cfg_dict
            trusted = frozenset(value for key, value in _items(inherited) if key == "type")
            merged = Config._merge_a_into_b(content, inherited)
        except Exception as error:  # a base that is not there, or keys that don't fit it
            raise FalldetError(f"{path} can't be merged into {base}: {shown(str(error), 200)}") from None
    else:
        raise FalldetError(f"{path} inherits {shown(base)}, which could run code; read it, then use tools/export.py")
    config = Config(merged, cfg_text="built from literals", filename=str(path))
    _check_types(config, trusted, path)
    return config


def _check_names(content: dict[str, Any], path: Path) -> None:
    """Take the imports out of a config; raise FalldetError for imports of others and for names MMEngine reserves."""
    imports = content.pop("custom_imports", None) or {}
    names = imports.get("imports", []) if isinstance(imports, Mapping) else [imports]
    foreign = [name for name in ([names] if isinstance(names, str) else names) if name not in _OWN_IMPORTS]
    if foreign:
        raise FalldetError(f"{path} imports {shown(foreign[0])}, which runs code; read it, then use tools/export.py")
    for name in _RESERVED:
        if name in content:
            raise FalldetError(f"{path}: {name} is a name of MMEngine's own; remove it")


def _check_types(config: Config, trusted: Container[Any], path: Path) -> None:
    """Raise FalldetError where the config would build what is not a class of these networks, or too large a one.

    Built are the model and the test split's preparation; the steps of other splits are only looked up.

    Args:
        config: the config.
        trusted: types that the config inherits from a library's own.
        path: its file, for the message.
    """
    model = config.get("model")
    if not isinstance(model, Mapping):
        raise FalldetError(f"{path} has no model = dict(...); give the config of the training run")
    topdown = str(model.get("type")) in LIBRARIES
    libraries, modules = (("mmdet", "mmpose"), _TOPDOWN_MODULES) if topdown else (("mmaction",), _RECOGNIZER_MODULES)
    classes = _registered(libraries)
    dataloaders = {name: config.get(f"{name}_dataloader") for name in SPLITS}
    for key, value in [*_items(model), *_items(dataloaders["test"])]:
        known = isinstance(value, str) and (value in trusted or any(_from(each, modules) for each in classes[value]))
        if key == "type" and not known:
            raise FalldetError(
                f"{path} names the type {shown(value)}, which such a network is not built from; read it, then use "
                "tools/export.py"
            )
        if key == "_scope_" and value not in _SCOPES:
            raise FalldetError(f"{path} names the scope {shown(value)}; known are {', '.join(_SCOPES)}")
    for key, value in _items(dataloaders):
        if key == "type" and not (isinstance(value, str) and (value in trusted or classes[value])):
            raise FalldetError(f"{path} names the unknown type {shown(value)}; read it, then use tools/export.py")
    for key, value in _items(model):
        if isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise FalldetError(f"{path}: {shown(key)} = {shown(value)} is too large for such a network")


def _items(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key and value of nested mappings and lists that is no mapping or list itself."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _items(inner, str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _items(inner, key)
    else:
        yield key, value


def _registered(libraries: Iterable[str]) -> Mapping[str, list[type]]:
    """Return the classes that the registries of the libraries, and of MMEngine, hold under each name."""
    classes: defaultdict[str, list[type]] = defaultdict(list)
    for library in libraries:
        if library != "mmaction":
            import_module(f"{library}.utils").register_all_modules(init_default_scope=False)
        registries = vars(import_module(f"{library}.registry")).values()
        for registry in (each for each in registries if isinstance(each, Registry)):
            with suppress(ModuleNotFoundError):  # one of MMAction2's names a place that its wheel lacks
                registry.import_from_location()
            parents = [registry] if registry.parent is None else [registry, registry.parent]
            for each in parents:
                for name, found in each.module_dict.items():
                    classes[name].append(found)
    return classes


def _from(found: Any, modules: Iterable[str]) -> bool:
    return f"{getattr(found, '__module__', '')}.".startswith(tuple(f"{name.rstrip('.')}." for name in modules))
