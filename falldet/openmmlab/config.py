"""MMEngine configs of training runs: read with overrides, and found in the folder of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from falldet.config import parse_override, place_of
from falldet.errors import FalldetError
from falldet.models.literal_config import read_literal_config

SPLITS = ("train", "val", "test")
_OWN_IMPORTS = ["falldet.openmmlab"]


def load_config(
    path: str | Path,
    overrides: Iterable[str] = (),
    ann_files: Sequence[str] = (),
    more_ann_files: Sequence[str] = (),
) -> Config:
    """Return an MMEngine config.

    Args:
        path: a config file. It is Python code and runs: name only files you trust.
        overrides: `key.sub=value` strings; an element of a list is named by its number.
        ann_files: annotation files that replace the config's in all three data loaders.
        more_ann_files: annotation files to train on in addition.

    Raises:
        FalldetError: the file is missing or broken, or an override names an unknown key.
    """
    path = Path(path)
    if not path.is_file():
        raise FalldetError(f"no config {path}; name an existing one, such as configs/stgcn_fall.py")
    try:
        config = Config.fromfile(path)
    except (SyntaxError, NameError, KeyError, OSError, ValueError) as error:
        raise FalldetError(f"{path} is not a config that can be read: {error}") from None
    for override in overrides:
        name, value = parse_override(override)
        if name == "ann_file":
            raise FalldetError("ann_file is a name used inside the config; give the file with --ann-file")
        place_of(name, config)
        config.merge_from_dict({name: value})
    if ann_files:
        for split in (split for split in SPLITS if config.get(f"{split}_dataloader")):
            dataset = innermost_dataset(config, split)
            dataset["ann_file"] = list(ann_files)
            config[f"{split}_dataloader"].dataset = dataset
    if more_ann_files:
        dataset = innermost_dataset(config, "train")
        known = [dataset["ann_file"]] if isinstance(dataset["ann_file"], str) else dataset["ann_file"]
        dataset["ann_file"] = [*known, *more_ann_files]
    return config


def innermost_dataset(config: Config, split: str) -> dict[str, Any]:
    """Return the config of a split's dataset, the first of several, unwrapped from RepeatDataset and ConcatDataset."""
    dataset = config[f"{split}_dataloader"].dataset
    while "dataset" in dataset or "datasets" in dataset:
        dataset = dataset.dataset if "dataset" in dataset else dataset.datasets[0]
    return dataset


def config_beside(checkpoint: str | Path) -> Path:
    """Return the config in the folder of a checkpoint, checked to run no code.

    The config that a training run writes holds literals alone, and its types are names in OpenMMLab's registries. A
    file with anything else is refused: checkpoints are shared with their folder, whose contents may be unknown.

    Args:
        checkpoint: a .pth file in a work dir.

    Raises:
        FalldetError: the folder has no config or more than one, or the config could run code.
    """
    folder = Path(checkpoint).parent
    found = sorted(folder.glob("*.py"))
    if len(found) != 1:
        what = f"{len(found)} configs ({', '.join(path.name for path in found)})" if found else "no config"
        raise FalldetError(
            f"{what} beside {checkpoint}; export it with `python tools/export.py CONFIG {checkpoint}`, which names one"
        )
    content = read_literal_config(found[0])
    imports = (content.get("custom_imports") or {}).get("imports", [])
    dotted = [name for name in _types(content) if "." in name]
    if "_base_" in content or [name for name in imports if name not in _OWN_IMPORTS] or dotted:
        raise FalldetError(
            f"{found[0]} can run code (a base file, an import or a dotted type); read it, then use tools/export.py"
        )
    return found[0]


def _types(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        own = [str(value["type"])] if "type" in value else []
        return own + [name for inner in value.values() for name in _types(inner)]
    if isinstance(value, list | tuple):
        return [name for inner in value for name in _types(inner)]
    return []
