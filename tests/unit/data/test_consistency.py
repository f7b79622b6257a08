"""Contradictions and leaks in a list of clips."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from falldet.data.consistency import consistent_clips, warn_of_shared_subjects
from falldet.data.manifest import ClipRecord, FallInterval
from falldet.errors import FalldetError

CLIP = ClipRecord(Path("a.mp4"), 1, "anna", "train", place="m.csv:2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 0}, "a.mp4 has label not_fall, but fall in m.csv:2"),
        ({"split": "test"}, "a.mp4 has split 'test', but 'train' in m.csv:2"),
        ({"fall_intervals": (FallInterval(1, 2, True),)}, "fall_intervals"),
    ],
)
def test_consistent_clips_refuses_a_video_with_two_labels(change: dict[str, Any], message: str) -> None:
    other = replace(CLIP, path=Path("x/../a.mp4").absolute(), place="n.csv:7", **change)
    with pytest.raises(FalldetError, match=r"n\.csv:7: .*") as caught:
        consistent_clips([CLIP, other])
    assert message in str(caught.value)


def test_consistent_clips_uses_a_repeated_video_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert consistent_clips([CLIP, replace(CLIP, place="n.csv:7")]) == [CLIP]
    assert "1 videos are listed twice and used once, such as n.csv:7" in caplog.text


def test_warn_of_shared_subjects_names_them(caplog: pytest.LogCaptureFixture) -> None:
    clips = [CLIP, replace(CLIP, path=Path("b.mp4")), replace(CLIP, path=Path("c.mp4"), subject="c")]
    with caplog.at_level(logging.WARNING):
        warn_of_shared_subjects(clips, ["train", "train", "test"])
        assert not caplog.records
        warn_of_shared_subjects(clips, ["train", "test", "train"])
    assert "1 subjects are in train and in test ('anna')" in caplog.text
