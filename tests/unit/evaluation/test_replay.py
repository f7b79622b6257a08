"""Alerts matched with labeled falls, the figures that follow from it, and many alert scores from one look."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import falldet.stages.posture
from falldet.data.manifest import ClipRecord, FallInterval
from falldet.evaluation.matching import ClipResult, match_alerts
from falldet.evaluation.metrics import compute_metrics, percentile
from falldet.evaluation.replay import (
    ReplayedClip,
    at_threshold,
    decide_clip,
    evaluate_replayed,
    fuse,
    judge,
    replay_clip,
    sweep,
)
from falldet.extraction.pose_cache import PoseSequence
from falldet.geometry import keypoint_boxes
from falldet.pipeline.detector import Pipeline, Settings
from falldet.pose.source import NoPoseSource
from falldet.synthetic import SCENES
from falldet.types import Event, EventState, Window, WindowScore

Times = list[tuple[float, float]]


@pytest.mark.parametrize(
    ("falls", "alerts", "pairs", "missed", "false"),
    [
        ([], [], [], [], []),
        ([(5, 6)], [5.8], [(0, 0)], [], []),
        ([(5, 6)], [4.5], [(0, 0)], [], []),
        ([(5, 6)], [4.49], [], [0], [0]),
        ([(5, 6)], [9.0], [(0, 0)], [], []),
        ([(5, 6)], [9.01], [], [0], [0]),
        ([(5, 6)], [], [], [0], []),
        ([], [3.0, 4.0], [], [], [0, 1]),
        ([(5, 6)], [5.5, 8.0], [(0, 0)], [], [1]),
        ([(5, 6)], [1.0, 5.5, 20.0], [(0, 1)], [], [0, 2]),
        ([(5, 6), (20, 21)], [5.5, 20.5], [(0, 0), (1, 1)], [], []),
        ([(5, 6), (20, 21)], [20.5], [(1, 0)], [0], []),
        ([(5, 6), (20, 21)], [5.5], [(0, 0)], [1], []),
        ([(5, 6), (7, 8)], [7.5], [(0, 0)], [1], []),
        ([(5, 6), (7, 8)], [7.5, 7.6], [(0, 0), (1, 1)], [], []),
        ([(20, 21), (5, 6)], [20.5, 5.5], [(1, 1), (0, 0)], [], []),
    ],
    ids=[
        "nothing",
        "right",
        "just early enough",
        "too early",
        "just in time",
        "too late",
        "missed",
        "false alarms",
        "repeated",
        "before, right and after",
        "two falls",
        "first one missed",
        "second one missed",
        "one alert is right for one fall only",
        "two alerts for two near falls",
        "not sorted",
    ],
)
def test_alerts_are_paired_with_falls(
    falls: Times, alerts: list[float], pairs: list[tuple[int, int]], missed: list[int], false: list[int]
) -> None:
    match = match_alerts(falls, alerts)
    assert (match.pairs, match.false_negatives, sorted(match.false_positives)) == (pairs, missed, false)


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0.1, 3)), max_size=5),
    st.lists(st.floats(0, 70), max_size=6),
)
@settings(deadline=None)
def test_every_fall_and_every_alert_is_counted_once(falls: Times, alerts: list[float]) -> None:
    intervals = [(start, start + length) for start, length in falls]
    match = match_alerts(intervals, alerts)
    assert sorted([fall for fall, _ in match.pairs] + match.false_negatives) == list(range(len(falls)))
    assert sorted([alert for _, alert in match.pairs] + match.false_positives) == list(range(len(alerts)))
    for fall, alert in match.pairs:
        assert intervals[fall][0] - 0.5 <= alerts[alert] <= intervals[fall][1] + 3.0


@given(st.lists(st.floats(0, 60), max_size=4), st.lists(st.floats(0, 70), max_size=5))
@settings(deadline=None)
def test_as_many_falls_as_possible_are_paired(starts: list[float], alerts: list[float]) -> None:
    """Falls of equal length: pairing in time order loses none that another pairing would find."""
    intervals = [(start, start + 1.0) for start in starts]

    def most(fall: int, free: frozenset[int]) -> int:
        if fall == len(intervals):
            return 0
        start, end = intervals[fall]
        fits = [a for a in free if start - 0.5 <= alerts[a] <= end + 3.0]
        return max([most(fall + 1, free), *(1 + most(fall + 1, free - {a}) for a in fits)])

    assert len(match_alerts(intervals, alerts).pairs) == most(0, frozenset(range(len(alerts))))


def result(falls: Times, alerts: list[float], duration_s: float) -> ClipResult:
    intervals = tuple(FallInterval(start, end, True) for start, end in falls)
    clip = ClipRecord(Path("clip.mp4"), int(bool(falls)), "somebody", fall_intervals=intervals)
    events = [Event(1, t, t, None, t, 0.9, EventState.FALLEN, (0.0, 0.0, 1.0, 1.0)) for t in alerts]
    return ClipResult(clip, duration_s, events, match_alerts(falls, alerts))


def test_figures_by_hand() -> None:
    figures = compute_metrics(
        [
            result([(5, 6), (20, 21)], [5.5, 7.0], 600),  # right, repeated, missed
            result([(3, 4)], [4.5], 600),
            result([], [1.0], 600),
            result([], [], 1800),
        ]
    )
    assert (figures.falls, figures.true_positives, figures.false_positives) == (3, 2, 2)
    assert figures.recall == pytest.approx(2 / 3)
    assert figures.precision == pytest.approx(2 / 4)
    assert figures.f1 == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert figures.false_per_hour == pytest.approx(2.0)
    assert figures.delays_s == pytest.approx([0.5, 1.5])


def test_a_ratio_without_a_denominator_is_none() -> None:
    nothing = compute_metrics([])
    assert (nothing.recall, nothing.precision, nothing.f1, nothing.false_per_hour) == (None, None, None, None)
    quiet = compute_metrics([result([], [], 60)])
    assert (quiet.recall, quiet.precision, quiet.f1, quiet.false_per_hour) == (None, None, None, 0.0)
    missed = compute_metrics([result([(1, 2)], [], 60)])
    assert (missed.recall, missed.precision, missed.f1) == (0.0, None, 0.0)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0, 100))
@settings(deadline=None)
def test_percentiles_are_numpys(values: list[float], percent: float) -> None:
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent), abs=1e-9)


def test_delays_from_the_end_count_only_where_the_end_is_labelled() -> None:
    known = result([(5, 6), (20, 22)], [5.5, 23.0], 60)
    event_only = replace(known.clip, fall_intervals=(FallInterval(5, 9, False), FallInterval(20, 25, False)))
    assert compute_metrics([known]).delays_from_end_s == pytest.approx([-0.5, 1.0])
    assert compute_metrics([replace(known, clip=event_only)]).delays_from_end_s == []
    assert compute_metrics([replace(known, clip=event_only)]).delays_s == pytest.approx([0.5, 3.0])


@functools.cache
def poses_of(name: str) -> PoseSequence:
    """The true poses of a drawn scene, ten a second, without drawing it."""
    scene = replace(SCENES[name](), fps=10.0)
    keypoints, scores = scene.keypoints()
    seen = scores.any(axis=2)  # (T, N)
    counts, image_hw = seen.sum(axis=1), (scene.camera.height, scene.camera.width)
    boxes = keypoint_boxes(keypoints[seen], scores[seen])
    return PoseSequence(
        scene.frame_times(), counts, keypoints[seen], scores[seen], boxes, np.ones(len(boxes), np.float32), image_hw
    )


def by_head_drop(windows: list[Window]) -> list[WindowScore]:
    """A recognizer without a model: how far the head came down within the window, of twice the body's height."""
    scores = []
    for window in windows:
        heights = np.ptp(window.keypoints[..., 1], axis=1)
        drop = np.ptp(window.keypoints[:, 0, 1]) / max(2 * float(heights.max()), 1)
        scores.append(WindowScore(window.track_id, window.start_s, window.stop_s, min(float(drop) * 2, 1.0)))
    return scores


