"""Plots of training and evaluation, and the timeline of a source; each function writes one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from falldet.types import Event
from falldet.visualization.canvas import COLORS, INK, MUTED, new_canvas, save_figure

FEW_POINTS = 20
"""A curve of at most so many points shows each of them."""

LEGEND_TRACKS = 10
"""Tracks named in the legend of a timeline, at most."""


def learning_rate_plot(path: str | Path, epochs: Sequence[float], rates: Sequence[float]) -> None:
    """Draw the learning rate over the epochs, on a logarithmic scale.

    Args:
        path: the PNG to write.
        epochs: (E,) epochs, counted from 1.
        rates: (E,) learning rate of each epoch.
    """
    figure, axes = new_canvas("Learning rate", "epoch", "learning rate")
    axes.step(epochs, rates, where="mid", color=COLORS[0], linewidth=2)
    _mark_single(axes, epochs, rates, COLORS[0])
    axes.set_yscale("log")
    _whole_numbers(axes, epochs)
    save_figure(figure, path)


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
    figure, axes = new_canvas("Loss", "epoch", "cross entropy")
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
    save_figure(figure, path)


def confusion_matrix_plot(
    path: str | Path, tp: int, fp: int, tn: int, fn: int, title: str = "Confusion matrix"
) -> None:
    """Draw the counts of a two-class decision; each row, a true class, adds up to 100 %.

    Args:
        path: the PNG to write.
        tp: true positives.
        fp: false positives.
        tn: true negatives.
        fn: false negatives.
        title: what it is the matrix of.
    """
    counts = np.array([[tn, fp], [fn, tp]])  # rows: truth, columns: prediction
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = new_canvas(title, "predicted", "true", size=(5.2, 4.8))
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
    save_figure(figure, path)


def precision_recall_plot(
    path: str | Path,
    curve: tuple[np.ndarray, np.ndarray, float | None],
    operating_point: tuple[float | None, float | None],
    threshold: float,
    fall_share: float | None,
    title: str = "Precision and recall",
) -> None:
    """Draw precision over recall, and where the chosen threshold lies.

    Args:
        path: the PNG to write.
        curve: precision (P,), rising recall (P,) and the average precision, which is None without a fall.
        operating_point: precision and recall at `threshold`; not drawn where one is None.
        threshold: a score above it counts as a fall.
        fall_share: share of falls in the data, the precision of guessing; None without data.
        title: what it is the curve of.
    """
    precision, recall, average = curve
    figure, axes = new_canvas(title, "recall (sensitivity)", "precision", size=(5.6, 4.8))
    name = "no falls in the data" if average is None else f"average precision {average:.3f}"
    axes.step(recall, precision, where="pre", color=COLORS[0], linewidth=2, label=name)
    if len(recall) <= FEW_POINTS:  # steps alone hide how few samples they stand on
        axes.plot(recall, precision, "o", color=COLORS[0], markersize=5)
    at_precision, at_recall = operating_point
    if at_precision is not None and at_recall is not None:
        name = f"score > {threshold:g}"
        axes.plot([at_recall], [at_precision], "o", color=COLORS[1], markersize=9, markeredgecolor="white", label=name)
    if fall_share is not None:
        axes.axhline(fall_share, color=MUTED, linewidth=1, linestyle=":", label=f"share of falls {fall_share:.2f}")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.04))
    axes.legend(frameon=False, loc="best")
    save_figure(figure, path)


def operating_curve_plot(path: str | Path, points: Sequence[tuple[float, float, float]], threshold: float) -> None:
    """Draw event recall over false alarms per hour, one point per alert threshold.

    Args:
        path: the PNG to write.
        points: (P, 3) false alarms per hour, recall in [0, 1], alert threshold; ascending by threshold.
        threshold: the alert threshold in use, marked.
    """
    figure, axes = new_canvas("Operating curve", "false alarms per hour", "event recall")
    rates, recalls, thresholds = np.asarray(points, np.float64).reshape(-1, 3).T
    (curve,) = axes.plot(rates, recalls, "o-", color=COLORS[0], linewidth=2, markersize=4)
    axes.set(ylim=(-0.02, 1.04))
    axes.set_xlim(left=-0.02 * max(1.0, float(rates.max(initial=0.0))), right=max(1.0, 1.04 * rates.max(initial=0.0)))
    if len(thresholds):
        used = int(np.argmin(np.abs(thresholds - threshold)))
        name = f"alert threshold {threshold:g}"
        axes.plot(rates[used], recalls[used], "o", color=COLORS[1], markersize=9, label=name)
        axes.legend(frameon=False, loc="lower right")
        _label_points(figure, axes, curve, points)
    save_figure(figure, path)


def _label_points(figure: Figure, axes: Axes, curve: Line2D, points: Sequence[tuple[float, float, float]]) -> None:
    """Write the thresholds beside their points; those of one place share a label, and no label covers anything else."""
    places: dict[tuple[float, float], list[float]] = {}
    for rate, recall, value in points:
        places.setdefault((rate, recall), []).append(value)
    figure.draw_without_rendering()  # gives everything its place
    marks, line = axes.transData.transform(list(places)), curve.get_path().transformed(axes.transData)
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in marks]
    taken += [part.get_window_extent() for part in [axes.get_legend()] if part]
    for place, values in sorted(places.items(), key=lambda item: -len(item[1])):
        text = f"{values[0]:g}" if len(values) == 1 else f"{min(values):g} to {max(values):g}"
        for offset, side in (((6, -11), "left"), ((6, 5), "left"), ((-6, 5), "right"), ((-6, -11), "right")):
            label = axes.annotate(text, place, offset, textcoords="offset points", fontsize=8, color=MUTED, ha=side)
            extent = label.get_window_extent().padded(1)
            inside = axes.bbox.x0 <= extent.x0 and extent.x1 <= axes.bbox.x1 and axes.bbox.y0 <= extent.y0
            if inside and not extent.count_overlaps(taken) and not line.intersects_bbox(extent, filled=False):
                taken.append(extent)
                break
            label.remove()


def timeline_plot(
    path: str | Path,
    scores: Mapping[int, tuple[np.ndarray, np.ndarray]],
    events: Sequence[Event],
    threshold: float,
    duration_s: float,
) -> None:
    """Draw the fall score of each track over time, one color a track, with the events behind it.

    A shaded span is an event from its onset to its end, or to the end of the video. The triangle above it marks the
    alert. The line is broken where the person was out of sight.

    Args:
        path: the PNG to write.
        scores: by track id, times (T,) in seconds and fall scores (T,) in [0, 1].
        events: the fall events.
        threshold: the alert threshold, marked.
        duration_s: length of the video in seconds.
    """
    figure, axes = new_canvas("Fall score", "time (s)", "fall score", size=(10, 3.8))
    ids = sorted(set(scores) | {event.track_id for event in events})
    colors = {track_id: COLORS[i % len(COLORS)] for i, track_id in enumerate(ids)}
    for event in events:
        color, end_s = colors[event.track_id], duration_s if event.end_s is None else event.end_s
        axes.axvspan(event.start_s, end_s, color=color, alpha=0.13, linewidth=0)
        axes.plot([event.alert_s], [1.055], "v", color=color, markersize=8, clip_on=False)
        axes.plot([event.alert_s] * 2, [0, 1.04], color=color, linewidth=1, alpha=0.6)
    axes.axhline(threshold, color=INK, linewidth=1, linestyle="--", label=f"threshold {threshold:g}")
    for i, track_id in enumerate(ids):
        times_s, values = _with_gaps(*scores.get(track_id, (np.zeros(0), np.zeros(0))))
        name = f"track {track_id}" if i < LEGEND_TRACKS else None
        axes.plot(times_s, values, color=colors[track_id], linewidth=1.8, label=name)
    if events:
        axes.plot([], [], "v", color=MUTED, label="alert")
        axes.fill_between([], [], color=MUTED, alpha=0.25, linewidth=0, label="fall event")
    if not ids:
        axes.text(0.5, 0.25, "no person was scored", transform=axes.transAxes, ha="center", color=MUTED, fontsize=11)
    if len(ids) > LEGEND_TRACKS:
        axes.plot([], [], color="none", label=f"and {len(ids) - LEGEND_TRACKS} more")
    axes.set(xlim=(0, max(duration_s, 1e-3)), ylim=(-0.04, 1.1))  # a score of 0 shows above the axis
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.005, 1.02), fontsize=9)
    save_figure(figure, path)


def _with_gaps(times_s: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Insert a NaN into gaps of more than one second and five median steps, where no line is drawn."""
    times_s, scores = np.asarray(times_s, np.float64), np.asarray(scores, np.float64)
    steps = np.diff(times_s)
    gaps = np.flatnonzero(steps > max(1.0, 5 * float(np.median(steps)))) + 1 if len(steps) else np.zeros(0, np.int64)
    return np.insert(times_s, gaps, np.nan), np.insert(scores, gaps, np.nan)


def _mark_single(axes: Axes, x: Sequence[float], y: Sequence[float], color: str) -> None:
    if len(x) == 1:  # a line through one point is invisible
        axes.plot(x, y, "o", color=color, markersize=5)


def _whole_numbers(axes: Axes, epochs: Sequence[float]) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(epochs):
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
