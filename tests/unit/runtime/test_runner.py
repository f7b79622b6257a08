"""One source through a detector into sinks: outputs, failures, Ctrl-C, and nothing left behind."""

from __future__ import annotations

import errno
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from falldet.errors import FalldetError
from falldet.io.video import VideoReader, read_frames
from falldet.pipeline.detector import FallDetector
from falldet.pipeline.result import FrameResult
from falldet.runtime.runner import OutputOptions, output_sinks, process, run_source
from falldet.runtime.signals import Interrupted
from falldet.runtime.sinks import EventCollector, EventLog, SourceInfo
from falldet.types import Event, Frame

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
    start, stop = content.index(b"mdat") + 4, content.rindex(b"moov") - 4
    source.write_bytes(content[:start] + bytes(stop - start) + content[stop:])
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


@pytest.mark.parametrize(
    ("number", "kind"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Interrupted), (signal.SIGHUP, Interrupted)],
)
def test_run_source_completes_its_outputs_when_asked_to_end(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path, number: signal.Signals, kind: type
) -> None:
    video = write_video(tmp_path / "video.mp4", frames=400)
    submit, count = detector.pose_source.submit, [0]

    def submit_and_interrupt(image: object) -> object:
        count[0] += 1
        if count[0] == 20:
            signal.raise_signal(number)
        return submit(image)  # type: ignore[arg-type]

    detector.pose_source.submit = submit_and_interrupt  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt) as caught:
        run_source(video, detector, OutputOptions(tmp_path / "out"))
    assert caught.type is kind
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "events.jsonl",
        "scores.csv",
        "timeline.png",
        "video.mp4",
    }
    assert 10 < len(list(read_frames(tmp_path / "out" / "video.mp4"))) < 300


def test_run_source_leaves_the_results_of_an_earlier_run_alone(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video = write_video(tmp_path / "video.mp4")
    folders = [run_source(video, detector, OutputOptions(tmp_path / "out")).folder for _ in range(3)]
    assert folders == [tmp_path / "out", tmp_path / "out-2", tmp_path / "out-3"]
    assert len({(folder / "events.jsonl").read_text() for folder in folders if folder}) == 1
    assert (tmp_path / "out" / "events.jsonl").read_text()
    assert f"{tmp_path / 'out'} holds the results of another run; these go to {tmp_path / 'out-2'}" in caplog.text


def test_run_source_keeps_the_events_where_the_video_can_not_be_written(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    video = write_video(tmp_path / "video.mp4")
    monkeypatch.setattr("falldet.io.video_writer._WholeWrites.write", fail)
    result = run_source(video, detector, OutputOptions(tmp_path / "out"))
    assert len(result.events) == 1
    (failed,) = result.failed
    assert "AnnotatedVideo: can't write" in failed
    assert "No space left on device; make room" in failed
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"events.jsonl", "scores.csv", "timeline.png"}
    assert (tmp_path / "out" / "events.jsonl").read_text()


def test_process_gives_up_a_live_source_whose_driver_hangs(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, released = VideoReader.frames, threading.Event()

    def hang(reader: VideoReader) -> Iterator[Frame]:
        reader.is_live = True
        for frame in frames(reader):
            yield frame
            if frame.index == 30:
                released.wait(20)

    monkeypatch.setattr("falldet.runtime.runner.STALL_S", 0.5)
    monkeypatch.setattr(VideoReader, "frames", hang)
    begun_s = time.monotonic()
    result = process(write_video(tmp_path / "video.mp4"), detector, [EventCollector()], threading.Event())
    released.set()
    assert time.monotonic() - begun_s < 5
    assert (result.frames, result.broken_off) == (31, "no frame for 0.5 s")
    assert len(result.events) == 1


def test_output_sinks_refuse_to_replace_the_source(detector: FallDetector, tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match="would replace"):
        output_sinks(tmp_path / "video.mp4", detector.config, OutputOptions(tmp_path))
    assert len(output_sinks(tmp_path / "video.mp4", detector.config, OutputOptions(tmp_path, video=False))) == 4
