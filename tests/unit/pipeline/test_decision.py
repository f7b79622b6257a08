"""The second half of the analysis: window scores in, evidence and events out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scene_poses import FRAMES, IMAGE_HW, recognize, truth

from falldet.pipeline.decision import EventDecision
from falldet.pipeline.result import FrameResult
from falldet.pipeline.scoring import TrackScorer
from falldet.stages.events import EventDecoder, EventSettings
from falldet.stages.fusion import EvidenceFuser, FusionSettings
from falldet.stages.posture import read_postures
from falldet.stages.tracking import TrackerSettings
from falldet.stages.windows import WindowSettings
from falldet.types import People, WindowScore

WINDOWS = WindowSettings(length_s=2.0)
Step = tuple[int, float, People, list[WindowScore]]


def scored_steps() -> tuple[list[Step], list[WindowScore]]:
    """The scene after the first half: index, time, tracked people and scores of each frame, and the last scores."""
    scorer = TrackScorer(TrackerSettings(), WindowSettings(), recognize)
    steps = [(f.index, f.time_s, *scorer.update(f.time_s, truth(f.index), IMAGE_HW)) for f in FRAMES]
    return steps, scorer.flush()


def test_event_decision_equals_its_stages_in_turn() -> None:
    steps, rest = scored_steps()
    decision = EventDecision(FusionSettings(), EventSettings(), WINDOWS, "hall")
    fuser, decoder = EvidenceFuser(FusionSettings(), WINDOWS.stride_s), EventDecoder(source="hall")
    updates = []
    for index, time_s, people, window_scores in steps:
        result = decision.push(index, time_s, people, IMAGE_HW, window_scores)
        scores = fuser.push(index, time_s, window_scores)
        postures = read_postures(people.keypoints, people.scores, IMAGE_HW)
        assert result.scores == scores
        assert result.events == decoder.push(scores, people, postures, time_s)
        assert result.active_events == decoder.active_events
        assert result.people is people
        assert result.frame is None
        updates += result.events
    last = decision.flush(steps[-1][1], rest)
    assert last.events == decoder.flush(fuser.push(steps[-1][0], steps[-1][1], rest), steps[-1][1])
    assert {event.source for event in updates} == {"hall"}


def test_event_decision_gives_each_final_score_once_also_of_skipped_frames() -> None:
    steps, rest = scored_steps()
    decision = EventDecision(FusionSettings(), EventSettings(), WINDOWS)
    results: list[FrameResult] = []
    last_people = People.none()
    for index, time_s, people, window_scores in steps:
        if index % 3 and index < 150:  # the frames after 5 s are all processed
            results.append(decision.skip(index, time_s, last_people))
        else:
            last_people = people
            results.append(decision.push(index, time_s, people, IMAGE_HW, window_scores))
    results.append(decision.flush(steps[-1][1], rest))
    rows = [(score.track_id, score.frame_index) for result in results for score in result.final_scores]
    assert len(rows) == len(set(rows))
    assert {index for track_id, index in rows if track_id == 1} == set(range(3, len(FRAMES)))


def test_event_decision_scores_skipped_frames_at_the_end_of_a_source() -> None:
    decision = EventDecision(FusionSettings(), EventSettings(), WINDOWS)
    people = truth(0)[:1].with_track_ids(np.array([1]))
    for index in range(4):
        if index == 0:
            decision.push(index, 0.0, people, IMAGE_HW, [])
        else:
            decision.skip(index, index / 10, people)
    last = decision.flush(0.0, [WindowScore(1, -2.0, 1e-9, 0.7)])
    assert [(score.frame_index, score.score) for score in last.final_scores] == [(i, 0.7) for i in range(4)]


def test_event_decision_finalizes_by_the_final_rule_over_all_windows() -> None:
    people = truth(0)[:1].with_track_ids(np.array([1]))
    windows = [WindowScore(1, -1.0, 1.0, 0.2), WindowScore(1, -0.5, 1.5, 0.8)]
    for rule, expected in (("higher_score", 0.8), ("mean", 0.5)):
        fusion = replace(FusionSettings(), final_rule=rule)  # type: ignore[arg-type]
        decision = EventDecision(fusion, EventSettings(), WINDOWS)
        decision.push(0, 0.0, people, IMAGE_HW, [])
        assert decision.push(1, 1.5, people, IMAGE_HW, windows).final_scores == [], "a window's length has not passed"
        (score,) = decision.push(2, 2.0, people, IMAGE_HW, []).final_scores
        assert (score.frame_index, score.score) == (0, expected)
