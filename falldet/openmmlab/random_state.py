"""States of the random generators in checkpoints: a resumed run ends with the weights of an undisturbed one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Keeps the states of the random generators in the checkpoints, so that a resumed run ends as an undisturbed one.

    Validation leaves the generators as they were: a checkpoint is written before its epoch is validated, and a resumed
    run doesn't validate that epoch again. With several processes, each rank resumes with the state of rank 0, offset by
    its own seed: the weights are then not the same as those of an undisturbed run.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._resumed: dict[str, Any] | None = None
        self._before_val: dict[str, Any] | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add the states."""
        checkpoint["random_state"] = random_state()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Restore the states where a run resumes; weights to start from have none that matters."""
        if runner._resume and "random_state" in checkpoint and get_world_size() == 1:
            self._resumed = checkpoint["random_state"]

    def before_train_epoch(self, runner: Runner) -> None:
        """Take the restored states: whatever was drawn since then belongs to the start of the process."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            restore_random_state(resumed)

    def before_val_epoch(self, runner: Runner) -> None:
        """Keep the states."""
        self._before_val = random_state()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Restore the states."""
        if self._before_val is not None:
            restore_random_state(self._before_val)


def random_state() -> dict[str, Any]:
    """Return the states of Python's, numpy's and torch's generators, as tensors and plain values."""
    version, words, gauss = random.getstate()
    state: Any = np.random.get_state()  # noqa: NPY002  # MMAction2's transforms use it
    kind, keys, position, has_gauss, cached = state
    return {
        "python": (version, list(words), gauss),
        "numpy": (kind, torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Set the generators to a state that `random_state` returned."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda"]])
