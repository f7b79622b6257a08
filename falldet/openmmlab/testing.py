"""Evaluation of a trained recognizer on the windows of one split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from falldet.errors import FalldetError
from falldet.openmmlab.config import (
    SPLITS,
    innermost_dataset,
    load_config,
    name_of,
    replace_annotation_files,
    replace_splits,
)
from falldet.openmmlab.hooks import versions
from falldet.openmmlab.logs import quiet_libraries
from falldet.openmmlab.metrics import RATIOS, FallMetric, Report, precision_recall, write_json
from falldet.openmmlab.recognizer import build_recognizer
from falldet.openmmlab.training_checks import make_work_dir
from falldet.terminal import shown
from falldet.visualization.plots import confusion_matrix_plot, precision_recall_plot


@dataclass(frozen=True, slots=True)
class CheckpointEvaluation:
    """Result of an evaluation.

    Attributes:
        report: the metrics.
        samples: number of samples.
        folder: folder of the files written.
    """

    report: Report
    samples: int
    folder: Path


def evaluate_checkpoint(
    config: Config | str | Path,
    checkpoint: str | Path,
    split: str = "test",
    out_dir: str | Path | None = None,
    ann_files: Sequence[str] = (),
    splits: Iterable[str] = (),
) -> CheckpointEvaluation:
    """Score every sample of a split and write confusion_matrix.png, pr_curve.png, scores.npz and metrics.json.

    Args:
        config: config of the training run; a file runs as code.
        checkpoint: its weights.
        split: "train", "val" or "test"; always prepared without augmentation.
        out_dir: folder of the files; None means `test_<split>` in the checkpoint's folder.
        ann_files: annotation files in place of the config's.
        splits: names of splits in files made by others, as `test=xsub_val`.

    Raises:
        FalldetError: a file is missing or the split is unknown.
    """
    if split not in SPLITS:
        raise FalldetError(f"unknown split {shown(split)}; use one of {', '.join(SPLITS)}")
    quiet_libraries()
    config = config if isinstance(config, Config) else load_config(config)
    replace_annotation_files(config, ann_files)
    names = dict(entry.partition("=")[::2] for entry in splits)
    replace_splits(config, splits)
    innermost_dataset(config, "test")["split"] = names.get(split, split)
    folder = Path(out_dir) if out_dir else Path(checkpoint).parent / f"test_{split}"
    make_work_dir(folder, "--out-dir")
    metric = _score(config, checkpoint)
    report = metric.report
    name = f"{Path(checkpoint).name} on {split}"
    confusion_matrix_plot(
        folder / "confusion_matrix.png", tp=report.tp, fp=report.fp, tn=report.tn, fn=report.fn, title=name
    )
    precision_recall_plot(
        folder / "pr_curve.png",
        precision_recall(metric.labels, metric.probabilities),
        (report.precision, report.sensitivity),
        metric.threshold,
        float(metric.labels.mean()) if len(metric.labels) else None,
        title=name,
    )
    metric.save_scores(folder / "scores.npz")
    write_json(
        folder / "metrics.json",
        {
            "config": name_of(config),
            "checkpoint": Path(checkpoint).name,
            "split": split,
            "samples": len(metric.labels),
            "threshold": metric.threshold,
            **asdict(report),
            "versions": versions(),
        },
    )
    return CheckpointEvaluation(report, len(metric.labels), folder)


def table(report: Report) -> str:
    """Return the report as lines for a terminal: each ratio, its value and its counts."""
    tp, fp, tn, fn = report.tp, report.fp, report.tn, report.fn
    counts = {
        "accuracy": f"{tp + tn} of {tp + fp + tn + fn} correct",
        "sensitivity": f"{tp} of {tp + fn} falls found",
        "specificity": f"{tn} of {tn + fp} others without an alarm",
        "precision": f"{tp} of {tp + fp} alarms correct",
    }
    values = {name: "undefined" if getattr(report, name) is None else f"{getattr(report, name):.4f}" for name in RATIOS}
    return "\n".join(f"{name:<12} {values[name]:>9}  {counts.get(name, '')}".rstrip() for name in RATIOS)


def _score(config: Config, checkpoint: str | Path) -> FallMetric:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_recognizer(config, checkpoint).to(device)
    metric = FallMetric(**{key: value for key, value in config.test_evaluator.items() if key != "type"})
    with DefaultScope.overwrite_default_scope("mmaction"), torch.no_grad():
        loader = Runner.build_dataloader(config.test_dataloader)
        for batch in loader:
            metric.process(batch, [sample.to_dict() for sample in model.test_step(batch)])
        metric.evaluate(size=len(loader.dataset))
    return metric
