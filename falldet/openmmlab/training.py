"""Training: a config in, a work dir with checkpoints, plots and metrics out."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from falldet.errors import FalldetError
from falldet.models.checkpoints import cache_folder
from falldet.openmmlab.checkpoint import load_checkpoint
from falldet.openmmlab.config import load_config, replace_splits
from falldet.openmmlab.logs import quiet_libraries
from falldet.openmmlab.training_checks import check_samples, check_settings, make_work_dir

LAUNCHERS = ("none", "pytorch")
logger = logging.getLogger(__name__)


class QuietRunner(Runner):
    """MMEngine's Runner with its log in the log file alone; the terminal shows warnings and falldet's own lines."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Return MMEngine's logger, whose terminal handlers show warnings only."""
        mm_logger = super().build_logger(*args, **kwargs)
        for handler in mm_logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
                handler.addFilter(lambda record: "deprecated" not in record.getMessage())
        return mm_logger


def train(
    config_path: str | Path,
    work_dir: str | Path | None = None,
    resume: bool = False,
    launcher: str = "none",
    seed: int | None = None,
    overrides: Iterable[str] = (),
    ann_files: Sequence[str] = (),
    more_ann_files: Sequence[str] = (),
    splits: Iterable[str] = (),
) -> Path:
    """Train a recognizer from a config and return the work dir.

    Args:
        config_path: an MMEngine config, such as configs/stgcn_fall_best.py.
        work_dir: folder of all files; None means the config's `work_dir`, or work_dirs/<name of the config>.
        resume: continue from the newest checkpoint of the work dir.
        launcher: "none", or "pytorch" where torchrun starts one process per device.
        seed: random seed in place of the config's.
        overrides: `key.sub=value` strings that change the config.
        ann_files: annotation files in place of the config's.
        more_ann_files: annotation files to train on in addition.
        splits: names of splits in files made by others, as `train=xsub_train`.

    Raises:
        FalldetError: a file, a key or a checkpoint to resume from is missing, a setting makes no training, a clip is in
            two splits, the work dir can't be written, or the loss diverges.
    """
    config = load_config(config_path, overrides, ann_files, more_ann_files)
    replace_splits(config, splits)
    folder = Path(work_dir or config.get("work_dir") or Path("work_dirs") / Path(config_path).stem)
    config.work_dir = str(folder)
    if seed is not None:
        config.setdefault("randomness", {})["seed"] = seed
    check_settings(config)
    if resume:
        config.resume, config.load_from = True, str(checkpoint_to_resume(folder))
    elif config.get("load_from"):
        load_checkpoint(config.load_from)
    make_work_dir(folder)
    runner = make_runner(config, launcher)
    if runner.rank == 0:
        name, samples = Path(config_path).name, len(runner.train_loop.dataloader.dataset)
        check_samples({"train": runner.train_loop.dataloader.dataset, "val": _validation_data(runner)})
        logger.info("training %s: %d samples, %d epochs, into %s", name, samples, runner.max_epochs, folder)
    runner.train()
    return folder


def make_runner(config: Config, launcher: str = "none") -> QuietRunner:
    """Return a runner for this machine: gloo without a GPU, deterministic cuBLAS, few warnings.

    Args:
        config: the config; `launcher` and, without a GPU, `model_wrapper_cfg` are set in it.
        launcher: "none" or "pytorch", as in `train`.

    Raises:
        FalldetError: the launcher is "pytorch" without torchrun.
    """
    quiet_libraries()
    _import_yapf()
    config.launcher = launcher
    if launcher == "none":
        os.environ.setdefault("LOCAL_RANK", "0")
    elif "RANK" not in os.environ:
        raise FalldetError(f"--launcher {launcher} needs torchrun: `torchrun --nproc-per-node 2 tools/train.py ...`")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for deterministic matrix products in torch
    if launcher == "pytorch" and not torch.cuda.is_available():
        _join_processes_without_gpu(config)
    return QuietRunner.from_cfg(config)


def _import_yapf() -> None:
    """Import YAPF, with which MMEngine formats configs, so that it keeps its grammar in falldet's cache folder.

    YAPF writes it into the user's cache when it is imported, wherever XDG_CACHE_HOME points then.
    """
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(cache_folder())
    try:
        importlib.import_module("yapf.yapflib.yapf_api")
    finally:
        del os.environ["XDG_CACHE_HOME"]
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def _join_processes_without_gpu(config: Config) -> None:
    """Set up gloo, which MMEngine can't do: it always selects a CUDA device.

    https://github.com/open-mmlab/mmengine/blob/main/mmengine/dist/utils.py, _init_dist_pytorch
    Delete when `init_dist("pytorch", backend="gloo")` works with a CPU-only torch.
    """
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    config.setdefault("model_wrapper_cfg", {"type": "MMDistributedDataParallel", "device_ids": None})


def checkpoint_to_resume(folder: Path) -> Path:
    """Return the newest checkpoint in a work dir, wherever the folder was when it was written.

    MMEngine's `last_checkpoint` holds the path of the folder at that time; only the folder's own files are taken.

    Raises:
        FalldetError: there is none, or the newest is incomplete.
    """
    found = {int(path.stem.removeprefix("epoch_")): path for path in folder.glob("epoch_*.pth") if _is_epoch(path)}
    if not found:
        raise FalldetError(f"nothing to resume in {folder}; train without --resume first")
    newest = found.pop(max(found))
    try:
        checkpoint = load_checkpoint(newest)
    except FalldetError as error:
        before = f"; without it, --resume takes {found[max(found)].name}" if found else ""
        raise FalldetError(f"{error}{before}") from None
    if not {"state_dict", "optimizer", "meta", "message_hub"} <= checkpoint.keys():
        raise FalldetError(
            f"{newest} holds weights only, not the state of a training run; start with load_from={newest}"
        )
    return newest


def _is_epoch(path: Path) -> bool:
    return path.stem.removeprefix("epoch_").isdecimal() and path.is_file()


def _validation_data(runner: Runner) -> Any:
    return None if runner.val_loop is None else runner.val_loop.dataloader.dataset
