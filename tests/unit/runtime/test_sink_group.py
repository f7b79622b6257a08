"""Several sinks as one: which failures are raised, which are told, and what is closed."""

from __future__ import annotations

import pytest

from falldet.io.video import VideoInfo
from falldet.pipeline.result import FrameResult
from falldet.runtime.sink_group import SinkGroup
from falldet.runtime.sinks import SourceInfo
from falldet.types import Event, EventState, People

SOURCE = SourceInfo("hall", VideoInfo(10.0, None, None))
EVENT = Event("hall-1", "hall", 1, 1.0, 1.5, None, 1.75, 0.9, EventState.FALLING, (0.0, 0.0, 9.0, 9.0))
RESULT = FrameResult(None, People.none(), [], [], [], [EVENT], {1: EVENT})


class CountingSink:
    """A sink that notes its calls, and fails at one of them if told so."""

    def __init__(self, fails_at: str = "", error: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self._fails_at, self._error = fails_at, error or OSError("disk full")

    def start(self, source: SourceInfo) -> None:
        self._call("start")

    def event(self, event: Event) -> None:
        self._call("event")

    def update(self, result: FrameResult) -> None:
        self._call("update")

    def close(self) -> None:
        self._call("close")

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self._fails_at:
            raise self._error


def run(*sinks: CountingSink) -> list[str]:
    with SinkGroup(sinks) as group:
        group.start(SOURCE)
        group.take(RESULT)
        group.take(RESULT)
    return group.failed


WHOLE = ["start", "event", "update", "event", "update", "close"]


def test_sink_group_gives_every_sink_the_events_first() -> None:
    sinks = [CountingSink(), CountingSink()]
    assert run(*sinks) == []
    assert [sink.calls for sink in sinks] == [WHOLE, WHOLE]


@pytest.mark.parametrize(
    ("call", "calls"),
    [
        ("start", ["start", "close"]),
        ("event", ["start", "event", "close"]),
        ("update", ["start", "event", "update", "close"]),
        ("close", [*WHOLE, "close"]),
    ],
)
def test_sink_group_leaves_out_a_failing_side_sink(
    call: str, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    record, failing, other = CountingSink(), CountingSink(call), CountingSink()
    assert run(record, failing, other) == ["CountingSink: disk full"]
    assert failing.calls == calls
    assert record.calls == other.calls == WHOLE
    assert "CountingSink failed and is left out: disk full" in caplog.text


@pytest.mark.parametrize(("call", "closed"), [("start", False), ("event", True), ("update", True), ("close", True)])
def test_sink_group_raises_the_failure_of_the_record(call: str, closed: bool) -> None:
    record, other = CountingSink(call), CountingSink()
    with pytest.raises(OSError, match="disk full"):
        run(record, other)
    assert record.calls[-1] == "close"
    assert other.calls[-1:] == (["close"] if closed else [])  # a sink that was not started is not closed


def test_sink_group_lets_ctrl_c_through_and_closes_all() -> None:
    record, interrupted, other = CountingSink(), CountingSink("update", KeyboardInterrupt()), CountingSink()
    with pytest.raises(KeyboardInterrupt):
        run(record, interrupted, other)
    assert {sink.calls[-1] for sink in (record, interrupted, other)} == {"close"}
