"""The written evaluation: what stands in report.json and report.md, and the bootstrap behind it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from falldet.evaluation import ClipResult, bootstrap, match_alerts, summarise
from falldet.manifest import ClipRecord, FallInterval
from falldet.report import write_report
from falldet.types import Event, EventState


def judged(subject: str, falls: list[tuple[float, float]], alerts: list[float]) -> ClipResult:
    intervals = tuple(FallInterval(start_s, end_s, True) for start_s, end_s in falls)
    clip = ClipRecord(Path(f"{subject}.mp4"), int(bool(falls)), subject, "test", intervals)
    events = [Event(1, t - 0.3, t, None, t, 0.9, EventState.FALLEN, (0.0, 0.0, 9.0, 9.0)) for t in alerts]
    return ClipResult(clip, 60.0, events, match_alerts(falls, alerts))


RESULTS = [
    judged("found", [(10.0, 11.0)], [10.5]),
    judged("missed", [(10.0, 11.0)], []),
    judged("repeated", [(10.0, 11.0)], [10.8, 13.0]),
    judged("quiet", [], []),
]


def test_the_report_holds_the_figures_the_misses_and_the_false_alarms(tmp_path: Path) -> None:
    figures = summarise(RESULTS)
    write_report(tmp_path, RESULTS, [(0.5, figures), (0.85, figures)], 0.85, [(Path("bad.mp4"), "it is empty")])
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["events"]["falls"], report["events"]["right"], report["events"]["false"]) == (3, 2, 1)
    assert report["events"]["recall"] == pytest.approx(2 / 3)
    assert report["events"]["precision"] == pytest.approx(2 / 3)
    assert report["events"]["false_per_hour"] == pytest.approx(1 / (4 / 60))
    assert report["events"]["delays_s"]["median"] == pytest.approx(0.65)
    assert report["videos_level"] == {
        "sensitivity": pytest.approx(2 / 3),
        "specificity": 1.0,
        "with_falls": 3,
        "without": 1,
    }
    assert [miss["path"] for miss in report["missed"]] == ["missed.mp4"]
    assert [(alarm["path"], alarm["alert_s"]) for alarm in report["false_alarms"]] == [("repeated.mp4", 13.0)]
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "recall | 0.667 (2 of 3)" in text
    assert "bad.mp4: it is empty" in text
    assert cv2.imread(str(tmp_path / "operating_curve.png")) is not None


def test_without_falls_the_undefined_figures_say_so(tmp_path: Path) -> None:
    results = [judged("a", [], []), judged("b", [], [])]
    report = write_report(tmp_path, results, [(0.85, summarise(results))], 0.85)
    assert report["events"]["recall"] is None
    assert report["intervals_95"]["recall"] is None
    assert "recall | not defined" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_the_bootstrap_draws_whole_subjects() -> None:
    """Two subjects, one always found and one never: only 0, 1/2 and 1 can come out."""
    results = [judged("a", [(10.0, 11.0)], [10.5])] * 5 + [judged("b", [(10.0, 11.0)], [])] * 5
    seen = set()

    def recall(figures) -> float:
        seen.add(figures.recall)
        return figures.recall

    assert bootstrap(results, recall, np.random.default_rng(0), rounds=200) == (0.0, 1.0)
    assert seen == {0.0, 0.5, 1.0}
