"""The pictures a run leaves behind: schedule, losses, confusion matrix, precision and recall, and the fall timeline.

Every function takes numbers and a path and writes one PNG in one step. Matplotlib is used through its objects, never
through pyplot, so nothing here depends on a display or leaves figures open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from falldet.io.files import atomic_write
from falldet.types import Event

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F4F24", "#4D4D4D")
"""One for each person, told apart by color-blind readers too (Okabe and Ito, Color Universal Design, 2008)."""

INK, GRID, MUTED = "#222222", "#E3E3E3", "#6B6B6B"
_DOTS_PER_INCH = 130
_LEGEND_PEOPLE = 10


def learning_rate_plot(path: str | Path, epochs: Sequence[float], rates: Sequence[float]) -> None:
    """Draw the learning rate over the epochs, on a logarithmic scale.

    Args:
        path: the PNG to write.
        epochs: (E,) epochs, counted from 1.
        rates: (E,) learning rate of each epoch.
    """
    figure, axes = _canvas("Learning rate", "epoch", "learning rate")
    axes.step(epochs, rates, where="mid", color=COLORS[0], linewidth=2)
    _mark_single(axes, epochs, rates, COLORS[0])
    axes.set_yscale("log")
    _whole_numbers(axes, epochs)
    _save(figure, path)


def loss_plot(
    path: str | Path,
    train: tuple[Sequence[float], Sequence[float]],
    val: tuple[Sequence[float], Sequence[float]],
    best_epoch: int | None = None,
) -> None:
    """Draw training and validation loss over the epochs.

    Args:
        path: the PNG to write.
        train: epochs (E,) and mean training loss (E,).
        val: epochs (F,) and validation loss (F,); F may be 0.
        best_epoch: the epoch to mark, if any.
    """
    figure, axes = _canvas("Loss", "epoch", "cross entropy")
    for (epochs, losses), name, color in ((train, "training", COLORS[0]), (val, "validation", COLORS[1])):
        axes.plot(epochs, losses, color=color, linewidth=2, label=name)
        _mark_single(axes, epochs, losses, color)
    if best_epoch is not None and best_epoch in list(val[0]):
        loss = val[1][list(val[0]).index(best_epoch)]
        axes.axvline(best_epoch, color=MUTED, linewidth=1, linestyle=":", zorder=1)
        axes.plot(
            [best_epoch],
            [loss],
            "o",
            color=COLORS[1],
            markersize=8,
            markeredgecolor="white",
            zorder=3,
            label=f"best: epoch {best_epoch}, {loss:.3f}",
        )
    axes.set_ylim(0, 1.06 * max([*train[1], *val[1], 1e-6]))
    axes.legend(frameon=False)
    _whole_numbers(axes, list(train[0]) + list(val[0]))
    _save(figure, path)


def confusion_matrix_plot(
    path: str | Path, tp: int, fp: int, tn: int, fn: int, title: str = "Confusion matrix"
) -> None:
    """Draw the counts of a two-class decision; each row, a true class, adds up to 100 %.

    Args:
        path: the PNG to write.
        tp: falls called falls.
        fp: others called falls.
        tn: others called others.
        fn: falls called others.
        title: what it is the matrix of.
    """
    counts = np.array([[tn, fp], [fn, tp]])  # rows: truth, columns: prediction
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = _canvas(title, "predicted", "true", size=(5.2, 4.8))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.55 else INK
        axes.text(column, row - 0.06, f"{count}", ha="center", va="center", fontsize=24, color=color)
        axes.text(column, row + 0.2, f"{shares[row, column]:.1%}", ha="center", va="center", fontsize=11, color=color)
    names, totals = ("no fall", "fall"), counts.sum(axis=1)
    axes.set_xticks([0, 1], names, fontsize=11)
    axes.set_yticks([0, 1], [f"{name}\n({n})" for name, n in zip(names, totals, strict=True)], fontsize=11)
    axes.grid(False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _save(figure, path)


def precision_recall_plot(
    path: str | Path, labels: np.ndarray, fall: np.ndarray, threshold: float = 0.5, title: str = "Precision and recall"
) -> None:
    """Draw precision over recall for every threshold, and where the chosen one lies.

    Args:
        path: the PNG to write.
        labels: (N,) integers, 1 = fall.
        fall: (N,) scores in [0, 1].
        threshold: a fall is called where its score exceeds this.
        title: what it is the curve of.
    """
    precision, recall, average = precision_recall(labels, fall)
    figure, axes = _canvas(title, "recall (sensitivity)", "precision", size=(5.6, 4.8))
    name = "no falls in the data" if average is None else f"average precision {average:.3f}"
    axes.step(recall, precision, where="pre", color=COLORS[0], linewidth=2, label=name)
    called, truth = np.asarray(fall) > threshold, np.asarray(labels).astype(bool)
    if called.any() and truth.any():
        hits = (called & truth).sum()
        axes.plot(
            [hits / truth.sum()],
            [hits / called.sum()],
            "o",
            color=COLORS[1],
            markersize=9,
            markeredgecolor="white",
            label=f"score > {threshold:g}",
        )
    if len(truth):
        axes.axhline(truth.mean(), color=MUTED, linewidth=1, linestyle=":", label=f"share of falls {truth.mean():.2f}")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    axes.legend(frameon=False, loc="lower left")
    _save(figure, path)


def precision_recall(labels: np.ndarray, fall: np.ndarray) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Return precision (P,) and rising recall (P,) from (0, 1) on, and the average precision, None without a fall.

    Args:
        labels: (N,) integers, 1 = fall.
        fall: (N,) scores; equal scores are called together.
    """
    labels, fall = np.asarray(labels).astype(bool), np.asarray(fall, dtype=np.float64)
    if not labels.any():
        return np.ones(1), np.zeros(1), None
    order = np.argsort(-fall, kind="stable")
    last_of_ties = np.append(np.diff(fall[order]) != 0, True)
    hits = np.cumsum(labels[order])[last_of_ties]
    called = np.flatnonzero(last_of_ties) + 1
    precision, recall = np.append(1.0, hits / called), np.append(0.0, hits / labels.sum())
    return precision, recall, float(np.sum(np.diff(recall) * precision[1:]))


