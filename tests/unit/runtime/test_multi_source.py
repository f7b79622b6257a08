"""Several sources at once: each gives what it gives alone, and a failing one doesn't stop the others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.io.video import read_frames
from falldet.pipeline.detector import FallDetector
from falldet.runtime.multi_source import map_in_threads, run_sources, shared_detectors, unique_names
from falldet.runtime.runner import OutputOptions, RunResult, run_source

WriteVideo = Callable[..., Path]


def test_run_sources_gives_each_source_what_it_gives_alone(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path
) -> None:
    videos = [write_video(tmp_path / f"{name}.mp4", step=step) for name, step in (("a", 1), ("b", 2), ("c", 3))]
    detectors = shared_detectors(detector, [video.stem for video in videos])
    alone = [
        run_source(video, own, OutputOptions(tmp_path / "alone" / video.stem, video=False))
        for video, own in zip(videos, detectors, strict=True)
    ]
    together = run_sources(videos, detector, OutputOptions(tmp_path / "together"))
    assert len(detector.pose_source.threads) == 4  # type: ignore[attr-defined]  # this thread, and one a source
    for video, one, other in zip(videos, alone, together, strict=True):
        assert isinstance(other, RunResult)
        assert replace(other, folder=one.folder) == one
        assert other.frames == 40
        assert [event.source for event in other.events] == [video.stem]
        for name in ("scores.csv", "events.jsonl"):
            one_file, other_file = (tmp_path / kind / video.stem / name for kind in ("alone", "together"))
            assert one_file.read_bytes() == other_file.read_bytes()
        assert len((tmp_path / "alone" / video.stem / "scores.csv").read_text().splitlines()) > 30
        assert len(list(read_frames(tmp_path / "together" / video.stem / video.name))) == 40


def test_run_sources_tells_two_sources_of_one_name_apart(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    videos = [write_video(tmp_path / "a.mp4"), write_video(tmp_path / "other" / "a.mp4", frames=45)]
    results = run_sources(videos, detector, OutputOptions(tmp_path / "out"))
    assert [result.folder for result in results] == [tmp_path / "out" / "a", tmp_path / "out" / "a-2"]  # type: ignore[union-attr]
    assert [event.source for result in results for event in result.events] == ["a", "a-2"]  # type: ignore[union-attr]
    assert len(list(read_frames(tmp_path / "out" / "a-2" / "a.mp4"))) == 45
    alerts = [line for line in capsys.readouterr().out.splitlines() if "FALL" in line]
    assert sorted(line.split(" at ")[0] for line in alerts) == ["  FALL in a", "  FALL in a-2"]


def test_unique_names_number_what_comes_again() -> None:
    assert unique_names(["a", "a-2", "a", "b", "a"]) == ["a", "a-2", "a-3", "b", "a-4"]


def test_run_sources_survives_a_defect_in_one_source(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    videos = [write_video(tmp_path / f"{name}.mp4", step=step) for name, step in (("a", 1), ("b", 2))]
    submit = detector.pose_source.submit

    def fail_once(image: np.ndarray) -> object:
        if not caplog.records and threading.current_thread().name == "source_0":
            raise ZeroDivisionError("a defect")
        return submit(image)

    detector.pose_source.submit = fail_once  # type: ignore[method-assign, assignment]
    failed, result = run_sources(videos, detector, OutputOptions(tmp_path / "out", video=False))
    assert "ZeroDivisionError: a defect; this is a defect of falldet" in str(failed)
    assert isinstance(result, RunResult)
    assert (result.frames, len(result.events)) == (40, 1)
    assert "Traceback" in caplog.text


def test_run_sources_goes_on_where_one_source_fails(
    detector: FallDetector, write_video: WriteVideo, tmp_path: Path
) -> None:
    whole = write_video(tmp_path / "whole.mp4", frames=300)
    (tmp_path / "text.mp4").write_text("no video")
    sources = [tmp_path / "none.mp4", whole, tmp_path / "text.mp4"]
    none, result, text = run_sources(sources, detector, OutputOptions(tmp_path / "out", video=False))
    assert "no such video" in str(none)
    assert isinstance(none, FalldetError)
    assert "can't read" in str(text)
    assert isinstance(result, RunResult)
    assert (result.frames, len(result.events)) == (300, 1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole"]
    written = {path.name for path in (tmp_path / "out" / "whole").iterdir()}
    assert written == {"scores.csv", "events.jsonl", "timeline.png"}


def test_shared_detectors_share_models_and_no_state(detector: FallDetector) -> None:
    detectors = shared_detectors(detector, ["a", "b", "c"])
    assert {id(each.pose_source) for each in detectors} == {id(detector.pose_source)}
    assert {id(each.analyzer.recognizer) for each in detectors} == {id(detector.analyzer.recognizer)}
    analyzers = [each.analyzer for each in detectors]
    states = [
        *([each.sampler for each in detectors], [each.scorer.tracker for each in analyzers]),
        *([each.scorer.buffer for each in analyzers], [each.decision.decoder for each in analyzers]),
        *([each.decision.evidence for each in analyzers], [each.decision.final_fuser for each in analyzers]),
    ]
    assert [len({id(state) for state in of_one_kind}) for of_one_kind in states] == [3] * 6


def test_shared_detectors_build_a_pose_source_each_where_it_has_state(
    detector: FallDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []

    def build(*_: object) -> object:
        built.append(object())
        return built[-1]

    monkeypatch.setattr("falldet.pipeline.detector.build_pose_source", build)
    monkeypatch.setattr(detector.pose_source, "max_in_flight", 1)
    assert [each.pose_source for each in shared_detectors(detector, ["a", "b"])] == built
    assert len(built) == 2


def test_map_in_threads_raises_an_error_in_its_turn() -> None:
    def work(number: int) -> int:
        if number == 1:
            raise ZeroDivisionError
        return number

    results = map_in_threads(work, range(3))
    assert next(results) == 0
    with pytest.raises(ZeroDivisionError):
        next(results)
