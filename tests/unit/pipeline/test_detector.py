"""The pipeline over frames: sampling by what poses and scores show, results per frame, and several sources in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from scene_poses import FRAMES, ScenePoses, ThreadedScenePoses, outcome, recognize

from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.stages.frame_sampling import SamplingSettings
from falldet.types import Frame, Window, WindowScore

FIXED_RATE = SamplingSettings(15, idle_fps=15, full_rate_hold_s=0)
BY_MOTION = replace(FIXED_RATE, idle_fps=5)


def test_fall_detector_processes_fewer_frames_while_no_person_moves() -> None:
    def inferences(sampling: SamplingSettings) -> int:
        source = ScenePoses()
        list(FallDetector(Config(sampling=sampling), recognize, source).run(FRAMES))
        return len(source.submitted)

    fixed = inferences(FIXED_RATE)
    assert inferences(replace(BY_MOTION, motion_threshold=10.0)) < 0.5 * fixed  # but at first, when people are new
    assert 0.5 * fixed < inferences(BY_MOTION) < fixed


def test_fall_detector_processes_every_frame_after_a_high_window_score() -> None:
    def suspicious(windows: Sequence[Window]) -> list[WindowScore]:
        return [WindowScore(w.track_id, w.start_s, w.stop_s, 0.5 if 2.0 <= w.stop_s < 3.0 else 0.0) for w in windows]

    suspicious.window_s = None  # type: ignore[attr-defined]
    source = ThreadedScenePoses()
    config = Config(sampling=replace(FIXED_RATE, full_rate_hold_s=1.0))
    list(FallDetector(config, suspicious, source).run(FRAMES, prefetch=2))  # type: ignore[arg-type]
    full_rate = range(61, 113)  # from the inference at 2.0 s until one second after that at 2.77 s
    odd = [index for index in source.submitted if index % 2 == 1 and index < len(FRAMES) - 1]
    assert odd == [index for index in full_rate if index % 2 == 1]


def test_fall_detector_gives_a_result_as_soon_as_its_people_are_known() -> None:
    read: list[int] = []

    def frames() -> Iterator[Frame]:
        for frame in FRAMES:
            read.append(frame.index)
            yield frame

    for result in FallDetector(Config(sampling=FIXED_RATE), recognize, ThreadedScenePoses()).run(frames()):
        if result.frame is not None:
            assert result.frame.index >= read[-1] - (result.frame.index % 2)  # a skipped frame waits for the next
    assert len(read) == len(FRAMES)


def test_fall_detector_keeps_the_people_in_skipped_frames_and_scores_every_frame() -> None:
    source = ThreadedScenePoses()
    results = list(FallDetector(Config(sampling=FIXED_RATE), recognize, source).run(FRAMES, prefetch=2))
    assert source.submitted == [*range(0, len(FRAMES), 2), len(FRAMES) - 1]
    assert [result.frame for result in results] == [*FRAMES, None]
    for before, skipped in zip(results[:-3:2], results[1:-3:2], strict=True):
        assert skipped.people is before.people
        assert (skipped.events, skipped.scores, skipped.window_scores) == ([], [], [])
        assert skipped.active_events == before.active_events
    rows = [(score.track_id, score.frame_index) for result in results for score in result.final_scores]
    assert len(set(rows)) == len(rows)
    assert {index for track_id, index in rows if track_id == 1} == set(range(2, len(FRAMES)))


def test_fall_detector_starts_the_next_source_afresh() -> None:
    detector = FallDetector(Config(sampling=BY_MOTION), recognize, ScenePoses())
    first = outcome(list(detector.run(FRAMES[:121])))
    assert outcome(list(detector.run(FRAMES[:121]))) == first


def test_fall_detector_stores_source_and_wall_time_in_its_events() -> None:
    started = datetime(2024, 5, 1, 12, tzinfo=UTC)
    detector = FallDetector(Config(), recognize, ScenePoses(), source="hall", started=started)
    events = [event for result in detector.run(FRAMES) for event in result.events]
    assert events
    assert {event.source for event in events} == {"hall"}
    assert all(event.wall_time == started + timedelta(seconds=event.alert_s) for event in events)
    assert len({event.id for event in events}) == len({(event.track_id, event.alert_s) for event in events})
