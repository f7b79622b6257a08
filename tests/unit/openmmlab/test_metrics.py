"""Metrics against values by hand, by brute force and by the network's own loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import torch

import falldet.openmmlab  # noqa: F401
from falldet.openmmlab import metrics
from falldet.openmmlab.testing import table

pytestmark = pytest.mark.openmmlab


def test_classification_report_against_values_by_hand() -> None:
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    fall = np.array([0.9, 0.6, 0.2, 0.8, 0.1, 0.3, 0.5, 0.4])  # 0.5 is not above the threshold
    report = metrics.classification_report(labels, fall)
    assert (report.tp, report.fp, report.tn, report.fn) == (2, 1, 4, 1)
    assert report.accuracy == pytest.approx(6 / 8)
    assert report.sensitivity == pytest.approx(2 / 3)
    assert report.specificity == pytest.approx(4 / 5)
    assert report.precision == pytest.approx(2 / 3)
    assert report.f1 == pytest.approx(2 / 3)
    assert report.auroc == pytest.approx((5 + 4 + 1) / 15)
    true_class = [0.9, 0.6, 0.2, 0.2, 0.9, 0.7, 0.5, 0.6]
    assert report.loss == pytest.approx(-np.log(true_class).mean())


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_area_under_roc_counts_pairs_and_halves_of_ties(rng: np.random.Generator, levels: int) -> None:
    labels, fall = rng.random(60) < 0.3, rng.integers(0, levels, 60) / levels
    wins = fall[labels][:, None] - fall[~labels][None]
    assert metrics.area_under_roc(labels, fall) == pytest.approx(((wins > 0) + 0.5 * (wins == 0)).mean())


def test_fall_metric_logs_no_undefined_ratio() -> None:
    report = metrics.classification_report(np.zeros(3), np.zeros(3))
    assert (report.sensitivity, report.precision, report.f1, report.auroc) == (None, None, None, None)
    assert report.specificity == 1
    assert metrics.classification_report(np.zeros(0), np.zeros(0)).loss is None
    metric = metrics.FallMetric()
    logged = metric.compute_metrics([("a", 0, 0.1), ("b", 0, 0.2)])
    assert "sensitivity" not in logged
    assert {"loss", "accuracy", "specificity", "tp", "fp", "tn", "fn"} <= set(logged)
    assert "undefined" in table(metric.report)


def test_classification_report_has_a_finite_loss_at_probability_0() -> None:
    loss = metrics.classification_report(np.array([1, 0]), np.array([0.0, 1.0])).loss
    assert loss is not None
    assert np.isfinite(loss)


def test_fall_metric_has_the_loss_of_the_network(rng: np.random.Generator) -> None:
    from mmaction.models import GCNHead
    from mmaction.structures import ActionDataSample

    torch.manual_seed(0)
    head = GCNHead(num_classes=2, in_channels=8, topk=1)
    torch.nn.init.normal_(head.fc.weight)
    features = torch.from_numpy(rng.normal(size=(6, 1, 8, 4, 17)).astype(np.float32))
    samples = [ActionDataSample().set_gt_label(int(label)) for label in rng.integers(0, 2, 6)]
    metric = metrics.FallMetric()
    with torch.no_grad():
        expected = head.loss(features, samples)["loss_cls"]
        metric.process(None, [sample.to_dict() for sample in head.predict(features, samples)])
    assert metric.evaluate(6)["fall/loss"] == pytest.approx(float(expected), rel=1e-5)


def test_fall_metric_saves_scores_with_their_names(tmp_path: Path) -> None:
    metric = metrics.FallMetric()
    metric.compute_metrics([("clip_a", 1, 0.75), ("clip_b", 0, 0.25)])
    metric.save_scores(tmp_path / "scores.npz")
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as saved:
        assert saved["name"].tolist() == ["clip_a", "clip_b"]
        assert saved["label"].tolist() == [1, 0]
        assert saved["fall"].tolist() == [0.75, 0.25]
    assert [path.name for path in tmp_path.iterdir()] == ["scores.npz"]


def test_write_json_replaces_the_file_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    metrics.write_json(path, {"f1": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        metrics.write_json(path, {"f1": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"f1": 0.5}
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.json"]


def test_precision_recall_against_values_by_hand() -> None:
    precision, recall, average = metrics.precision_recall(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]))
    np.testing.assert_allclose(precision, [1, 1, 1 / 2, 2 / 3, 2 / 4])
    np.testing.assert_allclose(recall, [0, 1 / 2, 1 / 2, 1, 1])
    assert average == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_precision_recall_gives_equal_scores_one_point() -> None:
    precision, recall, average = metrics.precision_recall(np.array([1, 0, 1, 0]), np.full(4, 0.5))
    np.testing.assert_allclose(precision, [1, 0.5])
    np.testing.assert_allclose(recall, [0, 1])
    assert average == pytest.approx(0.5)


def test_precision_recall_without_a_fall_has_no_average() -> None:
    assert metrics.precision_recall(np.zeros(3), np.zeros(3))[2] is None
