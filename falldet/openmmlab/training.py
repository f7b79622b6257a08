"""Training: a config in, a work dir with checkpoints, plots and metrics out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner, find_latest_checkpoint

from falldet.errors import FalldetError
from falldet.openmmlab.config import load_config
from falldet.openmmlab.logs import quiet_libraries

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

    Raises:
        FalldetError: a file, a key or a checkpoint to resume from is missing, or the loss is no longer finite.
    """
    config = load_config(config_path, overrides, ann_files, more_ann_files)
    folder = Path(work_dir or config.get("work_dir") or Path("work_dirs") / Path(config_path).stem)
    config.work_dir = str(folder)
    if seed is not None:
        config.setdefault("randomness", {})["seed"] = seed
    if resume:
        config.resume, config.load_from = True, _checkpoint_to_resume(folder)
    runner = make_runner(config, launcher)
    if runner.rank == 0:
        name, samples = Path(config_path).name, len(runner.train_loop.dataloader.dataset)
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
    config.launcher = launcher
    if launcher == "none":
        os.environ.setdefault("LOCAL_RANK", "0")
    elif "RANK" not in os.environ:
        raise FalldetError(f"--launcher {launcher} needs torchrun: `torchrun --nproc-per-node 2 tools/train.py ...`")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for deterministic matrix products in torch
    if launcher == "pytorch" and not torch.cuda.is_available():
        _join_processes_without_gpu(config)
    return QuietRunner.from_cfg(config)


def _join_processes_without_gpu(config: Config) -> None:
    """Set up gloo, which MMEngine can't do: it always selects a CUDA device.

    https://github.com/open-mmlab/mmengine/blob/main/mmengine/dist/utils.py, _init_dist_pytorch
    Delete when `init_dist("pytorch", backend="gloo")` works with a CPU-only torch.
    """
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    config.setdefault("model_wrapper_cfg", {"type": "MMDistributedDataParallel", "device_ids": None})


def _checkpoint_to_resume(folder: Path) -> str:
    latest = find_latest_checkpoint(str(folder)) if folder.is_dir() else None
    if latest is None:
        raise FalldetError(f"nothing to resume in {folder}; train without --resume first")
    return str(latest)
