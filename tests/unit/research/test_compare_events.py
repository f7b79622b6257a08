"""falldet and its peers in one table."""

from __future__ import annotations

from pathlib import Path

from falldet.data.manifest import ClipRecord, FallInterval
from falldet.pipeline.config import Config
from research.peers.compare_events import alerts_result, reference_config
from research.peers.event_table import Row, as_markdown

FALL = ClipRecord(Path("urfd/fall.mp4"), 1, "a", "test", (FallInterval(2.0, 3.0, True),))
WALK = ClipRecord(Path("survnofight/walk.mp4"), 0, "b", "test", ())


def test_alerts_result_matches_alert_times_with_falls() -> None:
    result = alerts_result(FALL, 10.0, [9.0, 2.5])
    assert [event.alert_s for event in result.events] == [2.5, 9.0]
    assert (result.match.pairs, result.match.false_positives) == ([(0, 0)], [1])


def test_as_markdown_counts_false_alarms_of_surveillance_alone() -> None:
    results = [alerts_result(FALL, 10.0, [2.5, 9.0]), alerts_result(WALK, 50.0, [20.0])]
    lines = as_markdown([Row("peer", results, None), Row("timed", results, 0.25)], "test").splitlines()
    assert lines[0].startswith("Split test: 2 clips, 1 falls, 1.0 minutes.")
    cells = [cell.strip() for cell in lines[4].strip("|").split("|")]
    assert cells[0] == "peer"
    assert cells[1].endswith("1 of 1")
    assert cells[2].endswith("2 false alarms")
    assert cells[4:] == ["1 on 1 clips", "0.5 s", "0.5 s", "not measured"]
    assert lines[5].endswith("| 0.25 |")


def test_reference_config_alerts_at_half_by_single_windows() -> None:
    config = reference_config(Config(), "reference.onnx")
    assert config.recognizer.checkpoint == "reference.onnx"
    assert config.sampling.active_fps == 0
    assert config.windows.length_s == 48 / 30
    assert (config.events.threshold, config.fusion.evidence_windows) == (0.5, 1)
    assert config.tracker == Config().tracker
