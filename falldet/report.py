"""The evaluation written down: report.json for programs, report.md for people, and the operating curve as a picture."""

from __future__ import annotations

import dataclasses
import json
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from falldet.evaluation import EARLY_S, LATE_S, ClipResult, EventFigures, bootstrap, summarise
from falldet.files import finished_file
from falldet.plots import operating_curve_plot

RATIOS = ("recall", "precision", "f1", "false_per_hour")


def write_report(
    out_dir: Path,
    results: Sequence[ClipResult],
    curve: Sequence[tuple[float, EventFigures]],
    threshold: float,
    left_out: Sequence[tuple[Path, str]] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Write report.json, report.md and operating_curve.png into `out_dir` and return what report.json holds.

    Args:
        out_dir: made if it is not there.
        results: the judged videos.
        curve: figures at each alert threshold.
        threshold: the alert threshold `results` were judged at.
        left_out: videos that could not be judged, with the reason.
        seed: of the bootstrap.
    """
    report = _report(results, curve, threshold, left_out, np.random.default_rng(seed))
    with finished_file(out_dir / "report.json") as stream:
        json.dump(report, stream, indent=1)
    with finished_file(out_dir / "report.md") as stream:
        stream.write(_as_markdown(report))
    points = [(f.false_per_hour or 0.0, f.recall or 0.0, score) for score, f in curve]
    operating_curve_plot(out_dir / "operating_curve.png", points, threshold)
    return report


def _report(
    results: Sequence[ClipResult],
    curve: Sequence[tuple[float, EventFigures]],
    threshold: float,
    left_out: Sequence[tuple[Path, str]],
    rng: np.random.Generator,
) -> dict[str, Any]:
    figures = summarise(results)
    intervals = {name: bootstrap(results, operator.attrgetter(name), rng) for name in RATIOS}
    with_falls = [result for result in results if result.clip.label]
    without = [result for result in results if not result.clip.label]
    return {
        "threshold": threshold,
        "rule": f"one to one in time order, right from {EARLY_S} s before the fall to {LATE_S} s after its end",
        "videos": len(results),
        "hours": sum(result.duration_s for result in results) / 3600,
        "events": {**dataclasses.asdict(figures), "delays_s": _percentiles(figures.delays_s)},
        "intervals_95": intervals,
        "videos_level": {
            "sensitivity": _share([bool(result.events) for result in with_falls]),
            "specificity": _share([not result.events for result in without]),
            "with_falls": len(with_falls),
            "without": len(without),
        },
        "missed": [
            {
                "path": str(r.clip.path),
                "start_s": r.clip.fall_intervals[i].start_s,
                "end_s": r.clip.fall_intervals[i].end_s,
            }
            for r in results
            for i in r.match.missed
        ],
        "false_alarms": [
            {"path": str(r.clip.path), "alert_s": r.events[i].alert_s, "score": r.events[i].score}
            for r in results
            for i in r.match.false
        ],
        "curve": [
            {"threshold": score, **dataclasses.asdict(f), "delays_s": _percentiles(f.delays_s)} for score, f in curve
        ],
        "left_out": [{"path": str(path), "reason": reason} for path, reason in left_out],
    }


def _as_markdown(report: dict[str, Any]) -> str:
    events, intervals = report["events"], report["intervals_95"]
    lines = [
        "# Fall events",
        "",
        f"{report['videos']} videos, {report['hours'] * 60:.1f} minutes, {events['falls']} falls; alert score "
        f"{report['threshold']:g}. Alerts and falls are paired {report['rule']}. "
        "Intervals: 95 %, bootstrap over subjects.",
        "",
        "| figure | value | interval |",
        "|---|---|---|",
        f"| recall | {_number(events['recall'])} ({events['right']} of {events['falls']}) "
        f"| {_span(intervals['recall'])} |",
        f"| precision | {_number(events['precision'])} ({events['false']} false) | {_span(intervals['precision'])} |",
        f"| F1 | {_number(events['f1'])} | {_span(intervals['f1'])} |",
        f"| false alarms per hour | {_number(events['false_per_hour'])} | {_span(intervals['false_per_hour'])} |",
        f"| delay from the fall's start, median / p90 / p95 | {_delays(events['delays_s'])} | |",
        f"| videos: sensitivity | {_number(report['videos_level']['sensitivity'])} | |",
        f"| videos: specificity | {_number(report['videos_level']['specificity'])} | |",
        "",
        "## By alert score",
        "",
        "| alert score | recall | precision | F1 | false alarms |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['threshold']:g} | {_number(row['recall'])} | {_number(row['precision'])} | {_number(row['f1'])} "
        f"| {row['false']} |"
        for row in report["curve"]
    ]
    lines += ["", "![operating curve](operating_curve.png)", "", "## Missed falls", ""]
    lines += [f"- {miss['path']}, {miss['start_s']:.1f} s to {miss['end_s']:.1f} s" for miss in report["missed"]] or [
        "none"
    ]
    lines += ["", "## False alarms", ""]
    lines += [f"- {a['path']}, {a['alert_s']:.1f} s, score {a['score']:.2f}" for a in report["false_alarms"]] or [
        "none"
    ]
    if report["left_out"]:
        lines += ["", "## Left out", "", *(f"- {item['path']}: {item['reason']}" for item in report["left_out"])]
    return "\n".join(lines) + "\n"


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {name: float(np.percentile(values, q)) for name, q in (("median", 50), ("p90", 90), ("p95", 95))}


def _share(flags: Sequence[bool]) -> float | None:
    return float(np.mean(flags)) if flags else None


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _span(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"


def _delays(delays: dict[str, float] | None) -> str:
    return "none" if delays is None else " / ".join(f"{delays[name]:.2f}" for name in ("median", "p90", "p95")) + " s"
