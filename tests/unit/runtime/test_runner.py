"""One source through a detector into sinks: outputs, failures, Ctrl-C, and nothing left behind."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from falldet.errors import FalldetError
from falldet.io.video import read_frames
from falldet.pipeline.detector import FallDetector
from falldet.pipeline.result import FrameResult
from falldet.runtime.runner import OutputOptions, output_sinks, process, run_source
from falldet.runtime.sinks import EventCollector, EventLog, SourceInfo
from falldet.types import Event

WriteVideo = Callable[..., Path]


class Recorder:
    """A sink that notes its calls, and fails at one of them if told so."""

    def __init__(self, fails_at: str = "") -> None:
        self.calls: list[str] = []
        self.results: list[FrameResult] = []
        self._fails_at = fails_at

    def start(self, source: SourceInfo) -> None:
        self._note("start")

    def event(self, event: Event) -> None:
        self._note("event")

    def update(self, result: FrameResult) -> None:
        self.results.append(result)
        self._note("update")

    def close(self) -> None:
        self._note("close")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call == self._fails_at:
            raise OSError(f"{call} fails")


def test_run_source_writes_all_outputs(detector: FallDetector, write_video: WriteVideo, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mp4")
    result = run_source(video, detector, OutputOptions(tmp_path / "out"))
    assert (result.frames, result.failed) == (40, [])
    assert result.duration_s == pytest.approx(3.9, abs=1e-3)
    (event,) = result.events
    lines = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert {line["id"] for line in lines} == {event.id}
    assert lines[-1]["lying_s"] == pytest.approx(event.lying_s, abs=1e-3)
    assert len((tmp_path / "out" / "scores.csv").read_text().splitlines()) > 30
    assert cv2.imread(str(tmp_path / "out" / "timeline.png")) is not None
    assert len(list(read_frames(tmp_path / "out" / "video.mp4"))) == 40


def test_process_gives_every_sink_every_step(detector: FallDetector, write_video: WriteVideo, tmp_path: Path) -> None:
    recorder = Recorder()
    result = process(write_video(tmp_path / "video.mp4"), detector, [recorder], threading.Event())
    assert recorder.calls[0] == "start"
    assert recorder.calls[-1] == "close"
    assert recorder.calls.count("update") == 41  # one a frame, and the last one without
    assert recorder.calls.count("event") == sum(len(each.events) for each in recorder.results) >= 1
    assert [each.frame is None for each in recorder.results] == [False] * 40 + [True]
    assert result.frames == 40


def test_process_leaves_out_a_failing_side_sink(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path
) -> None:
    record, failing, other = EventLog(tmp_path / "events.jsonl"), Recorder("event"), Recorder()
    result = process(write_video(tmp_path / "video.mp4"), detector, [record, failing, other], threading.Event())
    assert result.failed == ["Recorder: event fails"]
    assert failing.calls[-2:] == ["event", "close"]
    assert other.calls.count("update") == 41
    assert len(result.events) == 1
    assert (tmp_path / "events.jsonl").read_text()


@pytest.mark.parametrize("call", ["start", "event", "update", "close"])
def test_process_raises_the_failure_of_the_record_and_closes_the_others(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path, call: str
) -> None:
    record, other = Recorder(call), Recorder()
    with pytest.raises(OSError, match=f"{call} fails"):
        process(write_video(tmp_path / "video.mp4"), detector, [record, other], threading.Event())
    assert record.calls[-1] == "close"
    assert other.calls[-1:] == ([] if call == "start" else ["close"])


@pytest.mark.parametrize("content", [None, b"", b"no video"])
def test_process_leaves_nothing_behind_without_a_readable_source(
    detector: FallDetector, tmp_path: Path, content: bytes | None
) -> None:
    source = tmp_path / "video.mp4"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(FalldetError):
        run_source(source, detector, OutputOptions(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_process_leaves_nothing_behind_without_frames(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path
) -> None:
    """A file whose header is intact and whose frames are not."""
    source = write_video(tmp_path / "video.mp4")
    content = source.read_bytes()
    start = content.index(b"mdat") + 4
    source.write_bytes(content[:start] + bytes(len(content) - start))
    recorder = Recorder()
    sinks = [recorder, *output_sinks(source, detector.config, OutputOptions(tmp_path / "out"))]
    with pytest.raises(FalldetError, match="no frame could be read"):
        process(source, detector, sinks, threading.Event())
    assert recorder.calls == []
    assert not (tmp_path / "out").exists()


def test_process_ends_when_it_is_told_to_stop(detector: FallDetector, write_video: WriteVideo, tmp_path: Path) -> None:
    stop, collector = threading.Event(), EventCollector()

    class StopAtTen(Recorder):
        def update(self, result: FrameResult) -> None:
            super().update(result)
            if result.frame is not None and result.frame.index == 10:
                stop.set()

    recorder = StopAtTen()
    result = process(write_video(tmp_path / "video.mp4"), detector, [recorder, collector], stop)
    assert 11 <= result.frames < 30
    assert recorder.results[-1].frame is None
    assert recorder.calls[-1] == "close"


def test_run_source_completes_its_outputs_at_ctrl_c(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "video.mp4", frames=400)
    submit, count = detector.pose_source.submit, [0]

    def submit_and_interrupt(image: object) -> object:
        count[0] += 1
        if count[0] == 20:
            signal.raise_signal(signal.SIGINT)
        return submit(image)  # type: ignore[arg-type]

    detector.pose_source.submit = submit_and_interrupt  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        run_source(video, detector, OutputOptions(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "events.jsonl",
        "scores.csv",
        "timeline.png",
        "video.mp4",
    }
    assert 10 < len(list(read_frames(tmp_path / "out" / "video.mp4"))) < 300


def test_output_sinks_refuse_to_replace_the_source(detector: FallDetector, tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match="would replace"):
        output_sinks(tmp_path / "video.mp4", detector.config, OutputOptions(tmp_path))
    assert len(output_sinks(tmp_path / "video.mp4", detector.config, OutputOptions(tmp_path, video=False))) == 4