def operating_curve_plot(path: str | Path, points: Sequence[tuple[float, float, float]], threshold: float) -> None:
    """Draw event recall over false alarms per hour as the alert score moves.

    Args:
        path: the PNG to write.
        points: (P, 3) false alarms per hour, recall in [0, 1], alert score; ascending by alert score.
        threshold: the alert score in use, marked.
    """
    figure, axes = _canvas("Operating curve", "false alarms per hour", "event recall")
    rates, recalls, scores = np.asarray(points, np.float64).reshape(-1, 3).T
    axes.plot(rates, recalls, "o-", color=COLORS[0], linewidth=2, markersize=4)
    for rate, recall, score in points[::3]:
        axes.annotate(f"{score:g}", (rate, recall), (4, -11), textcoords="offset points", fontsize=8, color=MUTED)
    if len(scores):
        used = int(np.argmin(np.abs(scores - threshold)))
        axes.plot(rates[used], recalls[used], "o", color=COLORS[1], markersize=9, label=f"alert score {threshold:g}")
        axes.legend(frameon=False, loc="lower right")
    axes.set(ylim=(-0.02, 1.04))
    axes.set_xlim(left=0)
    _save(figure, path)


def timeline_plot(
    path: str | Path,
    scores: Mapping[int, tuple[np.ndarray, np.ndarray]],
    events: Sequence[Event],
    threshold: float,
    duration_s: float,
) -> None:
    """Draw each person's fall score over time, one color a person, with the events behind it.

    A shaded span is an event from its onset to its end (or to the end of the video); the triangle above it is the
    moment of the alert. Where a person was out of sight the line is broken.

    Args:
        path: the PNG to write.
        scores: for each track id, times (T,) in seconds and fall scores (T,) in [0, 1].
        events: the falls that were decided on.
        threshold: the score to mark.
        duration_s: length of the video in seconds.
    """
    figure, axes = _canvas("Fall score", "time (s)", "fall score", size=(10, 3.8))
    ids = sorted(set(scores) | {event.track_id for event in events})
    colors = {track_id: COLORS[i % len(COLORS)] for i, track_id in enumerate(ids)}
    for event in events:
        color, end_s = colors[event.track_id], duration_s if event.end_s is None else event.end_s
        axes.axvspan(event.start_s, end_s, color=color, alpha=0.13, linewidth=0)
        axes.plot([event.alert_s], [1.055], "v", color=color, markersize=8, clip_on=False)
        axes.plot([event.alert_s] * 2, [0, 1.04], color=color, linewidth=1, alpha=0.6)
    axes.axhline(threshold, color=INK, linewidth=1, linestyle="--", label=f"threshold {threshold:g}")
    for i, track_id in enumerate(ids):
        times_s, fall = _broken(*scores.get(track_id, (np.zeros(0), np.zeros(0))))
        name = f"person {track_id}" if i < _LEGEND_PEOPLE else None
        axes.plot(times_s, fall, color=colors[track_id], linewidth=1.8, label=name)
    if events:
        axes.plot([], [], "v", color=MUTED, label="alert")
        axes.fill_between([], [], color=MUTED, alpha=0.25, linewidth=0, label="fall event")
    if not ids:
        axes.text(0.5, 0.25, "nobody was scored", transform=axes.transAxes, ha="center", color=MUTED, fontsize=11)
    if len(ids) > _LEGEND_PEOPLE:
        axes.plot([], [], color="none", label=f"and {len(ids) - _LEGEND_PEOPLE} more")
    axes.set(xlim=(0, max(duration_s, 1e-3)), ylim=(0, 1.1))
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.005, 1.02), fontsize=9)
    _save(figure, path)


def _broken(times_s: np.ndarray, fall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put a NaN into gaps of more than one second and five usual steps, where the line must not be drawn through."""
    times_s, fall = np.asarray(times_s, np.float64), np.asarray(fall, np.float64)
    steps = np.diff(times_s)
    gaps = np.flatnonzero(steps > max(1.0, 5 * float(np.median(steps)))) + 1 if len(steps) else np.zeros(0, np.int64)
    return np.insert(times_s, gaps, np.nan), np.insert(fall, gaps, np.nan)


def _canvas(title: str, x_name: str, y_name: str, size: tuple[float, float] = (7.2, 4.2)) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=13, color=INK, pad=12)
    axes.set_xlabel(x_name, color=INK)
    axes.set_ylabel(y_name, color=INK)
    plain(axes)
    return figure, axes


def plain(axes: Axes) -> None:
    """Give axes the look of all plots: a light grid behind what is drawn, no frame."""
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)


def _mark_single(axes: Axes, x: Sequence[float], y: Sequence[float], color: str) -> None:
    if len(x) == 1:  # a line through one point is invisible
        axes.plot(x, y, "o", color=color, markersize=5)


def _whole_numbers(axes: Axes, epochs: Sequence[float]) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(epochs):
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)


def _save(figure: Figure, path: str | Path) -> None:
    with atomic_write(Path(path), binary=True) as stream:
        figure.savefig(stream, format="png")
