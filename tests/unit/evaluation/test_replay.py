"""Replay: the decisions are those of the pipeline, and many thresholds are decided from one replay."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import falldet.stages.posture
from falldet.data.manifest import ClipRecord, FallInterval
from falldet.evaluation.metrics import compute_metrics
from falldet.evaluation.replay import (
    ReplayedClip,
    at_threshold,
    decide_clip,
    evaluate_clip,
    evaluate_replayed,
    evidence_of,
    replay_clip,
    sweep,
)
from falldet.extraction.pose_cache import PoseSequence
from falldet.geometry import keypoint_boxes
from falldet.pipeline.analyzer import FallAnalyzer
from falldet.pipeline.config import Config
from falldet.stages.frame_sampling import FrameSampler
from falldet.synthetic import SCENES
from falldet.types import Event, Window, WindowScore


@functools.cache
def poses_of(name: str) -> PoseSequence:
    """The true poses of a synthetic scene, ten a second, without rendering it."""
    scene = replace(SCENES[name](), fps=10.0)
    keypoints, scores = scene.keypoints()
    visible = scores.any(axis=2)  # (T, N)
    counts, image_hw = visible.sum(axis=1), (scene.camera.height, scene.camera.width)
    boxes = keypoint_boxes(keypoints[visible], scores[visible])
    return PoseSequence(
        scene.frame_times(), counts, keypoints[visible], scores[visible], boxes, np.ones(len(boxes)), image_hw
    )


class HeadDrop:
    """A recognizer without a model: how far the head drops within the window, of twice the body's height."""

    normalization = "person"
    frames = 48
    window_s = None

    def __call__(self, windows: list[Window]) -> list[WindowScore]:
        scores = []
        for window in windows:
            heights = np.ptp(window.keypoints[..., 1], axis=1)
            drop = np.ptp(window.keypoints[:, 0, 1]) / max(2 * float(heights.max()), 1)
            scores.append(WindowScore(window.track_id, window.start_s, window.stop_s, min(float(drop) * 2, 1.0)))
        return scores


SCENE_NAMES = ("fall_and_recover", "fall_in_company", "lie_down", "squat")


@pytest.fixture(scope="module")
def replayed() -> list[ReplayedClip]:
    def clip(name: str) -> ClipRecord:
        falls = tuple(FallInterval(start_s, stop_s, True) for _, start_s, stop_s in SCENES[name]().falls())
        return ClipRecord(Path(name), int(bool(falls)), name, None, falls)

    return [replay_clip(clip(name), poses_of(name), Config(), HeadDrop()) for name in SCENE_NAMES]


def analyze(name: str, config: Config) -> list[Event]:
    """The events of a scene from the pipeline's own analyzer, as they were told last."""
    analyzer, sampler = FallAnalyzer(config, HeadDrop()), FrameSampler(config.sampling)
    poses, events, last_s = poses_of(name), {}, 0.0
    for (index, (time_s, people)), process in sampler.sample(enumerate(poses.frames()), lambda item: item[1][0]):
        if not process:
            continue
        result = analyzer.step(index, time_s, people, poses.image_hw)
        sampler.update(time_s, analyzer.scorer.tracker.speed(time_s), result.window_scores)
        events |= {event.id: event for event in result.events}
        last_s = time_s
    events |= {event.id: event for event in analyzer.flush(last_s).events}
    return list(events.values())


@pytest.mark.parametrize("alert_threshold", [0.2, 0.5, 0.85])
def test_decide_clip_gives_the_events_of_the_pipeline(replayed: list[ReplayedClip], alert_threshold: float) -> None:
    config = at_threshold(Config(), alert_threshold)
    found = [decide_clip(clip, evidence_of(clip, config), config.events) for clip in replayed]
    assert found == [analyze(name, config) for name in SCENE_NAMES]
    assert any(found)


def test_sweep_gives_the_metrics_of_each_threshold_alone(
    replayed: list[ReplayedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds = (0.1, 0.3, 0.5, 0.85)
    alone = [compute_metrics(evaluate_replayed(replayed, at_threshold(Config(), value))) for value in thresholds]

    def computed_again(*arguments: object) -> None:
        raise AssertionError("postures are computed once, by the replay")

    monkeypatch.setattr(falldet.stages.posture, "_lying_degree", computed_again)
    assert sweep(replayed, Config(), thresholds) == list(zip(thresholds, alone, strict=True))
    assert len({metrics.false_positives + metrics.true_positives for metrics in alone}) > 1, "thresholds must matter"
    for clip in replayed:
        assert evaluate_clip(clip, Config(), thresholds)[0] == evaluate_clip(clip, Config())[0]


def test_evaluate_clip_counts_no_alert_where_the_fall_has_no_time(replayed: list[ReplayedClip]) -> None:
    clip = replace(replayed[0], clip=replace(replayed[0].clip, fall_intervals=()))
    config = at_threshold(Config(), 0.3)
    (result,) = evaluate_clip(clip, config)
    assert result.events
    assert not result.timed
    metrics = compute_metrics([result])
    assert (metrics.falls, metrics.true_positives, metrics.false_positives) == (0, 0, 0)
    assert metrics.precision is metrics.false_alarms_per_hour is None
