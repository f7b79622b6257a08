"""The timeline, and its scores in bounded memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from falldet.io.video import VideoInfo
from falldet.pipeline.result import FrameResult
from falldet.runtime.sinks import SourceInfo
from falldet.runtime.timeline import ScoreHistory, Timeline
from falldet.types import Event, EventState, Frame, People, PersonScore

EVENT = Event("hall-1", "hall", 1, 1.0, 1.5, None, 1.75, 0.9, EventState.FALLING, (0.0, 0.0, 9.0, 9.0))


def test_timeline_is_drawn_at_the_close(tmp_path: Path) -> None:
    sink = Timeline(tmp_path / "out" / "timeline.png", 0.85)
    sink.start(SourceInfo("hall", VideoInfo(10.0, None, None)))
    for index in range(50):
        frame = Frame(index, index / 10, np.zeros((8, 8, 3), np.uint8))
        scores = [PersonScore(1, index, index / 10, 0.5)]
        sink.update(FrameResult(frame, People.none(), [], scores, [], [], {}))
    sink.event(EVENT)
    sink.event(replace(EVENT, state=EventState.RECOVERED, end_s=3.0))
    assert not (tmp_path / "out").exists()
    sink.close()
    assert cv2.imread(str(tmp_path / "out" / "timeline.png")) is not None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["timeline.png"]


def test_score_history_keeps_the_highest_score_of_a_bin() -> None:
    history = ScoreHistory(bin_s=0.5)
    for time_s, score in ((0.0, 0.2), (0.4, 0.9), (0.45, 0.1), (0.6, 0.3)):
        history.add(PersonScore(7, 0, time_s, score))
    times, scores = history.curves()[7]
    np.testing.assert_allclose(times, [0.25, 0.75])
    np.testing.assert_allclose(scores, [0.9, 0.3])


def test_score_history_is_bounded_and_keeps_every_peak() -> None:
    history = ScoreHistory(max_points=100, bin_s=0.05)
    for index in range(20_000):
        peak = index in (300, 10_000, 19_999)
        history.add(PersonScore(index % 3, index, index / 25, 0.99 if peak else 0.1))
        assert len(history._bins) <= 100
    peaks = sorted(float(time_s) for times, scores in history.curves().values() for time_s in times[scores > 0.9])
    np.testing.assert_allclose(peaks, [300 / 25, 10_000 / 25, 19_999 / 25], atol=history._bin_s)
