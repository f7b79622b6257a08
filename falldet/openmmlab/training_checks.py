"""Checks of a training run before its work: settings, classes and leaks are told in a sentence, not by a traceback."""

from __future__ import annotations

import logging
import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from falldet.errors import FalldetError
from falldet.openmmlab.config import SPLITS
from falldet.openmmlab.dataset import FallDataset
from falldet.terminal import shown

MAX_RATE = 1.0
"""Learning rate above which SGD on a softmax classifier diverges for any data."""

logger = logging.getLogger(__name__)


def check_settings(config: Config) -> None:
    """Raise FalldetError where a setting of a training config makes no training.

    Checked are batch sizes, workers, epochs, the validation interval, learning rate, seed and the number of classes.
    """
    for split in SPLITS:
        loader = config.get(f"{split}_dataloader")
        if loader is not None:
            _whole(loader, "batch_size", 1, f"{split}_dataloader.")
            _whole(loader, "num_workers", 0, f"{split}_dataloader.")
    training = config.get("train_cfg") or {}
    _whole(training, "max_epochs", 1, "train_cfg.")
    _whole(training, "val_interval", 1, "train_cfg.")
    _whole(config.get("randomness") or {}, "seed", 0, "randomness.")
    rate = ((config.get("optim_wrapper") or {}).get("optimizer") or {}).get("lr")
    name = "optim_wrapper.optimizer.lr"
    if rate is not None and not (_is_number(rate) and 0 < rate < math.inf):
        raise FalldetError(f"{name} = {shown(rate)} must be a number above 0, such as {name}=0.1")
    if rate is not None and rate > MAX_RATE:
        logger.warning("%s = %g is high: the loss will probably diverge; try 0.1", name, rate)
    classes = ((config.get("model") or {}).get("cls_head") or {}).get("num_classes")
    if classes != 2:
        raise FalldetError(
            f"model.cls_head.num_classes = {shown(classes)}, but falldet tells 2 classes, no fall and fall; set "
            "model.cls_head.num_classes=2"
        )


def make_work_dir(folder: Path, option: str = "--work-dir") -> None:
    """Make a folder; raises FalldetError, which names `option`, where that fails or nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FalldetError(f"can't write into {folder} ({error.strerror}); choose another {option}") from None


def check_samples(datasets: Mapping[str, Any]) -> None:
    """Warn of a split whose samples are of one class.

    Args:
        datasets: train and val by their names.

    Raises:
        FalldetError: a clip is in train as well as in val.
    """
    parts = {split: list(_parts(dataset)) for split, dataset in datasets.items()}
    for split, found in parts.items():
        counts = sum((part.label_counts for part in found), Counter())
        if len(counts) == 1:
            kind, other = ("falls", "other motion") if 1 in counts else ("without a fall", "falls")
            logger.warning("split %s holds %d samples, all %s; add %s", split, counts.total(), kind, other)
    clips, subjects = (
        {split: set().union(*(getattr(part, name) for part in found)) for split, found in parts.items()}
        for name in ("clips", "subjects")
    )
    shared = sorted(clips["train"] & clips["val"])
    if shared:
        raise FalldetError(
            f"{len(shared)} clips are in train and in val, such as {shown(shared[0][1])}; give each to one split"
        )
    both = sorted(subjects["train"] & subjects["val"])
    if both:
        logger.warning(
            "%d subjects are in train and in val, such as %s: metrics on val are too good", len(both), shown(both[0])
        )


def _parts(dataset: Any) -> Iterator[FallDataset]:
    """Yield falldet's datasets in a dataset, unwrapped from RepeatDataset and ConcatDataset."""
    if isinstance(dataset, FallDataset):
        yield dataset
    elif hasattr(dataset, "datasets"):
        for each in dataset.datasets:
            yield from _parts(each)
    elif hasattr(dataset, "dataset"):
        yield from _parts(dataset.dataset)


def _whole(group: Any, key: str, least: int, prefix: str) -> None:
    value = group.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise FalldetError(f"{prefix}{key} = {shown(value)} must be a whole number of at least {least}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
