"""Two real people in one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from falldet.data.manifest import ClipRecord, FallInterval, read_manifest
from falldet.extraction.pose_cache import pose_cache
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.runtime.runner import OutputOptions, run_source
from falldet.types import Event, EventState
from research.accuracy.two_people import Pair, as_page, paired, side_by_side, verdict_row, write_video


def clip(name: str, *falls: tuple[float, float]) -> ClipRecord:
    return ClipRecord(
        Path(f"{name}.mp4"), int(bool(falls)), "subject", "test", tuple(FallInterval(*f, True) for f in falls)
    )


def event(alert_s: float, x: float) -> Event:
    return Event("1", "video", 1, alert_s, alert_s, None, alert_s, 0.9, EventState.FALLEN, (x - 10, 0, x + 10, 50))


def test_paired_leaves_ceiling_views_out_and_alternates_the_side() -> None:
    clips = [
        clip("fall-1-cam0", (1, 2)),
        clip("fall-1-cam1", (1, 2)),
        clip("adl-1"),
        clip("fall-2", (1, 2)),
        clip("adl-2"),
    ]
    pairs = [(pair.fall.path.stem, pair.other.path.stem, pair.fall_on_right) for pair in paired(clips)]
    assert pairs == [("fall-1-cam0", "adl-1", False), ("fall-2", "adl-2", True)]


def test_side_by_side_plays_both_clips_to_their_end() -> None:
    def frames(step_s: float, count: int, level: int) -> list[tuple[float, np.ndarray]]:
        return [(index * step_s, np.full((1, 1, 3), level + index, np.uint8)) for index in range(count)]

    shown = [
        (round(t, 2), int(a[0, 0, 0]), int(b[0, 0, 0]))
        for t, a, b in side_by_side(iter(frames(0.1, 3, 0)), iter(frames(0.2, 4, 100)))
    ]
    assert shown == [(0.0, 0, 100), (0.1, 1, 100), (0.2, 2, 101), (0.4, 2, 102), (0.6, 2, 103)]


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        ([event(1.5, 300)], "correct"),
        ([], "no alert"),
        ([event(1.5, 100)], "no alert"),
        ([event(1.5, 300), event(1.6, 100)], "false alarm"),
        ([event(1.5, 300), event(9.0, 300)], "false alarm"),
    ],
)
def test_verdict_row_wants_one_alert_where_the_fall_is(events: Sequence[Event], verdict: str) -> None:
    pair = Pair(clip("fall", (1.0, 2.0)), clip("adl"), fall_on_right=True)
    row = verdict_row(pair, events, middle_x=200)
    assert row[-1] == verdict
    assert f"| fall | adl | {row[2]} | {row[3]} | {verdict} |" in as_page([row])


@pytest.mark.slow
def test_write_video_shows_two_real_people_and_only_the_fall_alerts(shared_data: Path, tmp_path: Path) -> None:
    clips = read_manifest(shared_data / "urfd" / "manifest.csv", shared_data)
    pair = paired([clip for clip in clips if clip.split == "test"])[0]
    config = Config()
    config = replace(config, movenet=replace(config.movenet, precision="f32"))
    video = tmp_path / "two.mp4"
    middle_x = write_video(pair, pose_cache(tmp_path / "poses", config), video)
    events = run_source(video, FallDetector(config), OutputOptions(tmp_path / "out", video=False)).events
    assert len(events) == 1
    assert verdict_row(pair, events, middle_x)[-2:] == ("0", "correct")
