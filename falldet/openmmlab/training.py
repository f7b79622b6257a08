"""One training run, from a config to a work dir with checkpoints, pictures and metrics."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner, find_latest_checkpoint

from falldet.errors import FalldetError
from falldet.openmmlab.config import load_config

LAUNCHERS = ("none", "pytorch")
_log = logging.getLogger(__name__)


class QuietRunner(Runner):
    """MMEngine's Runner with its chatter in the log file; the terminal gets warnings and falldet's own lines."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Return MMEngine's logger, its terminal half set to warnings."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
                handler.addFilter(lambda record: "deprecated" not in record.getMessage())
        return logger


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
    """Train as a config says and return the work dir.

    Args:
        config_path: the run's config.
        work_dir: where everything goes; None means the config's own, or work_dirs/<name of the config>.
        resume: go on from the newest checkpoint of the work dir.
        launcher: "none", or "pytorch" where torchrun starts one process per device.
        seed: replaces the config's seed.
        overrides: `key.sub=value` strings.
        ann_files: replace the config's annotation file.
        more_ann_files: are trained on besides.

    Raises:
        FalldetError: a file, a key or a checkpoint to resume from is missing.
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
        _log.info("training %s: %d samples, %d epochs, into %s", name, samples, runner.max_epochs, folder)
    runner.train()
    return folder


def make_runner(config: Config, launcher: str = "none") -> QuietRunner:
    """Return a runner for this machine: gloo without a GPU, deterministic cuBLAS, no walls of warnings."""
    quiet_libraries()
    config.launcher = launcher
    if launcher == "none":
        os.environ.setdefault("LOCAL_RANK", "0")
    elif "RANK" not in os.environ:
        raise FalldetError(f"--launcher {launcher} needs torchrun: `torchrun --nproc-per-node 2 tools/train.py ...`")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch's demand for deterministic matrix products
    if launcher == "pytorch" and not torch.cuda.is_available():
        _join_processes_without_gpu(config)
    return QuietRunner.from_cfg(config)


def _join_processes_without_gpu(config: Config) -> None:
    """Set up gloo, which MMEngine itself can't do: it selects a CUDA device in any case.

    https://github.com/open-mmlab/mmengine/blob/main/mmengine/dist/utils.py, _init_dist_pytorch
    Delete when `init_dist("pytorch", backend="gloo")` works beside a CPU-only torch.
    """
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    config.setdefault("model_wrapper_cfg", {"type": "MMDistributedDataParallel", "device_ids": None})


def quiet_libraries() -> None:
    """Silence the libraries' notes on their own use of old functions; they are nothing a user can act on."""
    for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
        warnings.filterwarnings("ignore", category=category)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(mm\w+|torch)(\.|$)")
    MMLogger.get_current_instance().setLevel(logging.WARNING)


def _checkpoint_to_resume(folder: Path) -> str:
    latest = find_latest_checkpoint(str(folder)) if folder.is_dir() else None
    if latest is None:
        raise FalldetError(f"nothing to resume in {folder}; train without --resume first")
    return str(latest)
