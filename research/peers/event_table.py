"""The table of research/peers/compare_events.py in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from falldet.evaluation.matching import ClipResult
from falldet.evaluation.metrics import RATIOS, bootstrap, compute_metrics
from falldet.visualization.tables import markdown_table

SURVEILLANCE = "survnofight"
"""Folder of the surveillance clips, which show no fall."""

HEADER = (
    "detector",
    "recall",
    "precision",
    "F1",
    "false alarms, surveillance",
    "delay, median",
    "p95",
    "compute, s per s",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One detector.

    Attributes:
        detector: its name.
        results: the evaluation of every clip.
        compute: processor seconds per second of video; None where it was not measured.
    """

    detector: str
    results: list[ClipResult]
    compute: float | None


def as_markdown(rows: Sequence[Row], split: str) -> str:
    """Return the table and what it was measured on."""
    results = rows[0].results
    minutes = sum(result.duration_s for result in results) / 60
    head = (
        f"Split {split}: {len(results)} clips, {compute_metrics(results).falls} falls, {minutes:.1f} minutes. "
        "In brackets 95 % intervals, bootstrap over the videos."
    )
    return "\n".join([head, "", *markdown_table(HEADER, [_cells(row) for row in rows])]) + "\n"


def _cells(row: Row) -> list[str]:
    metrics = compute_metrics(row.results)
    surveillance = [result for result in row.results if SURVEILLANCE in result.clip.path.parts]
    false_alarms = sum(len(result.match.false_positives) for result in surveillance)
    delays = np.percentile(metrics.delays_s, (50, 95)) if metrics.delays_s else ()
    return [
        row.detector,
        f"{_ratio(row.results, 'recall')}, {metrics.true_positives} of {metrics.falls}",
        f"{_ratio(row.results, 'precision')}, {metrics.false_positives} false alarms",
        _ratio(row.results, "f1"),
        f"{false_alarms} on {len(surveillance)} clips",
        *([f"{delay:.1f} s" for delay in delays] or ["none"] * 2),
        "not measured" if row.compute is None else f"{row.compute:.2f}",
    ]


def _ratio(results: Sequence[ClipResult], name: str) -> str:
    """Return a metric and its interval over videos as text."""
    value = RATIOS[name](compute_metrics(results))
    interval = bootstrap(results, RATIOS[name], np.random.default_rng(0), over="video")
    if value is None:
        return "not defined"
    return f"{value:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")
