"""Report of an evaluation: report.json, report.md and a plot of the operating curve."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from falldet.evaluation.error_analysis import ErrorAnalysis, FalseAlarmKind, MissCause
from falldet.evaluation.markdown import as_markdown
from falldet.evaluation.matching import MATCH_EARLY_S, MATCH_LATE_S, ClipResult
from falldet.evaluation.metrics import (
    DELAYS,
    RATIOS,
    Cluster,
    EventMetrics,
    bootstrap,
    compute_metrics,
    grouped,
    percentiles,
)
from falldet.io.files import atomic_write
from falldet.terminal import printable
from falldet.visualization.plots import operating_curve_plot

F1_BAND = 0.05
"""Change of F1 up to which an alert threshold counts as equally good: one fall in about twenty."""

Curve = Sequence[tuple[float, EventMetrics]]


def write_report(
    out_dir: Path,
    results: Sequence[ClipResult],
    analyses: Sequence[ErrorAnalysis],
    curve: Curve,
    threshold: float,
    left_out: Sequence[tuple[Path, str]] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Write report.json, report.md and operating_curve.png into `out_dir` and return what report.json holds.

    Args:
        out_dir: made where it doesn't exist.
        results: the evaluated videos.
        analyses: error analyses of the same videos.
        curve: metrics at each alert threshold, ascending.
        threshold: the alert threshold that `results` were evaluated at.
        left_out: videos that could not be evaluated, with the reason.
        seed: seed of the bootstrap.

    Raises:
        FalldetError: the folder can't be written.
    """
    report = {
        "threshold": threshold,
        "rule": f"one to one in time order, from {MATCH_EARLY_S} s before the fall to {MATCH_LATE_S} s after its end",
        **_metrics(results, np.random.default_rng(seed)),
        **_errors(results, analyses),
        "curve": [{"threshold": value, **_as_record(metrics)} for value, metrics in curve],
        "f1_plateau": f1_plateau(curve, compute_metrics(results).f1, threshold),
        "left_out": [{"path": printable(path), "reason": printable(reason)} for path, reason in left_out],
    }
    with atomic_write(out_dir / "report.json") as stream:
        json.dump(report, stream, indent=1)
    with atomic_write(out_dir / "report.md") as stream:
        stream.write(as_markdown(report))
    points = [(each.false_alarms_per_hour or 0.0, each.recall or 0.0, value) for value, each in curve]
    operating_curve_plot(out_dir / "operating_curve.png", points, threshold)
    return report


def f1_plateau(curve: Curve, f1: float | None, threshold: float) -> dict[str, float] | None:
    """Return the range of alert thresholds in which F1 stays within `F1_BAND` of `f1`, around `threshold`.

    None without an F1 or a curve.
    """
    if f1 is None or not curve:
        return None
    below = [(value, metrics.f1) for value, metrics in reversed(curve) if value <= threshold]
    above = [(value, metrics.f1) for value, metrics in curve if value >= threshold]

    def last_near(points: Sequence[tuple[float, float | None]]) -> float:
        near = takewhile(lambda point: point[1] is not None and abs(point[1] - f1) <= F1_BAND, points)
        return [threshold, *(value for value, _ in near)][-1]

    return {"band": F1_BAND, "from": last_near(below), "to": last_near(above)}


def _metrics(results: Sequence[ClipResult], rng: np.random.Generator) -> dict[str, Any]:
    """Return event-level metrics with their intervals, and video-level sensitivity and specificity."""
    metrics = compute_metrics(results)
    with_falls = [result for result in results if result.clip.label]
    without = [result for result in results if not result.clip.label]
    untimed = [result for result in results if not result.timed]
    return {
        "videos": len(results),
        "untimed": {"videos": len(untimed), "with_alert": sum(bool(result.events) for result in untimed)},
        "subjects": len(grouped(results, "subject")),
        "hours": sum(result.duration_s for result in results) / 3600,
        "events": {**_as_record(metrics), "true_positives_with_known_end": len(metrics.delays_from_end_s)},
        "intervals_95": _intervals(results, rng, "subject"),
        "intervals_95_videos": _intervals(results, rng, "video"),
        "video_level": {
            "sensitivity": _share([bool(result.events) for result in with_falls]),
            "specificity": _share([not result.events for result in without]),
            "with_falls": len(with_falls),
            "without": len(without),
        },
    }


def _errors(results: Sequence[ClipResult], analyses: Sequence[ErrorAnalysis]) -> dict[str, Any]:
    """Return every missed fall and every false alarm with its analysis, and the counts by cause and kind."""
    false_negatives = [
        {
            "path": printable(result.clip.path),
            "start_s": result.clip.fall_intervals[index].start_s,
            "end_s": result.clip.fall_intervals[index].end_s,
            **dataclasses.asdict(miss),
        }
        for result, analysis in zip(results, analyses, strict=True)
        for index, miss in zip(result.match.false_negatives, analysis.misses, strict=True)
    ]
    false_positives = [
        {
            "path": printable(result.clip.path),
            "start_s": result.events[index].start_s,
            "alert_s": result.events[index].alert_s,
            "score": result.events[index].score,
            **dataclasses.asdict(alarm),
        }
        for result, analysis in zip(results, analyses, strict=True)
        for index, alarm in zip(result.match.false_positives, analysis.false_alarms, strict=True)
    ]
    return {
        "false_negatives": false_negatives,
        "miss_causes": _counts(MissCause, [miss["cause"] for miss in false_negatives]),
        "false_positives": false_positives,
        "false_alarm_kinds": _counts(FalseAlarmKind, [alarm["kind"] for alarm in false_positives]),
    }


def _as_record(metrics: EventMetrics) -> dict[str, Any]:
    delays = {name: percentiles(getattr(metrics, name)) for name in ("delays_s", "delays_from_end_s")}
    return {**dataclasses.asdict(metrics), **delays}


def _intervals(results: Sequence[ClipResult], rng: np.random.Generator, over: Cluster) -> dict[str, Any]:
    return {name: bootstrap(results, metric, rng, over=over) for name, metric in (RATIOS | DELAYS).items()}


def _counts(kinds: type[StrEnum], found: Sequence[StrEnum]) -> dict[str, int]:
    counts = Counter(found)
    return {kind.value: counts[kind] for kind in kinds}


def _share(flags: Sequence[bool]) -> float | None:
    return float(np.mean(flags)) if flags else None
