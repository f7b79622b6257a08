"""The pipeline without frames: people in, events out, as the detector gives them on the same poses."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from scene_poses import FRAMES, IMAGE_HW, SCENE, TIMES_S, ScenePoses, outcome, recognize, truth

from falldet.pipeline.analyzer import FallAnalyzer, load_recognizer
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.pipeline.result import FrameResult
from falldet.stages.frame_sampling import SamplingSettings
from falldet.stages.windows import WindowSettings
from falldet.types import EventState

EVERY_FRAME = Config(sampling=SamplingSettings(0))
EVERY_SECOND_FRAME = Config(sampling=SamplingSettings(15, idle_fps=15, full_rate_hold_s=0))


def analyze(analyzer: FallAnalyzer, step: int = 1) -> list[FrameResult]:
    """Results of the scene with pose estimation on every `step`-th frame and on the last."""
    last = len(FRAMES) - 1
    results = [
        analyzer.step(index, float(time_s), truth(index), IMAGE_HW)
        if index % step == 0 or index == last
        else analyzer.skip(index, float(time_s))
        for index, time_s in enumerate(TIMES_S)
    ]
    return [*results, analyzer.flush(float(TIMES_S[-1]))]


@pytest.mark.parametrize(("config", "step"), [(EVERY_FRAME, 1), (EVERY_SECOND_FRAME, 2)])
def test_fall_analyzer_equals_fall_detector_on_the_same_poses(config: Config, step: int) -> None:
    detected = list(FallDetector(config, recognize, ScenePoses()).run(FRAMES))
    analyzed = analyze(FallAnalyzer(config, recognize), step)
    assert outcome(analyzed, frames=False) == outcome(detected, frames=False)
    assert {result.frame for result in analyzed} == {None}
    assert sum(len(result.events) for result in analyzed) > 0


def test_fall_analyzer_flush_makes_ready_for_the_next_source() -> None:
    analyzer = FallAnalyzer(EVERY_FRAME, recognize)
    first = outcome(analyze(analyzer))
    assert outcome(analyze(analyzer)) == first


def test_fall_analyzer_skip_keeps_the_people_of_the_last_step() -> None:
    analyzer = FallAnalyzer(EVERY_FRAME, recognize)
    people = analyzer.step(0, 0.0, truth(0), IMAGE_HW).people
    skipped = analyzer.skip(1, 1 / 30)
    assert skipped.people is people
    assert (skipped.window_scores, skipped.scores, skipped.events) == ([], [], [])


def test_fall_analyzer_without_people_gives_no_events() -> None:
    analyzer = FallAnalyzer(EVERY_FRAME, recognize)
    nothing = truth(0)[:0]
    results = [analyzer.step(index, index / 10, nothing, IMAGE_HW) for index in range(50)]
    assert not any(result.events or result.final_scores for result in [*results, analyzer.flush(5.0)])


def test_fall_analyzer_with_the_shipped_recognizer_finds_the_fall_of_the_scene() -> None:
    started = datetime(2024, 5, 1, 12, tzinfo=UTC)
    analyzer = FallAnalyzer(source="hall", started=started)
    image_hw = (SCENE.camera.height, SCENE.camera.width)
    updates = [
        event
        for index, time_s in enumerate(TIMES_S)
        for event in analyzer.step(index, float(time_s), truth(index), image_hw).events
    ]
    updates += analyzer.flush(float(TIMES_S[-1])).events
    assert {event.id for event in updates} == {updates[0].id}
    (track_id,) = {event.track_id for event in updates}
    assert track_id in {1, 2, 3}
    assert [event.state for event in updates][:1] == [EventState.FALLING]
    assert {event.source for event in updates} == {"hall"}
    assert {event.wall_time for event in updates} == {started + timedelta(seconds=updates[0].alert_s)}
    start_s, stop_s = SCENE.falls()[0][1:]
    assert start_s - 1 < updates[0].start_s < updates[0].alert_s < stop_s + 2


def test_load_recognizer_warns_of_another_window_length(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    load_recognizer(Config())
    assert not caplog.records
    load_recognizer(replace(Config(), windows=WindowSettings(length_s=3.0)))
    assert "trained on windows of 4 s, but windows.length_s is 3" in caplog.text
