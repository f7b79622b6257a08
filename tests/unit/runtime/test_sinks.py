"""The sinks of events and scores: what is on disk, and when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.io.video import VideoInfo
from falldet.pipeline.result import FrameResult
from falldet.runtime.sinks import EventCollector, EventLog, Progress, ScoreCsv, SourceInfo, event_record
from falldet.types import Event, EventState, Frame, People, PersonScore

SOURCE = SourceInfo("hall", VideoInfo(10.0, 100, 10.0))
EVENT = Event("hall-1", "hall", 1, 1.0, 1.5, None, 1.75, 0.98765, EventState.FALLING, (1.2, 2.6, 30.0, 40.0))


def step(
    index: int, *, events: tuple[Event, ...] = (), active: tuple[Event, ...] = (), scores: tuple[PersonScore, ...] = ()
) -> FrameResult:
    frame = Frame(index, index / 10, np.zeros((8, 8, 3), np.uint8))
    in_progress = {event.track_id: event for event in active}
    return FrameResult(frame, People.none(), [], list(scores), list(scores), list(events), in_progress)


def take(log: EventLog, result: FrameResult) -> None:
    for event in result.events:
        log.event(event)
    log.update(result)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    log = EventLog(tmp_path / "out" / "events.jsonl")
    log.start(SOURCE)
    return log


def test_event_log_has_a_line_on_disk_as_soon_as_an_event_changes(log: EventLog) -> None:
    assert lines(log.path) == []
    log.event(EVENT)
    assert lines(log.path) == [event_record(EVENT)]  # before the update of the same step
    log.update(step(15, active=(EVENT,)))
    fallen = replace(EVENT, state=EventState.FALLEN)
    take(log, step(16, events=(fallen,), active=(fallen,)))
    assert lines(log.path) == [event_record(EVENT), event_record(fallen)]
    recovered = replace(fallen, state=EventState.RECOVERED, end_s=4.0, lying_s=2.0)
    take(log, step(40, events=(recovered,)))
    log.close()
    assert lines(log.path) == [event_record(each) for each in (EVENT, fallen, recovered)]


def test_event_log_writes_no_line_while_only_the_lying_time_grows(log: EventLog) -> None:
    take(log, step(15, events=(EVENT,), active=(EVENT,)))
    for index in range(16, 30):
        take(log, step(index, active=(replace(EVENT, lying_s=index / 10),)))
    assert len(lines(log.path)) == 1


def test_event_log_closes_with_the_last_lying_time(log: EventLog) -> None:
    other = replace(EVENT, id="hall-2", track_id=2)
    take(log, step(15, events=(EVENT, other), active=(EVENT, other)))
    lying = replace(EVENT, lying_s=7.25)
    take(log, step(88, active=(lying, other)))
    log.close()
    last = {line["id"]: line for line in lines(log.path)}
    assert len(lines(log.path)) == 3  # the other one has not changed
    assert (last["hall-1"]["lying_s"], last["hall-2"]["lying_s"]) == (7.25, 0.0)


def test_event_log_closes_with_the_state_told_last(log: EventLog) -> None:
    """The last step may change an event in progress: no older state is written after it."""
    take(log, step(15, events=(EVENT,), active=(EVENT,)))
    log.event(replace(EVENT, state=EventState.LOST, end_s=3.0))
    log.close()
    assert [line["state"] for line in lines(log.path)] == ["falling", "lost"]


def test_event_log_is_bounded_over_many_events(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falldet.runtime.sinks.os.fsync", lambda _: None)  # 20,000 of them take minutes
    for index in range(10_000):
        event = replace(EVENT, id=f"hall-{index}")
        take(log, step(2 * index, events=(event,), active=(event,)))
        take(log, step(2 * index + 1, events=(replace(event, state=EventState.RECOVERED),)))
        assert len(log._written) <= 1
        assert len(log._active) <= 1
    log.close()
    assert len(lines(log.path)) == 20_000


def test_event_log_replaces_an_older_file(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("old")
    log = EventLog(tmp_path / "events.jsonl")
    log.start(SOURCE)
    log.close()
    assert lines(tmp_path / "events.jsonl") == []


def test_event_log_names_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log = EventLog(tmp_path / "file" / "events.jsonl")
    with pytest.raises(FalldetError, match=r"can't write .*events\.jsonl.*--out-dir"):
        log.start(SOURCE)
    log.close()


def test_event_log_keeps_events_on_a_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    log = EventLog(Path("/dev/full"))
    log.start(SOURCE)
    log.event(EVENT)
    assert "can't write /dev/full: No space left on device; make room. Not on disk: {" in caplog.text
    for _ in range(2):
        with pytest.raises(FalldetError, match="No space left on device; 1 lines stand in the log"):
            log.close()


def test_event_log_writes_what_it_kept_once_there_is_room(tmp_path: Path) -> None:
    """A disk that fills up in the middle of a line, and is cleared before the end."""
    code = """
