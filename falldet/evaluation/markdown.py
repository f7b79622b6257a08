"""report.md: the contents of report.json as a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from falldet.visualization.tables import markdown_table

RATIOS = (
    ("recall", "recall"),
    ("precision", "precision"),
    ("F1", "f1"),
    ("false alarms per hour", "false_alarms_per_hour"),
)
DELAYS = (("start", "delays_s", ("median", "p90", "p95")), ("end", "delays_from_end_s", ("median", "p95")))


def as_markdown(report: dict[str, Any]) -> str:
    """Return the page: metrics with their intervals, metrics by alert threshold, missed falls and false alarms."""
    lines = [
        "# Fall events",
        "",
        *_untimed(report["untimed"]),
        f"{report['videos']} videos, {report['hours'] * 60:.1f} minutes, {report['events']['falls']} falls; alert "
        f"threshold {report['threshold']:g}. Alerts and falls are matched {report['rule']}. Intervals: 95 %, "
        f"bootstrap over the subjects ({report['subjects']} names) and over the videos ({report['videos']}).",
        "",
        *_metrics(report),
        "",
        "## By alert threshold",
        "",
        *_curve(report),
        "",
        "![operating curve](operating_curve.png)",
        "",
        "## Missed falls",
        "",
        *_missed_falls(report),
        "",
        "## False alarms",
        "",
        *_false_alarms(report),
    ]
    if report["left_out"]:
        lines += ["", "## Left out", "", *(f"- {item['path']}: {item['reason']}" for item in report["left_out"])]
    return "\n".join(lines) + "\n"


def _untimed(untimed: dict[str, int]) -> list[str]:
    """Return the line on clips with a fall of unknown time, if there are any."""
    if not untimed["videos"]:
        return []
    return [
        f"{untimed['videos']} videos show a fall of unknown time, with an alert in {untimed['with_alert']} of them. "
        "They are left out of all event figures and count in the video figures only.",
        "",
    ]


def _metrics(report: dict[str, Any]) -> list[str]:
    events, by_subject, by_video = report["events"], report["intervals_95"], report["intervals_95_videos"]
    counts = {
        "recall": f" ({events['true_positives']} of {events['falls']})",
        "precision": f" ({events['false_positives']} false positives)",
    }
    rows = [
        (name, _number(events[key]) + counts.get(key, ""), _span(by_subject[key]), _span(by_video[key]))
        for name, key in RATIOS
    ]
    for anchor, kind, names in DELAYS:
        known = f", {events['true_positives_with_known_end']} falls with a labeled end" if anchor == "end" else ""
        delays = events[kind] or {}
        rows += [
            (
                f"delay from the fall's {anchor}, {name}{known}",
                f"{delays[name]:.2f} s" if delays else "none",
                _span(by_subject[f"{kind}.{name}"]),
                _span(by_video[f"{kind}.{name}"]),
            )
            for name in names
        ]
    rows += [
        (f"videos: {name}", _number(report["video_level"][name]), "", "") for name in ("sensitivity", "specificity")
    ]
    return markdown_table(("metric", "value", "over subjects", "over videos"), rows)


def _curve(report: dict[str, Any]) -> list[str]:
    rows = [
        (
            f"{row['threshold']:g}",
            *(_number(row[key]) for key in ("recall", "precision", "f1")),
            str(row["false_positives"]),
            f"{row['delays_s']['median']:.2f} s" if row["delays_s"] else "none",
        )
        for row in report["curve"]
    ]
    lines = markdown_table(("alert threshold", "recall", "precision", "F1", "false alarms", "median delay"), rows)
    plateau = report["f1_plateau"]
    if plateau:
        reach = f"for alert thresholds from {plateau['from']:g} to {plateau['to']:g}"
        if plateau["from"] == plateau["to"]:
            reach = f"at the alert threshold {plateau['from']:g} alone"
        lines += ["", f"F1 stays within {plateau['band']:g} of its value {reach}."]
    return lines


def _missed_falls(report: dict[str, Any]) -> list[str]:
    rows = [
        (
            miss["path"],
            f"{miss['start_s']:.1f} s to {miss['end_s']:.1f} s",
            miss["cause"],
            miss["detail"],
            "none" if miss["peak_score"] is None else f"{miss['peak_score']:.2f}",
        )
        for miss in report["false_negatives"]
    ]
    return _listed(("video", "fall", "cause", "detail", "highest score"), rows, report["miss_causes"])


def _false_alarms(report: dict[str, Any]) -> list[str]:
    rows = [
        (
            alarm["path"],
            f"{alarm['alert_s']:.1f} s",
            alarm["kind"],
            f"{alarm['score']:.2f}",
            f"{alarm['lying']:.2f}",
            f"{alarm['track_age_s']:.1f} s",
        )
        for alarm in report["false_positives"]
    ]
    header = ("video", "alert", "kind", "score", "lying degree", "age of the track")
    return _listed(header, rows, report["false_alarm_kinds"])


def _listed(header: Sequence[str], rows: Sequence[Sequence[str]], counts: dict[str, int]) -> list[str]:
    """Return a table below the counts of its kinds, or "none" without rows."""
    if not rows:
        return ["none"]
    kinds = ", ".join(f"{kind} {count}" for kind, count in counts.items() if count)
    return [f"{len(rows)} in all: {kinds}.", "", *markdown_table(header, rows)]


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _span(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
