"""What every training run leaves in its work dir: three pictures, the metrics and one line an epoch on the terminal."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmaction.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

import falldet
from falldet.errors import FalldetError
from falldet.openmmlab.metrics import COUNTS, FallMetric, write_json
from falldet.visualization.plots import confusion_matrix_plot, learning_rate_plot, loss_plot

PACKAGES = ("torch", "mmengine", "onedl-mmengine", "mmcv", "mmcv-lite", "mmaction2", "numpy")
_log = logging.getLogger(__name__)


@HOOKS.register_module()
class TrainingHistoryHook(Hook):
    """Keep the run's history and draw it after every epoch.

    Files, each replaced in one step, so that an interrupted run leaves the state of its last whole epoch:
    `learning_rate.png`, `loss.png`, `confusion_matrix.png` (of the best epoch), `metrics.json` (every epoch, the best
    and the last one, seed, versions, name of the config) and `val_scores.npz` (each sample's score in the best epoch).
    A resumed run goes on with the history it finds in metrics.json. Only rank 0 writes.

    The best epoch is the one that the CheckpointHook saves as best.
    """

    priority = "LOW"

    def __init__(self) -> None:
        """Start without a history."""
        self.history: list[dict[str, Any]] = []
        self._losses: list[float] = []
        self._rate = 0.0
        self._started = 0.0

    def before_train(self, runner: Runner) -> None:
        """Take up the history of the epochs before, where the run is resumed.

        A checkpoint is written before its epoch is validated, so it doesn't know whether that epoch was the best one;
        the history does, and the CheckpointHook is told.
        """
        path = Path(runner.work_dir) / "metrics.json"
        if not runner.epoch or not path.is_file():
            return
        known = json.loads(path.read_text(encoding="utf-8"))["history"]
        self.history = [record for record in known if record["epoch"] <= runner.epoch]
        name, rule = _best_rule(runner)
        best = best_record(self.history, name, rule)
        kept = sorted(Path(runner.work_dir).glob(f"best_*_epoch_{best['epoch']}.pth")) if best else []
        if best and kept:
            runner.message_hub.update_info("best_score", best["val"][name])
            runner.message_hub.update_info("best_ckpt", str(kept[0]))

    def before_train_epoch(self, runner: Runner) -> None:
        """Note the epoch's learning rate."""
        self._rate = float(runner.optim_wrapper.get_lr()["lr"][0])
        self._losses, self._started = [], time.monotonic()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Note the loss of a batch.

        Raises:
            FalldetError: the loss is not a finite number.
        """
        loss = float((outputs or {})["loss"].detach())
        if not math.isfinite(loss):
            raise FalldetError(f"the loss became {loss} in epoch {runner.epoch + 1}; lower optim_wrapper.optimizer.lr")
        self._losses.append(loss)

    def after_train_epoch(self, runner: Runner) -> None:
        """Add the epoch to the history."""
        self.history.append(
            {
                "epoch": runner.epoch + 1,
                "learning_rate": self._rate,
                "train_loss": sum(self._losses) / max(len(self._losses), 1),
                "seconds": round(time.monotonic() - self._started, 3),
                "val": None,
            }
        )
        if runner.val_loop is None:
            self._log_epoch(runner)
        self._write(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Add the validation to the history and write everything."""
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
        judged = {name: value for name, value in (record["val"] or {}).items() if name not in COUNTS}
        val = "  ".join(f"{name} {value:.3f}" for name, value in judged.items() if value is not None)
        _log.info(
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
        judged = [record for record in self.history if record["val"]]
        loss_plot(
            folder / "loss.png",
            (epochs, [record["train_loss"] for record in self.history]),
            ([record["epoch"] for record in judged], [record["val"]["loss"] for record in judged]),
            best["epoch"] if best else None,
        )
        if best:
            counts = {name: best["val"][name] for name in COUNTS}
            title = f"Validation, epoch {best['epoch']} (best of {len(judged)})"
            confusion_matrix_plot(folder / "confusion_matrix.png", **counts, title=title)


def best_record(history: list[dict[str, Any]], name: str, rule: str) -> dict[str, Any] | None:
    """Return the record whose validation number `name` is the "less" or "greater" one; the first of equals.

    Args:
        history: records with `epoch` and `val` (a report or None).
        name: name of the number, such as "loss".
        rule: "less" or "greater".
    """
    judged = [record for record in history if record["val"] and record["val"].get(name) is not None]
    sign = 1 if rule == "less" else -1
    return min(judged, key=lambda record: sign * record["val"][name], default=None)


def versions() -> dict[str, str]:
    """Return the versions of falldet and of the libraries that shape a run."""
    found = {"falldet": falldet.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _best_rule(runner: Runner) -> tuple[str, str]:
    """Return name and rule by which the CheckpointHook chooses the best epoch; the loss where it doesn't."""
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