def pipeline(settings_here: Settings) -> Pipeline:
    return Pipeline(settings_here, recognize=by_head_drop, pose_source=NoPoseSource())


SCENE_NAMES = ("fall_and_recover", "fall_in_company", "lie_down", "squat")


@pytest.fixture(scope="module")
def observed() -> list[ReplayedClip]:
    def clip(name: str) -> ClipRecord:
        falls = tuple(FallInterval(start_s, stop_s, True) for _, start_s, stop_s in SCENES[name]().falls())
        return ClipRecord(Path(name), int(bool(falls)), name, None, falls)

    chain = pipeline(Settings())
    return [replay_clip(clip(name), poses_of(name), chain) for name in SCENE_NAMES]


@pytest.mark.parametrize("alert_threshold", [0.2, 0.5, 0.85])
def test_the_decisions_are_those_of_the_live_chain(observed: list[ReplayedClip], alert_threshold: float) -> None:
    settings_here = at_threshold(Settings(), alert_threshold)
    for name, clip in zip(SCENE_NAMES, observed, strict=True):
        chain = pipeline(settings_here)
        poses = poses_of(name)
        seen = [
            chain.follow(index, time_s, people, poses.image_hw)
            for (index, (time_s, people)), due in chain.sampling.chosen(
                enumerate(poses.frames()), lambda item: item[1][0]
            )
            if due
        ]
        seen.append(chain.finish(clip.duration_s))
        live = {(event.track_id, event.alert_s): event for each in seen for event in each.events}
        assert decide_clip(clip, fuse(clip, settings_here.fusion), settings_here.events) == list(live.values()), name


def test_the_sweep_gives_what_each_alert_score_gives_alone(
    observed: list[ReplayedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds = (0.1, 0.3, 0.5, 0.85)
    alone = [compute_metrics(evaluate_replayed(observed, at_threshold(Settings(), score))) for score in thresholds]

    def computed_again(*arguments: object) -> None:
        raise AssertionError("postures are read once, when the video is observed")

    monkeypatch.setattr(falldet.stages.posture, "_lying_degree", computed_again)
    assert sweep(observed, Settings(), thresholds) == list(zip(thresholds, alone, strict=True))
    assert len({figures.false_positives + figures.true_positives for figures in alone}) > 1, (
        "the scores must matter for this to say much"
    )
    for clip in observed:
        assert judge(clip, Settings(), thresholds)[0] == judge(clip, Settings())[0]
