"""The evaluation's report as a page for people, from what report.json holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

RATIOS = (("recall", "recall"), ("precision", "precision"), ("F1", "f1"), ("false alarms per hour", "false_per_hour"))
DELAYS = (("start", "delays_s", ("median", "p90", "p95")), ("end", "delays_from_end_s", ("median", "p95")))


def as_markdown(report: dict[str, Any]) -> str:
    """Return the page: figures with their intervals, figures by alert score, misses and false alarms."""
    lines = [
        "# Fall events",
        "",
        f"{report['videos']} videos, {report['hours'] * 60:.1f} minutes, {report['events']['falls']} falls; alert "
        f"score {report['threshold']:g}. Alerts and falls are paired {report['rule']}. Intervals: 95 %, bootstrap, "
        f"once over the subjects ({report['subjects']} names) and once over the videos ({report['videos']}).",
        "",
        *_figures(report),
        "",
        "## By alert score",
        "",
        *_curve(report),
        "",
        "![operating curve](operating_curve.png)",
        "",
        "## Missed falls",
        "",
        *_misses(report),
        "",
        "## False alarms",
        "",
        *_false_alarms(report),
    ]
    if report["left_out"]:
        lines += ["", "## Left out", "", *(f"- {item['path']}: {item['reason']}" for item in report["left_out"])]
    return "\n".join(lines) + "\n"


def _figures(report: dict[str, Any]) -> list[str]:
    events, by_subject, by_video = report["events"], report["intervals_95"], report["intervals_95_videos"]
    counts = {"recall": f" ({events['right']} of {events['falls']})", "precision": f" ({events['false']} false)"}
    rows = [
        (name, _number(events[key]) + counts.get(key, ""), _span(by_subject[key]), _span(by_video[key]))
        for name, key in RATIOS
    ]
    for place, kind, names in DELAYS:
        known = f", {events['found_with_known_end']} falls with a labeled end" if place == "end" else ""
        delays = events[kind] or {}
        rows += [
            (
                f"delay from the fall's {place}, {name}{known}",
                f"{delays[name]:.2f} s" if delays else "none",
                _span(by_subject[f"{kind}.{name}"]),
                _span(by_video[f"{kind}.{name}"]),
            )
            for name in names
        ]
    rows += [
        (f"videos: {name}", _number(report["videos_level"][name]), "", "") for name in ("sensitivity", "specificity")
    ]
    return table(("figure", "value", "over subjects", "over videos"), rows)


def _curve(report: dict[str, Any]) -> list[str]:
    rows = [
        (
            f"{row['threshold']:g}",
            *(_number(row[key]) for key in ("recall", "precision", "f1")),
            str(row["false"]),
            f"{row['delays_s']['median']:.2f} s" if row["delays_s"] else "none",
        )
        for row in report["curve"]
    ]
    lines = table(("alert score", "recall", "precision", "F1", "false alarms", "median delay"), rows)
    plateau = report["f1_plateau"]
    if plateau:
        reach = f"for alert scores from {plateau['from']:g} to {plateau['to']:g}"
        if plateau["from"] == plateau["to"]:
            reach = f"at the alert score {plateau['from']:g} alone"
        lines += ["", f"F1 stays within {plateau['band']:g} of its value {reach}."]
    return lines


def _misses(report: dict[str, Any]) -> list[str]:
    rows = [
        (
            miss["path"],
            f"{miss['start_s']:.1f} s to {miss['end_s']:.1f} s",
            miss["cause"],
            miss["detail"],
            "none" if miss["peak_score"] is None else f"{miss['peak_score']:.2f}",
        )
        for miss in report["missed"]
    ]
    return _listed(("video", "fall", "lost at", "because", "highest score"), rows, report["miss_causes"])


def _false_alarms(report: dict[str, Any]) -> list[str]:
    rows = [
        (
            alarm["path"],
            f"{alarm['alert_s']:.1f} s",
            alarm["occasion"],
            f"{alarm['score']:.2f}",
            f"{alarm['lying']:.2f}",
            f"{alarm['track_age_s']:.1f} s",
        )
        for alarm in report["false_alarms"]
    ]
    header = ("video", "alert", "occasion", "score", "lying degree", "age of the track")
    return _listed(header, rows, report["false_alarm_occasions"])


def _listed(header: Sequence[str], rows: Sequence[Sequence[str]], counts: dict[str, int]) -> list[str]:
    """Return a table under the counts of its kinds, or that there is nothing."""
    if not rows:
        return ["none"]
    kinds = ", ".join(f"{kind} {count}" for kind, count in counts.items() if count)
    return [f"{len(rows)} in all: {kinds}.", "", *table(header, rows)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _span(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
