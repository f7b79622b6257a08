"""The scenes that tracking is measured on, and two real people in one picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from falldet.data.manifest import read_manifest
from falldet.pipeline.detector import Pipeline, Settings, pose_cache
from falldet.runtime.runner import OutputOptions, run_source
from falldet.types import People
from research.accuracy.two_people import judged, paired, together, write_video
from research.tracking.scenes import CLUTTER, KINDS, Actor, Source, compose


def source(name: str, people: People, fall: tuple[float, float] | None = None) -> Source:
    """Somebody who stands and, in a fall, sinks by their own height."""
    times = np.arange(0, 4, 0.05)
    points = np.concatenate([people.keypoints[0], people.boxes[0].reshape(2, 2)]) / 120
    down = np.clip((times - 2) / 1, 0, 1) if fall else np.zeros(len(times))
    moved = points[None] + np.stack([np.zeros(len(times)), down], axis=1)[:, None]
    return Source(name, times, moved, np.tile(people.scores, (len(times), 1)), np.full(len(times), 0.8), fall)


@pytest.fixture
def sources(people_factory: Callable[..., People]) -> list[Source]:
    people = people_factory((0, 0))
    return [source(f"fall {i}", people, (2.0, 3.0)) for i in range(3)] + [source(f"day {i}", people) for i in range(6)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_follows_from_its_seed_and_knows_who_is_who(sources: list[Source], kind: str) -> None:
    scene, again, other = (compose(sources, kind, seed) for seed in (3, 3, 4))
    assert [frame.time_s for frame in scene.frames] == [frame.time_s for frame in again.frames]
    assert [frame.time_s for frame in scene.frames] != [frame.time_s for frame in other.frames]
    for frame, same in zip(scene.frames, again.frames, strict=True):
        np.testing.assert_array_equal(frame.seen.keypoints, same.seen.keypoints)
        assert len(frame.seen_ids) == len(frame.seen)
        assert len(set(frame.ids.tolist())) == len(frame.ids) == len(frame.boxes)
        assert set(frame.seen_ids.tolist()) <= {CLUTTER, *frame.ids.tolist()}
        for row, person in enumerate(frame.seen_ids):
            if person != CLUTTER:
                center = frame.boxes[frame.ids == person][0].reshape(2, 2).mean(axis=0)
                assert np.abs(frame.seen.boxes[row].reshape(2, 2).mean(axis=0) - center).max() < 40
    assert bool(scene.falls) == kind.startswith("falls")
    assert np.diff([frame.time_s for frame in scene.frames]).min() > 0


def test_a_fall_is_played_once_forwards_at_its_time_and_speed(sources: list[Source]) -> None:
    actor = Actor(sources[0], 100, 0.5, np.zeros(2), (), 0.0, fall_s=5.0, stay=(0.0, 10.0))
    played = {time_s: actor.source_time(time_s) for time_s in np.arange(0, 10, 0.1)}
    for time_s, source_s in played.items():
        if time_s < 5:
            assert 0 <= source_s <= 2
        elif time_s <= 6:
            assert source_s == pytest.approx(2 + time_s - 5)
        else:
            assert 3 <= source_s <= sources[0].time_s[-1]
    assert np.abs(np.diff(list(played.values()))).max() < 0.1 + 1e-6


def test_both_clips_run_to_their_end_side_by_side() -> None:
    def clip(step_s: float, frames: int, level: int) -> list[tuple[float, np.ndarray]]:
        return [(number * step_s, np.full((1, 1, 3), level + number, np.uint8)) for number in range(frames)]

    shown = [
        (round(t, 2), int(a[0, 0, 0]), int(b[0, 0, 0]))
        for t, a, b in together(iter(clip(0.1, 3, 0)), iter(clip(0.2, 4, 100)))
    ]
    assert shown == [(0.0, 0, 100), (0.1, 1, 100), (0.2, 2, 101), (0.4, 2, 102), (0.6, 2, 103)]


@pytest.mark.slow
def test_of_two_real_people_in_one_picture_exactly_the_one_who_falls_alarms(shared_data: Path, tmp_path: Path) -> None:
    clips = read_manifest(shared_data / "urfd" / "manifest.csv", shared_data)
    pair = paired([clip for clip in clips if clip.split == "test"])[0]
    video = tmp_path / "two.mp4"
    middle = write_video(pair, pose_cache(tmp_path / "poses", Settings()), video)
    events = run_source(video, Pipeline(Settings()), Settings(), OutputOptions(tmp_path / "out", video=False)).events
    assert len(events) == 1
    assert judged(pair, events, middle).endswith("| 0 | right |")
