"""How well windows or clips are told apart: counts, ratios, area under the ROC curve and the loss."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from scipy.stats import rankdata

RATIOS = ("accuracy", "sensitivity", "specificity", "precision", "f1", "auroc")
COUNTS = ("tp", "fp", "tn", "fn")


@dataclass(frozen=True, slots=True)
class Report:
    """What came out of a two-class decision; None where a ratio is undefined (nothing to divide by).

    Attributes:
        loss: mean of -log(probability of the true class), the cross entropy that the network is trained on.
        accuracy: share of right calls.
        sensitivity: share of the falls that were called.
        specificity: share of the others that were left alone.
        precision: share of the calls that were falls.
        f1: harmonic mean of precision and sensitivity.
        auroc: area under the ROC curve.
        tp: falls called falls.
        fp: others called falls.
        tn: others left alone.
        fn: falls left alone.
    """

    loss: float | None
    accuracy: float | None
    sensitivity: float | None
    specificity: float | None
    precision: float | None
    f1: float | None
    auroc: float | None
    tp: int
    fp: int
    tn: int
    fn: int


def classification_report(labels: np.ndarray, fall: np.ndarray, threshold: float = 0.5) -> Report:
    """Return counts, ratios, area under the ROC curve and loss of a two-class decision.

    Args:
        labels: (N,) integers, 1 = fall.
        fall: (N,) probability of a fall, in [0, 1].
        threshold: a fall is called where its probability exceeds this.

    """
    labels, fall = np.asarray(labels).astype(bool), np.asarray(fall, dtype=np.float64)
    called = fall > threshold
    tp, fp = int((called & labels).sum()), int((called & ~labels).sum())
    tn, fn = int((~called & ~labels).sum()), int((~called & labels).sum())
    true_class = np.where(labels, fall, 1 - fall)
    smallest = np.finfo(np.float32).tiny  # a float32 softmax can round to 0
    return Report(
        loss=float(-np.log(np.maximum(true_class, smallest)).mean()) if len(labels) else None,
        accuracy=_ratio(tp + tn, len(labels)),
        sensitivity=_ratio(tp, tp + fn),
        specificity=_ratio(tn, tn + fp),
        precision=_ratio(tp, tp + fp),
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        auroc=area_under_roc(labels, fall),
        tp=tp,
        fp=fp,
        tn=tn,
        fn=fn,
    )


def area_under_roc(labels: np.ndarray, fall: np.ndarray) -> float | None:
    """Return the chance that a random fall scores above a random non-fall, ties counted half; None without both.

    Args:
        labels: (N,) bool or 0/1.
        fall: (N,) scores.

    Source: the Mann-Whitney U statistic with mid-ranks (Hanley and McNeil, Radiology 143, 1982).
    """
    labels = np.asarray(labels).astype(bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return None
    rank_sum = rankdata(fall)[labels].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def precision_recall(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Return precision (P,) and rising recall (P,), starting at (1, 0), and the average precision, None without a fall.

    Args:
        labels: (N,) integers, 1 = fall.
        scores: (N,); samples of equal score share one point.
    """
    labels, scores = np.asarray(labels).astype(bool), np.asarray(scores, dtype=np.float64)
    if not labels.any():
        return np.ones(1), np.zeros(1), None
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.diff(scores[order]) != 0, True)
    true_positives = np.cumsum(labels[order])[last_of_ties]
    positives = np.flatnonzero(last_of_ties) + 1
    precision, recall = np.append(1.0, true_positives / positives), np.append(0.0, true_positives / labels.sum())
    return precision, recall, float(np.sum(np.diff(recall) * precision[1:]))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as JSON in one step: a reader sees the old file or the new one, never half of one."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


@METRICS.register_module()
class FallMetric(BaseMetric):
    """Judge the fall probabilities of a data set; see `classification_report` for what comes out.

    The log gets every defined number as `fall/<name>`. The whole report and every sample's score stay on the object,
    for pictures: `report`, `names`, `labels` (N,) int64 and `fall` (N,) float64.

    Args:
        threshold: a fall is called where its probability exceeds this.
        collect_device: where the ranks' results are gathered, "cpu" or "gpu".
    """

    default_prefix = "fall"

    def __init__(self, threshold: float = 0.5, collect_device: str = "cpu") -> None:
        """Start without results."""
        super().__init__(collect_device=collect_device)
        self.threshold = threshold
        self.report = classification_report(np.zeros(0), np.zeros(0), threshold)
        self.names: list[str] = []
        self.labels = np.zeros(0, np.int64)
        self.fall = np.zeros(0)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep name, label and the network's two softmax probabilities of every sample of a batch."""
        for sample in data_samples:
            probability = sample["pred_score"].detach().cpu().double().numpy()  # (2,)
            self.results.append((str(sample.get("frame_dir", "")), int(sample["gt_label"]), float(probability[1])))

    def compute_metrics(self, results: list[tuple[str, int, float]]) -> dict[str, float]:
        """Return the defined numbers of the report over all samples."""
        self.names = [name for name, _, _ in results]
        self.labels = np.array([label for _, label, _ in results], dtype=np.int64)
        self.fall = np.array([fall for _, _, fall in results], dtype=np.float64)
        self.report = classification_report(self.labels, self.fall, self.threshold)
        return {name: value for name, value in asdict(self.report).items() if value is not None}

    def save_scores(self, path: str | Path) -> None:
        """Write names, labels and scores to an .npz file, in one step."""
        path = Path(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.savez_compressed(file, name=np.array(self.names, dtype=np.str_), label=self.labels, fall=self.fall)
        temporary.replace(path)
