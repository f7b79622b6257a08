"""The pictures: written whole, of the right size, with the right arithmetic behind them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from falldet.types import Event, EventState
from falldet.visualization import plots


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    assert not list(path.parent.glob(".*.tmp"))
    return image


def inked(image: np.ndarray) -> float:
    """Share of pixels that are not white."""
    return float((image.min(axis=2) < 250).mean())


def test_schedule_and_losses_are_drawn(tmp_path: Path) -> None:
    epochs = [1, 2, 3, 4]
    plots.learning_rate_plot(tmp_path / "lr.png", epochs, [0.1, 0.1, 0.01, 0.01])
    plots.loss_plot(tmp_path / "loss.png", (epochs, [0.7, 0.5, 0.4, 0.3]), ([2, 4], [0.6, 0.5]), best_epoch=4)
    assert inked(read(tmp_path / "lr.png")) > 0.01
    assert inked(read(tmp_path / "loss.png")) > 0.01


@pytest.mark.parametrize("val", [([], []), ([1], [0.4])])
def test_a_run_of_one_epoch_is_drawn(tmp_path: Path, val: tuple[list[float], list[float]]) -> None:
    plots.loss_plot(tmp_path / "loss.png", ([1], [0.5]), val, best_epoch=1)
    assert inked(read(tmp_path / "loss.png")) > 0.005


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (5, 1, 20, 2)])
def test_confusion_matrix_is_drawn(tmp_path: Path, counts: tuple[int, int, int, int]) -> None:
    plots.confusion_matrix_plot(tmp_path / "matrix.png", *counts)
    assert inked(read(tmp_path / "matrix.png")) > 0.005


def test_confusion_matrix_darkens_where_the_share_is_large(tmp_path: Path) -> None:
    plots.confusion_matrix_plot(tmp_path / "matrix.png", tp=9, fp=0, tn=9, fn=1)
    light = read(tmp_path / "matrix.png").mean(axis=2)
    top = light[light.shape[0] // 8 : light.shape[0] // 2]  # the row of those that did not fall
    assert top[:, : top.shape[1] // 2].mean() < top[:, top.shape[1] // 2 :].mean()


def test_precision_recall_against_values_by_hand() -> None:
    precision, recall, average = plots.precision_recall(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]))
    np.testing.assert_allclose(precision, [1, 1, 1 / 2, 2 / 3, 2 / 4])
    np.testing.assert_allclose(recall, [0, 1 / 2, 1 / 2, 1, 1])
    assert average == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_precision_recall_calls_equal_scores_together() -> None:
    precision, recall, average = plots.precision_recall(np.array([1, 0, 1, 0]), np.full(4, 0.5))
    np.testing.assert_allclose(precision, [1, 0.5])
    np.testing.assert_allclose(recall, [0, 1])
    assert average == pytest.approx(0.5)


def test_precision_recall_without_a_fall(tmp_path: Path) -> None:
    assert plots.precision_recall(np.zeros(3), np.zeros(3))[2] is None
    plots.precision_recall_plot(tmp_path / "pr.png", np.zeros(3), np.zeros(3))
    assert inked(read(tmp_path / "pr.png")) > 0.005


def test_timeline_shows_lines_events_and_gaps(tmp_path: Path) -> None:
    times = np.arange(0, 20, 0.25)
    scores = {3: (times, np.full(len(times), 0.2)), 9: (times[times < 5], np.full(20, 0.9))}
    event = Event(9, 1.0, 2.0, None, 2.5, 0.9, EventState.FALLEN, None)
    plots.timeline_plot(tmp_path / "with.png", scores, [event], threshold=0.5, duration_s=20)
    plots.timeline_plot(tmp_path / "without.png", {}, [], threshold=0.5, duration_s=0)
    assert inked(read(tmp_path / "with.png")) > inked(read(tmp_path / "without.png"))


def test_a_line_is_broken_where_a_person_was_away() -> None:
    times, fall = plots._broken(np.array([0, 0.25, 0.5, 8, 8.25]), np.arange(5) / 5)
    assert np.isnan(times).sum() == np.isnan(fall).sum() == 1
    assert np.isnan(times[3])
    assert len(plots._broken(np.zeros(0), np.zeros(0))[0]) == 0


def test_plots_do_not_load_pyplot() -> None:
    code = "import sys, falldet.visualization.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
