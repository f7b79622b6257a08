"""The plots: written whole, and with the right content."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

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


CLUSTERED = [(float(rate // 2), 1 - 0.01 * (rate % 3), 0.9 + rate / 1000) for rate in range(40)]


@pytest.mark.parametrize("points", [CLUSTERED, [(0.0, 1.0, step / 20) for step in range(20)]])
def test_operating_curve_plot_labels_cover_nothing(
    tmp_path: Path, points: list[tuple[float, float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    plots.operating_curve_plot(tmp_path / "curve.png", points, 0.91)
    (axes,) = figures[0].axes
    figures[0].draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert boxes
    for index, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:index])
        assert not any(box.contains(*mark) for mark in axes.transData.transform([point[:2] for point in points]))


def test_operating_curve_plot_gives_thresholds_of_one_point_one_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    plots.operating_curve_plot(tmp_path / "curve.png", [(0.0, 1.0, step / 20) for step in range(1, 20)], 0.5)
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["0.05 to 0.95"]


@pytest.mark.parametrize(("samples", "marked"), [(2, True), (500, False)])
def test_precision_recall_plot_shows_the_points_of_few_samples(
    tmp_path: Path, samples: int, marked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    curve = (np.ones(samples + 1), np.linspace(0, 1, samples + 1), 1.0)
    plots.precision_recall_plot(tmp_path / "pr.png", curve, (None, None), 0.5, 0.5)
    assert any(line.get_marker() == "o" for line in figures[0].axes[0].lines) is marked


def test_timeline_plot_shows_a_score_of_0_above_the_axis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    plots.timeline_plot(tmp_path / "t.png", {1: (np.arange(9.0), np.zeros(9))}, [], 0.5, 9.0)
    axes = figures[0].axes[0]
    pixels = axes.transData.transform([(0, 0)])[0, 1] - axes.bbox.y0
    assert pixels > 5
    assert axes.get_yticks()[0] == 0


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
