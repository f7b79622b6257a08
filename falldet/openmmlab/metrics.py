"""Metrics of the classification of windows or clips: counts, ratios, area under the ROC curve and the loss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from scipy.stats import rankdata

from falldet.io.files import atomic_write

RATIOS = ("accuracy", "sensitivity", "specificity", "precision", "f1", "auroc")
COUNTS = ("tp", "fp", "tn", "fn")


@dataclass(frozen=True, slots=True)
class Report:
    """Metrics of a two-class decision, fall (positive) or no fall; a ratio without a denominator is None.

    Attributes:
        loss: cross entropy, the mean of -log(probability of the true class).
        accuracy: share of correct decisions.
        sensitivity: recall, the share of the falls that are found.
        specificity: share of the other samples that are not taken for a fall.
        precision: share of the positive decisions that are falls.
        f1: harmonic mean of precision and sensitivity.
        auroc: area under the ROC curve.
        tp: true positives.
        fp: false positives.
        tn: true negatives.
        fn: false negatives.
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


def classification_report(labels: np.ndarray, probabilities: np.ndarray, threshold: float = 0.5) -> Report:
    """Return counts, ratios, area under the ROC curve and loss of a two-class decision.

    Args:
        labels: (N,) integers, 1 = fall.
        probabilities: (N,) probability of a fall, in [0, 1].
        threshold: a sample is decided to be a fall where its probability exceeds this. Higher: more precision, less
            sensitivity.
    """
    labels, probabilities = np.asarray(labels).astype(bool), np.asarray(probabilities, dtype=np.float64)
    positive = probabilities > threshold
    tp, fp = int((positive & labels).sum()), int((positive & ~labels).sum())
    tn, fn = int((~positive & ~labels).sum()), int((~positive & labels).sum())
    true_class = np.where(labels, probabilities, 1 - probabilities)
    smallest = np.finfo(np.float32).tiny  # a float32 softmax can round to 0
    return Report(
        loss=float(-np.log(np.maximum(true_class, smallest)).mean()) if len(labels) else None,
        accuracy=_ratio(tp + tn, len(labels)),
        sensitivity=_ratio(tp, tp + fn),
        specificity=_ratio(tn, tn + fp),
        precision=_ratio(tp, tp + fp),
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        auroc=area_under_roc(labels, probabilities),
        tp=tp,
        fp=fp,
        tn=tn,
        fn=fn,
    )


def area_under_roc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the area under the ROC curve, None unless both classes are present.

    It is the probability that a random fall scores above a random non-fall, where ties count half.
    Source: the Mann-Whitney U statistic with mid-ranks (Hanley and McNeil, Radiology 143, 1982).

    Args:
        labels: (N,) bool or 0/1.
        scores: (N,).
    """
    labels = np.asarray(labels).astype(bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return None
    rank_sum = rankdata(scores)[labels].sum()
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
    """Write `content` as JSON in one step; raises ValueError where it holds a NaN."""
    with atomic_write(Path(path)) as stream:
        stream.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


@METRICS.register_module()
class FallMetric(BaseMetric):
    """Metrics of a data set's fall probabilities, as `classification_report`; logged as `fall/<name>` where defined.

    Args:
        threshold: a sample is decided to be a fall where its probability exceeds this.
        collect_device: device on which the results of all ranks are gathered, "cpu" or "gpu".

    Attributes:
        report: metrics of the last evaluation; so are the following.
        names: names of the samples.
        labels: (N,) int64, 1 = fall.
        probabilities: (N,) float64, probability of a fall.
    """

    default_prefix = "fall"

    def __init__(self, threshold: float = 0.5, collect_device: str = "cpu") -> None:
        super().__init__(collect_device=collect_device)
        self.threshold = threshold
        self.report = classification_report(np.zeros(0), np.zeros(0), threshold)
        self.names: list[str] = []
        self.labels = np.zeros(0, np.int64)
        self.probabilities = np.zeros(0)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Add the name, label and fall probability of each sample of a batch."""
        for sample in data_samples:
            probability = sample["pred_score"].detach().cpu().double().numpy()  # (2,)
            self.results.append((str(sample.get("frame_dir", "")), int(sample["gt_label"]), float(probability[1])))

    def compute_metrics(self, results: list[tuple[str, int, float]]) -> dict[str, float]:
        """Compute the report over all samples and return its defined metrics by name."""
        self.names = [name for name, _, _ in results]
        self.labels = np.array([label for _, label, _ in results], dtype=np.int64)
        self.probabilities = np.array([probability for _, _, probability in results], dtype=np.float64)
        self.report = classification_report(self.labels, self.probabilities, self.threshold)
        return {name: value for name, value in asdict(self.report).items() if value is not None}

    def save_scores(self, path: str | Path) -> None:
        """Write `name` (N,) str, `label` (N,) int64 and `fall` (N,) float64, the probabilities, to an .npz file."""
        names = np.array(self.names, dtype=np.str_)
        with atomic_write(Path(path), binary=True) as stream:
            np.savez_compressed(stream, name=names, label=self.labels, fall=self.probabilities)
