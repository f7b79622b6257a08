"""Training history: three plots and the metrics in the work dir, and one line an epoch on the terminal."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import HOOKS
from mmengine.dist import all_reduce, master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

import falldet
from falldet.errors import FalldetError
from falldet.openmmlab.metrics import COUNTS, FallMetric, write_json
from falldet.terminal import shown
from falldet.visualization.plots import confusion_matrix_plot, learning_rate_plot, loss_plot

CHECK_INTERVAL = 50
"""Batches from one check for a finite loss to the next; the loss is read from the device then."""

DIVERGED_LOSS = 100.0
"""Mean loss of an epoch above which training has diverged; guessing between two classes gives 0.7."""

PACKAGES = ("torch", "mmengine", "onedl-mmengine", "mmcv", "mmcv-lite", "mmaction2", "numpy")
logger = logging.getLogger(__name__)


@HOOKS.register_module()
class TrainingHistoryHook(Hook):
    """Collects the metrics of each epoch and writes them after it.

    Files: `learning_rate.png`, `loss.png`, `confusion_matrix.png` (best epoch), `metrics.json` (all epochs, the best
    and the last one, seed, versions, name of the config) and `val_scores.npz` (each sample's score in the best epoch).
    Each is replaced in one step, so that an interrupted run leaves the files of its last complete epoch. A resumed run
    continues the history in metrics.json.

    The best epoch is the one that the CheckpointHook saves as best. The training loss is the mean over the batches of
    all ranks. Rank 0 alone writes.

    Attributes:
        history: by epoch, `epoch`, `learning_rate`, `train_loss`, `seconds` and `val`, a report or None.
    """

    priority = "LOW"

    def __init__(self) -> None:
        self.history: list[dict[str, Any]] = []
        self._loss_sum: torch.Tensor | float = 0.0  # on the device of the loss: converting each loss would wait for it
        self._batches = 0
        self._rate = 0.0
        self._started = 0.0

    def before_train(self, runner: Runner) -> None:
        """Read the history of the earlier epochs of a resumed run.

        A checkpoint is written before its epoch is validated, so it can't hold the best score. It is restored from the
        history, for the CheckpointHook.
        """
        path = Path(runner.work_dir) / "metrics.json"
        if not runner.epoch or not path.is_file():
            return
        try:
            known = json.loads(path.read_text(encoding="utf-8"))["history"]
            self.history = [record for record in known if record["epoch"] <= runner.epoch]
        except (ValueError, LookupError, TypeError, OSError) as error:
            raise FalldetError(f"{path} is no history of a run ({shown(str(error))}); delete it to resume") from None
        name, rule = _best_rule(runner)
        best = best_record(self.history, name, rule)
        kept = sorted(Path(runner.work_dir).glob(f"best_*_epoch_{best['epoch']}.pth")) if best else []
        if best and kept:
            runner.message_hub.update_info("best_score", best["val"][name])
            runner.message_hub.update_info("best_ckpt", str(kept[0]))

    def before_train_epoch(self, runner: Runner) -> None:
        """Store the learning rate of the epoch."""
        self._rate = float(runner.optim_wrapper.get_lr()["lr"][0])
        self._loss_sum, self._batches, self._started = 0.0, 0, time.monotonic()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Add the loss of a batch; every `CHECK_INTERVAL` batches, check that the sum is finite.

        Raises:
            FalldetError: the loss is not finite.
        """
        self._loss_sum = self._loss_sum + (outputs or {})["loss"].detach().double()
        self._batches += 1
        if self._batches % CHECK_INTERVAL == 0:
            _check_finite(float(self._loss_sum), runner.epoch + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Add the epoch to the history.

        Raises:
            FalldetError: the loss is not finite on one of the ranks.
        """
        train_loss = mean_over_ranks(self._loss_sum, self._batches)
        _check_converging(train_loss, runner.epoch + 1)
        self.history.append(
            {
                "epoch": runner.epoch + 1,
                "learning_rate": self._rate,
                "train_loss": train_loss,
                "seconds": round(time.monotonic() - self._started, 3),
                "val": None,
            }
        )
        if runner.val_loop is None:
            self._log_epoch(runner)
        self._write(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Add the validation to the history and write all files."""
        metric = _fall_metric(runner)
        if not self.history or metric is None:
            return
        self.history[-1]["val"] = asdict(metric.report)
        self._log_epoch(runner)
        self._write(runner)
        if best_record(self.history, *_best_rule(runner)) is self.history[-1]:
            _save_scores(runner, metric)

    @master_only
    def _log_epoch(self, runner: Runner) -> None:
        record = self.history[-1]
        metrics = {name: value for name, value in (record["val"] or {}).items() if name not in COUNTS}
        val = "  ".join(f"{name} {value:.3f}" for name, value in metrics.items() if value is not None)
        logger.info(
            "epoch %*d/%d  lr %-6g  %5.1f s  train: loss %.3f%s",
            len(str(runner.max_epochs)),
            record["epoch"],
            runner.max_epochs,
            record["learning_rate"],
            record["seconds"],
            record["train_loss"],
            f"  val: {val}" if val else "",
        )

    @master_only
    def _write(self, runner: Runner) -> None:
        folder, (name, rule) = Path(runner.work_dir), _best_rule(runner)
        best = best_record(self.history, name, rule)
        summary = {
            "config": Path(runner.cfg.filename).name if runner.cfg.filename else None,
            "seed": runner.seed,
            "best_by": {"metric": name, "rule": rule},
            "best": best,
            "last": self.history[-1],
            "versions": versions(),
            "history": self.history,
        }
        write_json(folder / "metrics.json", summary)
        epochs = [record["epoch"] for record in self.history]
        learning_rate_plot(folder / "learning_rate.png", epochs, [r["learning_rate"] for r in self.history])
        validated = [record for record in self.history if record["val"]]
        loss_plot(
            folder / "loss.png",
            (epochs, [record["train_loss"] for record in self.history]),
            ([record["epoch"] for record in validated], [record["val"]["loss"] for record in validated]),
            best["epoch"] if best else None,
        )
        if best:
            counts = {name: best["val"][name] for name in COUNTS}
            title = f"Validation, epoch {best['epoch']} (best of {len(validated)})"
            confusion_matrix_plot(folder / "confusion_matrix.png", **counts, title=title)


def best_record(history: list[dict[str, Any]], name: str, rule: str) -> dict[str, Any] | None:
    """Return the record with the best validation metric, the first of equals; None without a validation.

    Args:
        history: records with `epoch` and `val` (a report or None).
        name: name of the metric, such as "loss".
        rule: "less" or "greater", the better direction.
    """
    validated = [record for record in history if record["val"] and record["val"].get(name) is not None]
    sign = 1 if rule == "less" else -1
    return min(validated, key=lambda record: sign * record["val"][name], default=None)


def mean_over_ranks(total: torch.Tensor | float, count: int) -> float:
    """Return the mean of the values of all ranks.

    Args:
        total: sum of this rank's values.
        count: number of this rank's values; ranks may differ.
    """
    total = torch.as_tensor(total, dtype=torch.float64)
    sums = torch.stack([total, torch.full_like(total, count)])
    all_reduce(sums)
    return float(sums[0]) / max(float(sums[1]), 1.0)


def versions() -> dict[str, str]:
    """Return the versions of falldet and of the libraries that affect a run."""
    found = {"falldet": falldet.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _check_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise FalldetError(f"the loss became {loss} in epoch {epoch}; lower optim_wrapper.optimizer.lr")


def _check_converging(loss: float, epoch: int) -> None:
    _check_finite(loss, epoch)
    if loss > DIVERGED_LOSS:
        raise FalldetError(
            f"training diverges: the loss is {loss:.3g} in epoch {epoch}; lower optim_wrapper.optimizer.lr"
        )


def _best_rule(runner: Runner) -> tuple[str, str]:
    """Return the metric and the rule by which the CheckpointHook selects the best epoch; the loss without one."""
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hook.save_best and hook.key_indicators:
            return str(hook.key_indicators[0]).rpartition("/")[2], hook.rules[0]
    return "loss", "less"


def _fall_metric(runner: Runner) -> FallMetric | None:
    metrics = runner.val_evaluator.metrics if hasattr(runner.val_evaluator, "metrics") else []
    return next((metric for metric in metrics if isinstance(metric, FallMetric)), None)


@master_only
def _save_scores(runner: Runner, metric: FallMetric) -> None:
    metric.save_scores(Path(runner.work_dir) / "val_scores.npz")
