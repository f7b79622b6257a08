"""The report: contents of report.json and report.md, the F1 plateau, and the bootstrap."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from falldet.data.manifest import ClipRecord, FallInterval
from falldet.evaluation.error_analysis import ErrorAnalysis, FalseAlarm, FalseAlarmKind, Miss, MissCause
from falldet.evaluation.matching import ClipResult, Match, match_alerts
from falldet.evaluation.metrics import EventMetrics, bootstrap, compute_metrics
from falldet.evaluation.report import f1_plateau, write_report
from falldet.types import Event, EventState


def evaluated(subject: str, falls: list[tuple[float, float]], alerts: list[float]) -> ClipResult:
    intervals = tuple(FallInterval(start_s, end_s, True) for start_s, end_s in falls)
    clip = ClipRecord(Path(f"{subject}.mp4"), int(bool(falls)), subject, "test", intervals)
    events = [Event(f"{t}", "a", 1, t - 0.3, t, None, t, 0.9, EventState.FALLEN, (0.0, 0.0, 9.0, 9.0)) for t in alerts]
    return ClipResult(clip, 60.0, events, match_alerts(falls, alerts))


RESULTS = [
    evaluated("found", [(10.0, 11.0)], [10.5]),
    evaluated("missed", [(10.0, 11.0)], []),
    evaluated("repeated", [(10.0, 11.0)], [10.8, 13.0]),
    evaluated("quiet", [], []),
]


ANALYSES = [
    ErrorAnalysis([], []),
    ErrorAnalysis([Miss(MissCause.CLASSIFIER, "highest score 0.62 of 0.85", 0.62)], []),
    ErrorAnalysis([], [FalseAlarm(FalseAlarmKind.REPEATED, 0.71, 4.25)]),
    ErrorAnalysis([], []),
]


def test_write_report_writes_metrics_misses_and_false_alarms(tmp_path: Path) -> None:
    metrics = compute_metrics(RESULTS)
    curve = [(0.5, metrics), (0.85, metrics)]
    write_report(tmp_path, RESULTS, ANALYSES, curve, 0.85, [(Path("bad.mp4"), "it is empty")])
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    events = report["events"]
    assert (events["falls"], events["true_positives"], events["false_positives"]) == (3, 2, 1)
    assert report["events"]["recall"] == pytest.approx(2 / 3)
    assert report["events"]["precision"] == pytest.approx(2 / 3)
    assert report["events"]["false_alarms_per_hour"] == pytest.approx(1 / (4 / 60))
    assert report["events"]["delays_s"]["median"] == pytest.approx(0.65)
    assert report["video_level"] == {
        "sensitivity": pytest.approx(2 / 3),
        "specificity": 1.0,
        "with_falls": 3,
        "without": 1,
    }
    assert [miss["path"] for miss in report["false_negatives"]] == ["missed.mp4"]
    assert [(alarm["path"], alarm["alert_s"]) for alarm in report["false_positives"]] == [("repeated.mp4", 13.0)]
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "recall | 0.667 (2 of 3)" in text
    assert "bad.mp4: it is empty" in text
    assert cv2.imread(str(tmp_path / "operating_curve.png")) is not None


def test_write_report_marks_undefined_metrics(tmp_path: Path) -> None:
    results = [evaluated("a", [], []), evaluated("b", [], [])]
    nothing = [ErrorAnalysis([], [])] * 2
    report = write_report(tmp_path, results, nothing, [(0.85, compute_metrics(results))], 0.85)
    assert report["f1_plateau"] is None
    assert report["events"]["delays_s"] is None
    assert report["intervals_95"]["delays_s.median"] is None
    assert report["events"]["recall"] is None
    assert report["intervals_95"]["recall"] is None
    assert "recall | not defined" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_bootstrap_resamples_whole_subjects() -> None:
    """Two subjects, one always detected and one never: recall can be 0, 1/2 or 1."""
    results = [evaluated("a", [(10.0, 11.0)], [10.5])] * 5 + [evaluated("b", [(10.0, 11.0)], [])] * 5
    values = set()

    def recall(metrics: EventMetrics) -> float | None:
        values.add(metrics.recall)
        return metrics.recall

    assert bootstrap(results, recall, np.random.default_rng(0), rounds=200) == (0.0, 1.0)
    assert values == {0.0, 0.5, 1.0}


def test_bootstrap_resamples_single_videos() -> None:
    """All of one subject: over subjects nothing varies, over videos it does."""
    found, missed = evaluated("a", [(10.0, 11.0)], [10.5]), evaluated("a", [(10.0, 11.0)], [])
    results = [
        replace(each, clip=replace(each.clip, path=Path(f"{number}.mp4")))
        for number, each in enumerate([found, missed] * 5)
    ]

    def recall(metrics: EventMetrics) -> float | None:
        return metrics.recall

    assert bootstrap(results, recall, np.random.default_rng(0), rounds=200) == (0.5, 0.5)
    low, high = bootstrap(results, recall, np.random.default_rng(0), rounds=200, over="video") or (0.0, 0.0)
    assert 0.1 <= low < 0.4 < 0.6 < high <= 0.9


def test_write_report_gives_both_intervals_and_both_delays(tmp_path: Path) -> None:
    report = write_report(tmp_path, RESULTS, ANALYSES, [(0.85, compute_metrics(RESULTS))], 0.85)
    assert (report["subjects"], report["videos"]) == (4, 4)
    assert report["events"]["delays_from_end_s"]["median"] == pytest.approx(-0.35)
    assert report["events"]["delays_from_end_s"]["p95"] == pytest.approx(-0.215)
    for intervals in (report["intervals_95"], report["intervals_95_videos"]):
        for name in ("median", "p90", "p95"):
            low, high = intervals[f"delays_s.{name}"]
            assert 0.5 - 1e-9 <= low <= high <= 0.8 + 1e-9
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "over the subjects (4 names) and over the videos (4)" in text
    assert "| metric | value | over subjects | over videos |" in text
    assert "| delay from the fall's end, median, 2 falls with a labeled end | -0.35 s |" in text


def test_write_report_lists_and_counts_causes_and_kinds(tmp_path: Path) -> None:
    write_report(tmp_path, RESULTS, ANALYSES, [(0.85, compute_metrics(RESULTS))], 0.85)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    (miss,), (alarm,) = report["false_negatives"], report["false_positives"]
    assert (miss["cause"], miss["peak_score"], miss["start_s"]) == ("classifier", 0.62, 10.0)
    assert (alarm["kind"], alarm["lying"], alarm["track_age_s"]) == ("second alert for a fall", 0.71, 4.25)
    assert report["miss_causes"] == {cause: int(cause == "classifier") for cause in MissCause}
    assert sum(report["false_alarm_kinds"].values()) == 1
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "1 in all: classifier 1." in text
    assert "| missed.mp4 | 10.0 s to 11.0 s | classifier | highest score 0.62 of 0.85 | 0.62 |" in text
    assert "| repeated.mp4 | 13.0 s | second alert for a fall | 0.90 | 0.71 | 4.2 s |" in text


@pytest.mark.parametrize(
    ("scores", "threshold", "plateau"),
    [
        ((0.5, 0.8, 0.82, 0.85, 0.6), 0.7, (0.6, 0.8)),
        ((0.82, 0.8, 0.82, 0.85, 0.83), 0.7, (0.5, 0.9)),
        ((0.82, None, 0.82, 0.6, 0.82), 0.7, (0.7, 0.7)),
        ((0.82, 0.8, 0.82, 0.8, 0.8), 0.9, (0.5, 0.9)),
        ((0.82, 0.8, 0.82, 0.8, 0.5), 0.85, (0.5, 0.85)),
    ],
    ids=["both ends fall off", "all the same", "a peak, and nothing beyond it counts", "at the end", "between two"],
)
def test_f1_plateau(scores: tuple[float | None, ...], threshold: float, plateau: tuple[float, float]) -> None:
    metrics = compute_metrics(RESULTS)
    curve = [(score, replace(metrics, f1=f1)) for score, f1 in zip((0.5, 0.6, 0.7, 0.8, 0.9), scores, strict=True)]
    found = f1_plateau(curve, 0.82, threshold)
    assert found == {"band": 0.05, "from": plateau[0], "to": plateau[1]}


def test_write_report_tells_falls_of_unknown_time_first(tmp_path: Path) -> None:
    known = evaluated("found", [(10.0, 11.0)], [10.5])
    results = [known]
    for number in range(3):
        unknown = evaluated(f"unknown{number}\x1b[31m", [(10.0, 11.0)], [10.5])
        clip = replace(unknown.clip, fall_intervals=())
        results.append(replace(unknown, clip=clip, match=Match([], [], [])))
    report = write_report(tmp_path, results, [ErrorAnalysis([], [])] * 4, [], 0.85)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.splitlines()[2].startswith("3 videos show a fall of unknown time, with an alert in 3 of them.")
    assert report["untimed"] == {"videos": 3, "with_alert": 3}
    assert (report["events"]["precision"], report["events"]["falls"]) == (1.0, 1)
    assert "\x1b" not in text
