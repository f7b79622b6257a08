"""MMEngine configs that the user names to train, test and export: they are Python code, and run.

`falldet.openmmlab.checked_config` reads those of others, which never run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from falldet.config import parse_override, place_of
from falldet.errors import FalldetError
from falldet.terminal import shown

SPLITS = ("train", "val", "test")


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
    replace_annotation_files(config, ann_files)
    if more_ann_files:
        dataset = innermost_dataset(config, "train")
        known = [dataset["ann_file"]] if isinstance(dataset["ann_file"], str) else dataset["ann_file"]
        dataset["ann_file"] = [*known, *more_ann_files]
    return config


def replace_annotation_files(config: Config, ann_files: Sequence[str]) -> None:
    """Let all three data loaders read `ann_files`, where there are any."""
    for split in (split for split in SPLITS if ann_files and config.get(f"{split}_dataloader")):
        dataset = innermost_dataset(config, split)
        dataset["ann_file"] = list(ann_files)
        config[f"{split}_dataloader"].dataset = dataset


def replace_splits(config: Config, splits: Iterable[str]) -> None:
    """Let the datasets of a split read another split of their files, as `train=xsub_train` says.

    Raises:
        FalldetError: an entry is not SPLIT=NAME.
    """
    for entry in splits:
        split, _, name = entry.partition("=")
        if split not in SPLITS or not name:
            raise FalldetError(f"--splits takes {'=NAME, '.join(SPLITS)}=NAME, got {shown(entry)}")
        waiting = [config[f"{split}_dataloader"].dataset]
        while waiting:
            dataset = waiting.pop()
            waiting += [dataset[key] for key in ("dataset",) if key in dataset] + list(dataset.get("datasets", ()))
            if dataset.get("split") == split:
                dataset["split"] = name


def innermost_dataset(config: Config, split: str) -> dict[str, Any]:
    """Return the config of a split's dataset, the first of several, unwrapped from RepeatDataset and ConcatDataset."""
    dataset = config[f"{split}_dataloader"].dataset
    while "dataset" in dataset or "datasets" in dataset:
        dataset = dataset.dataset if "dataset" in dataset else dataset.datasets[0]
    return dataset


def as_config(config: Config | str | Path) -> Config:
    """Return a config as it is, or read from a file that the user trusts, as `load_config` does."""
    return config if isinstance(config, Config) else load_config(config)


def name_of(config: Config) -> str:
    """Return the name of the file that a config comes from."""
    return Path(config.filename or "config.py").name