import dataclasses, resource, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], f"{sys.argv[2]}/tests/unit/runtime"]
from test_sinks import EVENT, SOURCE, EventLog
log = EventLog(Path(sys.argv[1]))
log.start(SOURCE)
log.event(EVENT)
size = Path(sys.argv[1]).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
log.event(dataclasses.replace(EVENT, id="hall-2"))
assert Path(sys.argv[1]).stat().st_size == size
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.event(dataclasses.replace(EVENT, id="hall-3"))
log.close()
"""
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", code, str(tmp_path / "events.jsonl"), str(root)]
    subprocess.run(command, check=True, cwd=root, env={**os.environ, "PYTHONPATH": f"{root}:{root}/tests"})
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["hall-1", "hall-2", "hall-3"]


def test_event_record_rounds_and_spells_out() -> None:
    wall_time = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    record = event_record(replace(EVENT, start_s=1.00049, lying_s=0.12345, wall_time=wall_time))
    assert record == {
        "id": "hall-1",
        "source": "hall",
        "track_id": 1,
        "start_s": 1.0,
        "alert_s": 1.5,
        "end_s": None,
        "peak_s": 1.75,
        "score": 0.9877,
        "state": "falling",
        "box": [1, 3, 30, 40],
        "lying_s": 0.123,
        "long_lie": False,
        "wall_time": "2026-01-02T03:04:05.678+00:00",
        "falls": 1,
        "handed_over": False,
    }
    assert json.loads(json.dumps(record)) == record


def test_score_csv_appears_when_it_is_complete(tmp_path: Path) -> None:
    sink = ScoreCsv(tmp_path / "scores.csv")
    sink.start(SOURCE)
    sink.update(step(1, scores=(PersonScore(3, 0, 0.0, 0.25), PersonScore(4, 1, 0.1, 0.123456))))
    assert not (tmp_path / "scores.csv").exists()
    sink.update(step(2))
    sink.close()
    text = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert text == ["frame,time_s,track_id,score", "0,0.000,3,0.2500", "1,0.100,4,0.1235"]
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_progress_shows_an_alert_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Progress()
    sink.start(SOURCE)
    shown: list[str] = []
    monkeypatch.setattr(sink._bar, "write", shown.append)
    for index, state in enumerate((EventState.FALLING, EventState.FALLEN, EventState.RECOVERED)):
        event = replace(EVENT, state=state)
        sink.event(event)
        sink.update(step(index, events=(event,), active=() if state is EventState.RECOVERED else (event,)))
    sink.event(replace(EVENT, id="hall-2", alert_s=75.25))
    sink.update(step(3))
    assert sink._active == set()
    sink.close()
    assert shown == [
        "  FALL in hall at 0:01.5, person #1, score 0.99",
        "  FALL in hall at 1:15.2, person #1, score 0.99",
    ]


def test_event_collector_keeps_the_last_state_of_every_event() -> None:
    collector = EventCollector()
    collector.start(SOURCE)
    early = replace(EVENT, id="hall-2", alert_s=0.5, state=EventState.RECOVERED)
    for event in (EVENT, early):
        collector.event(event)
    lying = replace(EVENT, lying_s=3.0)
    collector.update(step(50, active=(lying,)))
    collector.close()
    assert collector.events == [early, lying]
