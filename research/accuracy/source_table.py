"""The page of leave-one-source-out: a table of sources, the operating points, and F1 over thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch

import numpy as np

from falldet.evaluation.metrics import EventMetrics, Tally, metrics_of
from falldet.stages.events import ALERT_THRESHOLDS, EventSettings
from falldet.visualization.tables import markdown_table

SOURCES: dict[str, tuple[str, ...]] = {
    "URFD ceiling": ("urfd/*cam1*",),
    "URFD eye level": ("urfd/*",),
    "GMDCSA-24": ("gmdcsa24*",),
    "UP-Fall camera 1": ("upfall/*c1.mp4",),
    "UP-Fall camera 2": ("upfall/*",),
    "mixed + CAUCAFall": ("mixed/*", "caucafall/*"),
    "surveillance": ("survnofight/*",),
    "exercise": ("exercise/*",),
}
"""Patterns of clip paths by source; the first that fits counts. The last two have no falls."""

Records = dict[str, dict[str, dict[str, dict]]]
"""Tallies by recognizer, source and threshold."""

HEADER = ("source", "falls", "recall", "precision", "F1", "by seed", "false alarms per hour", "median delay")


def source_of(path: str) -> str:
    """Return the source of a clip, by its path below the folder of all videos."""
    return next(name for name, patterns in SOURCES.items() if any(fnmatch(path, pattern) for pattern in patterns))


def metrics_at(records: Records, recognizer: str, threshold: float) -> dict[str, EventMetrics]:
    """Return the metrics of a recognizer by source."""
    own = records[recognizer]
    return {source: metrics_of([Tally(**own[source][f"{threshold:g}"])]) for source in SOURCES if source in own}


def macro_f1(metrics: dict[str, EventMetrics], without: Sequence[str] = ()) -> float:
    """Return the mean F1 of the sources with falls; a source without a true positive counts 0."""
    return float(np.mean([each.f1 or 0.0 for name, each in metrics.items() if each.falls and name not in without]))


def as_page(records: Records) -> str:
    """Return the page in Markdown."""
    shipped = "shipped" if "shipped" in records else next(iter(records))
    seeds = [name for name in records if name != "shipped"]
    default = EventSettings().threshold
    lines = [
        "# Cameras never seen",
        "",
        "`python -m research.accuracy.leave_one_source_out --videos DATA` writes this page; its header says how.",
        f"Recognizer: {'the mean of four networks, as shipped' if shipped == 'shipped' else shipped}, trained without",
        "the source it is measured on. Alert threshold "
        f'{default:g} (`events.sensitivity = "{EventSettings().sensitivity}"`), default sampling.',
        "",
        *markdown_table(HEADER, _source_rows(records, shipped, seeds, default)),
        "",
        "## Operating points",
        "",
        *markdown_table(
            ("sensitivity", "threshold", "recall", "macro F1", "without ceiling", "by seed", "false alarms per hour"),
            [_point_row(records, shipped, seeds, name, t) for name, t in ALERT_THRESHOLDS.items()],
        ),
        "",
        "## F1 over alert thresholds",
        "",
        *markdown_table(
            ("threshold", "recall", "macro F1", "without ceiling", "by seed", "false alarms per hour"),
            [_point_row(records, shipped, seeds, "", t)[1:] for t in _thresholds(records)],
        ),
    ]
    return "\n".join(lines) + "\n"


def _thresholds(records: Records) -> list[float]:
    first = next(iter(next(iter(records.values())).values()))
    return sorted(float(text) for text in first)


def _source_rows(records: Records, shipped: str, seeds: Sequence[str], threshold: float) -> list[tuple[str, ...]]:
    by_seed = [metrics_at(records, name, threshold) for name in seeds]
    rows = []
    for source, metrics in metrics_at(records, shipped, threshold).items():
        spread = [each[source].f1 for each in by_seed if source in each and metrics.falls]
        rows.append(
            (
                source,
                str(metrics.falls),
                _number(metrics.recall),
                _number(metrics.precision) if metrics.falls else "",
                _number(metrics.f1) if metrics.falls else "",
                ", ".join(_number(f1) for f1 in spread),
                _number(metrics.false_alarms_per_hour, 1),
                f"{np.median(metrics.delays_s):.2f} s" if metrics.delays_s else "",
            )
        )
    return rows


def _point_row(records: Records, shipped: str, seeds: Sequence[str], name: str, threshold: float) -> tuple[str, ...]:
    metrics = metrics_at(records, shipped, threshold)
    own = records[shipped]
    total = metrics_of([Tally(**own[source][f"{threshold:g}"]) for source in metrics])
    spread = [macro_f1(metrics_at(records, seed, threshold)) for seed in seeds]
    return (
        name,
        f"{threshold:g}",
        _number(total.recall),
        f"{macro_f1(metrics):.3f}",
        f"{macro_f1(metrics, ['URFD ceiling']):.3f}",
        ", ".join(f"{f1:.3f}" for f1 in spread),
        _number(total.false_alarms_per_hour, 1),
    )


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"
