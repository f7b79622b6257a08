"""The plots: written whole, and with the right content."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.types import Event, EventState
from falldet.visualization import plots


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    assert not list(path.parent.glob(".*"))
    return image


def non_white(image: np.ndarray) -> float:
    """Share of pixels that are not white."""
    return float((image.min(axis=2) < 250).mean())


def test_learning_rate_plot_and_loss_plot_are_drawn(tmp_path: Path) -> None:
    epochs = [1, 2, 3, 4]
    plots.learning_rate_plot(tmp_path / "lr.png", epochs, [0.1, 0.1, 0.01, 0.01])
    plots.loss_plot(tmp_path / "loss.png", (epochs, [0.7, 0.5, 0.4, 0.3]), ([2, 4], [0.6, 0.5]), best_epoch=4)
    assert non_white(read(tmp_path / "lr.png")) > 0.01
    assert non_white(read(tmp_path / "loss.png")) > 0.01


@pytest.mark.parametrize("val", [([], []), ([1], [0.4])])
def test_loss_plot_of_one_epoch_is_drawn(tmp_path: Path, val: tuple[list[float], list[float]]) -> None:
    plots.loss_plot(tmp_path / "loss.png", ([1], [0.5]), val, best_epoch=1)
    assert non_white(read(tmp_path / "loss.png")) > 0.005


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (5, 1, 20, 2)])
def test_confusion_matrix_plot_is_drawn(tmp_path: Path, counts: tuple[int, int, int, int]) -> None:
    plots.confusion_matrix_plot(tmp_path / "matrix.png", *counts)
    assert non_white(read(tmp_path / "matrix.png")) > 0.005


def test_confusion_matrix_plot_darkens_where_the_share_is_large(tmp_path: Path) -> None:
    plots.confusion_matrix_plot(tmp_path / "matrix.png", tp=9, fp=0, tn=9, fn=1)
    light = read(tmp_path / "matrix.png").mean(axis=2)
    top = light[light.shape[0] // 8 : light.shape[0] // 2]  # the row of true class no fall
    assert top[:, : top.shape[1] // 2].mean() < top[:, top.shape[1] // 2 :].mean()


@pytest.mark.parametrize(
    ("curve", "point", "share"),
    [
        ((np.array([1, 1, 0.5]), np.array([0, 0.5, 1]), 0.75), (0.5, 1.0), 0.25),
        ((np.ones(1), np.zeros(1), None), (None, None), 0.0),
        ((np.ones(1), np.zeros(1), None), (None, None), None),
    ],
    ids=["falls", "no fall", "no data"],
)
def test_precision_recall_plot_is_drawn(tmp_path: Path, curve: tuple, point: tuple, share: float | None) -> None:
    plots.precision_recall_plot(tmp_path / "pr.png", curve, point, 0.5, share)
    assert non_white(read(tmp_path / "pr.png")) > 0.005


@pytest.mark.parametrize("points", [[], [(3.0, 0.9, 0.5), (1.0, 0.8, 0.7)]])
def test_operating_curve_plot_is_drawn(tmp_path: Path, points: list[tuple[float, float, float]]) -> None:
    plots.operating_curve_plot(tmp_path / "curve.png", points, 0.7)
    assert non_white(read(tmp_path / "curve.png")) > 0.005


def test_save_figure_names_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FalldetError, match="can't write"):
        plots.operating_curve_plot(tmp_path / "file" / "curve.png", [], 0.7)


def test_timeline_plot_shows_scores_and_events(tmp_path: Path) -> None:
    times = np.arange(0, 20, 0.25)
    scores = {3: (times, np.full(len(times), 0.2)), 9: (times[times < 5], np.full(20, 0.9))}
    event = Event("9-2", "a", 9, 1.0, 2.0, None, 2.5, 0.9, EventState.FALLEN, (0.0, 0.0, 9.0, 9.0))
    plots.timeline_plot(tmp_path / "with.png", scores, [event], threshold=0.5, duration_s=20)
    plots.timeline_plot(tmp_path / "without.png", {}, [], threshold=0.5, duration_s=0)
    assert non_white(read(tmp_path / "with.png")) > non_white(read(tmp_path / "without.png"))


def test_with_gaps_breaks_the_line_where_a_person_was_out_of_sight() -> None:
    times, scores = plots._with_gaps(np.array([0, 0.25, 0.5, 8, 8.25]), np.arange(5) / 5)
    assert np.isnan(times).sum() == np.isnan(scores).sum() == 1
    assert np.isnan(times[3])
    assert len(plots._with_gaps(np.zeros(0), np.zeros(0))[0]) == 0


def test_plots_do_not_load_pyplot() -> None:
    code = "import sys, falldet.visualization.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
