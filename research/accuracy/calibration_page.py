"""docs/calibration.md and docs/calibration.png: what research/accuracy/calibration.py measured, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter, ScalarFormatter

from falldet.evaluation.markdown import table
from falldet.io.files import atomic_write
from falldet.visualization.plots import COLORS, INK, MUTED, plain
from research.accuracy.experiments_table import ALERT_SCORE

FOLDS = {"urfd": "URFD", "others": "GMDCSA-24 and surveillance"}
SCALINGS = {
    "trained": "as trained",
    "temperature": "temperature",
    "own": "own temperature",
    "weight": "weight taken out",
    "both": "weight taken out, temperature",
}
DRAWN = ("trained", "temperature", "weight")


def as_markdown(results: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        results: `scores`, the alert scores, and `seeds`: seed -> fold -> scaling -> what was measured.
    """
    seeds = list(results["seeds"].values())
    numbers = ", ".join(name.removeprefix("seed") for name in results["seeds"])
    windows = [_windows_row(fold, scaling, seeds) for fold in seeds[0] for scaling in SCALINGS]
    events = [_events_row(scaling, seeds, results["scores"]) for scaling in SCALINGS]
    window_head = ("fold", "windows", "falls", "probabilities", "temperatures", "log loss", "ECE", "Brier score")
    event_head = (
        *("probabilities", f"F1 at {ALERT_SCORE:g}", "found", "false alarms"),
        *("best alert score", "F1 there", "found there", "false alarms there"),
    )
    return "\n".join(
        [
            "# Calibration",
            "",
            "`python research/accuracy/calibration.py --videos videos/` asks whether the recognizer's probabilities are true "
            "on sources it never saw, and whether temperature scaling (Guo et al., 2017) makes them so. The "
            f"recognizers are those of the row `recipe` in [experiments.md](experiments.md), seeds {numbers}; each is "
            "judged on the train and val clips of the fold it was trained without, windows with the labels of "
            "training. The script says more.",
            "",
            "- **temperature**: the one with the least log loss on the other fold, so that it has not seen the source "
            "either;",
            "- **own temperature**: fitted on the very windows it is measured on, the least log loss that any reaches;",
            "- **weight taken out**: training counts a fall three times, which raises the odds of a fall threefold; "
            "this divides them by three. Nothing is fitted.",
            "",
            "## Windows",
            "",
            "Means over the seeds. ECE is the expected calibration error of the probability of a fall, in 15 bins of "
            "equal width.",
            "",
            *table(window_head, windows),
            "",
            "![reliability](calibration.png)",
            "",
            "Both folds and all seeds together: the share of falls among the windows of a bin over their mean "
            "probability, and how many windows there are. True probabilities lie on the dashed line. Where one run is "
            "too high and another too low they cancel, so the error here is at most the table's mean.",
            "",
            "## Events",
            "",
            "Counts of both folds added; mean and standard deviation over the seeds; the rule of configs/demo.py. The "
            "best alert score is the one with the best mean F1, chosen on these clips. Alerts are decided on the "
            "noisy-or of overlapping windows, so that a scaling does more than move the alert score.",
            "",
            *table(event_head, events),
            "",
        ]
    )


def _windows_row(fold: str, scaling: str, seeds: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    runs = [seed[fold][scaling] for seed in seeds]
    counts = (f"{sum(runs[0]['bins'][kind]):.0f}" for kind in ("windows", "falls"))
    temperatures = ", ".join(f"{run['temperature']:.2f}" for run in runs)
    figures = (f"{np.mean([run[figure] for run in runs]):.3f}" for figure in ("log_loss", "ece", "brier"))
    return FOLDS[fold], *counts, SCALINGS[scaling], "" if scaling in ("trained", "weight") else temperatures, *figures


def _events_row(scaling: str, seeds: Sequence[Mapping[str, Any]], scores: Sequence[float]) -> tuple[str, ...]:
    labeled, right, false = (
        np.array([np.sum([fold[scaling][kind] for fold in seed.values()], axis=0) for seed in seeds])
        for kind in ("labeled", "right", "false")
    )
    f1 = 2 * right / (right + false + labeled[:, None])
    best = int(f1.mean(axis=0).argmax())

    def cells(place: int) -> tuple[str, str, str]:
        spread = f" ± {f1[:, place].std(ddof=1):.3f}" if len(f1) > 1 else ""
        found = f"{right[:, place].mean():.1f} of {labeled[0]}"
        return f"{f1[:, place].mean():.3f}{spread}", found, f"{false[:, place].mean():.1f}"

    return SCALINGS[scaling], *cells(list(scores).index(ALERT_SCORE)), f"{scores[best]:g}", *cells(best)


def reliability_plot(path: Path, results: Mapping[str, Any]) -> None:
    """Draw the share of falls over the probability for some scalings, and below how many windows there are.

    Args:
        path: the PNG to write.
        results: as for `as_markdown`.
    """
    figure = Figure(figsize=(11, 5.2), dpi=130, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(DRAWN), sharex=True, sharey="row", height_ratios=(3, 1))
    runs = [run for seed in results["seeds"].values() for run in seed.values()]
    for scaling, (above, below), color in zip(DRAWN, axes.T, COLORS, strict=False):
        windows, falls, probability = (
            np.sum([run[scaling]["bins"][kind] for run in runs], axis=0) for kind in ("windows", "falls", "probability")
        )
        some, edges = windows > 0, np.linspace(0, 1, len(windows) + 1)
        share, mean = falls[some] / windows[some], probability[some] / windows[some]
        above.bar(edges[:-1][some], share, edges[1], align="edge", color=color, alpha=0.22, edgecolor="white")
        above.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1.2)
        above.plot(mean, share, "o-", color=color, linewidth=2, markersize=5, markeredgecolor="white", clip_on=False)
        below.bar(edges[:-1], windows, edges[1], align="edge", color=color, edgecolor="white")
        above.set_title(SCALINGS[scaling], loc="left", fontsize=13, color=INK, pad=12)
        error = np.abs(falls - probability).sum() / windows.sum()
        above.text(0.05, 0.93, f"calibration error {error:.3f}", transform=above.transAxes, color=INK, va="top")
        below.set_xlabel("probability of a fall", color=INK)
        plain(above)
        plain(below)
    axes[0, 0].set(xlim=(0, 1), ylim=(0, 1))
    axes[1, 0].xaxis.set_major_formatter("{x:g}")
    axes[0, 0].set_ylabel("windows that hold a fall", color=INK)
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1))
    axes[1, 0].set_ylabel("windows", color=INK)
    axes[1, 0].set_yscale("log")
    axes[1, 0].set_ylim(bottom=1)
    axes[1, 0].yaxis.set_major_formatter(ScalarFormatter())
    axes[1, 0].yaxis.set_major_locator(LogLocator(numticks=9))
    for below in axes[1]:
        below.yaxis.set_minor_locator(NullLocator())
    with atomic_write(path, binary=True) as stream:
        figure.savefig(stream, format="png")
