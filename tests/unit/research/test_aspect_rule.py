"""The height and aspect-ratio rule on made-up boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from falldet.data.manifest import ClipRecord, FallInterval
from falldet.types import People
from research.peers.aspect_rule import (
    COOL_DOWN_S,
    AspectRule,
    Counts,
    alert_times,
    box_change,
    clip_alerts,
    count,
    search,
)

TIMES = np.arange(0, 10, 0.1)
RULE = AspectRule(min_aspect_ratio=1.0, min_height_loss=0.2, min_descent=0.2, span_s=2.0, min_duration_s=0.2)


def boxes(fall_s: float | None) -> np.ndarray:
    """A standing person 40 x 100 who from `fall_s` on lies, 100 x 40, with the feet where they were."""
    standing, lying = [80, 100, 120, 200], [50, 160, 150, 200]
    return np.array([standing if fall_s is None or time_s < fall_s else lying for time_s in TIMES], float)


def frames(fall_s: float | None) -> list[tuple[float, People]]:
    joints = np.ones((1, 17))
    return [
        (float(time_s), People(np.zeros((1, 17, 2)), joints, box[None], np.ones(1), np.array([1])))
        for time_s, box in zip(TIMES, boxes(fall_s), strict=True)
    ]


def test_box_change_compares_with_the_span_before() -> None:
    change = box_change(TIMES, boxes(4.95), span_s=2.0)
    assert change.aspect_ratio[[0, 60]] == pytest.approx([0.4, 2.5])
    assert change.height_loss[[0, 55, 99]] == pytest.approx([0, 0.6, 0])
    assert change.descent[[0, 55, 99]] == pytest.approx([0, 0.3, 0])


def test_alert_times_wait_for_the_duration_and_the_cool_down() -> None:
    change = box_change(TIMES, boxes(4.95), RULE.span_s)
    assert alert_times([change], RULE) == pytest.approx([5.2])
    later = box_change(TIMES, boxes(4.95 + COOL_DOWN_S / 2), RULE.span_s)
    assert alert_times([change, later], RULE) == pytest.approx([5.2])


def test_clip_alerts_finds_the_fall_and_nothing_in_standing() -> None:
    assert clip_alerts(frames(4.95), RULE) == pytest.approx([5.2])
    assert clip_alerts(frames(None), RULE) == []


def test_search_gives_the_rules_with_the_highest_f1_first() -> None:
    clips = [
        ClipRecord(Path("fall.mp4"), 1, "subject", "train", (FallInterval(4.9, 5.4, True),)),
        ClipRecord(Path("adl.mp4"), 0, "subject", "train", ()),
    ]
    found = search(clips, [frames(4.95), frames(None)])
    assert found[0][0] == Counts(true_positives=1, false_negatives=0, false_positives=0)
    assert [counts.f1 for counts, _ in found] == sorted((counts.f1 for counts, _ in found), reverse=True)
    assert count(clips, [[], [3.0]]) == Counts(0, 1, 1)
