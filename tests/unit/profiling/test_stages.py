"""Times of the stages: those of the work they measure."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import astuple
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.pose.source import completed
from falldet.pose.topdown import TopDown, TopDownSettings
from falldet.profiling.report import as_comparison, as_record, as_text
from falldet.profiling.stages import STAGES, StageTime, Stopwatch, Timing, measure
from falldet.stages.frame_sampling import SamplingSettings
from falldet.synthetic import SCENES
from falldet.types import People, Window, WindowScore

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at ten frames a second, with a bright part that moves to the right."""
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    with VideoWriter(path, fps=10) as writer:
        for index in range(30):
            image = np.zeros((48, 64, 3), np.uint8)
            image[:, index : index + 16] = 200
            writer.write(image, index / 10)
    return path


class BrightPart:
    """A pose source that finds one person, the bright part, in the time of a slow network if told so."""

    max_in_flight = 1

    def __init__(self, people_factory: Callable[..., People], wait_s: float = 0.0) -> None:
        self._people_factory, self._wait_s = people_factory, wait_s
        self.resets = self.inferences = 0

    def estimate(self, image: np.ndarray) -> People:
        self.inferences += 1
        time.sleep(self._wait_s)
        columns = np.flatnonzero(image[24, :, 0] > 100)
        return self._people_factory((columns.mean(), 24), height_px=40) if len(columns) else People.none()

    def submit(self, image: np.ndarray) -> Future[People]:
        return completed(self.estimate(image))

    def reset(self) -> None:
        self.resets += 1


class Undecided:
    """A recognizer that gives every window the probability 0.5."""

    normalization = "person"
    frames = 48
    window_s = None

    def __call__(self, windows: list[Window]) -> list[WindowScore]:
        return [WindowScore(w.track_id, w.start_s, w.stop_s, 0.5) for w in windows]


def detector_of(source: object, active_fps: float = 0.0) -> FallDetector:
    config = Config(sampling=SamplingSettings(active_fps, full_rate_hold_s=0))
    return FallDetector(config, Undecided(), source)  # type: ignore[arg-type]


def test_measure_times_every_stage(clip: Path, people_factory: Callable[..., People]) -> None:
    source = BrightPart(people_factory, 0.01)
    timing = measure(clip, detector_of(source), repeat=2)
    assert list(timing.ms) == [stage for stage in STAGES if stage != "detect"]
    assert timing.ms["pose"].p50 >= 10
    assert timing.ms["pose"].p95 >= timing.ms["pose"].p50
    assert timing.ms["pose"].mean > sum(timing.ms[stage].mean for stage in ("track", "recognize", "fuse"))
    assert timing.frames == 30
    assert timing.people == 1.0
    assert len(timing.runs_fps) == 2
    assert min(timing.runs_fps) <= timing.fps <= max(timing.runs_fps) < 100
    assert timing.peak_mb > 30
    assert source.resets >= 3


def test_measure_draws_nothing_without_video_and_counts_skipped_frames(
    clip: Path, people_factory: Callable[..., People]
) -> None:
    timing = measure(clip, detector_of(BrightPart(people_factory, 0.01), active_fps=5), video=False, repeat=1)
    assert "draw" not in timing.ms
    assert "encode" not in timing.ms
    assert timing.ms["pose"].mean == pytest.approx(
        timing.ms["pose"].p50 * 16 / 30, rel=0.3
    )  # every second, and the last
    assert timing.frames == 30


def test_measure_times_the_detector_of_a_top_down_source_by_itself(
    clip: Path, people_factory: Callable[..., People]
) -> None:
    bright = BrightPart(people_factory, 0.002)

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(0.02)
        people = bright.estimate(image)
        return people.boxes, people.box_scores

    def estimate(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        people = bright.estimate(image)
        return people.keypoints[: len(boxes)], people.scores[: len(boxes)]

    source = TopDown(detect, estimate, TopDownSettings(det_interval=1))
    timing = measure(clip, detector_of(source), video=False, repeat=1)
    assert timing.ms["detect"].p50 >= 20
    assert 2 <= timing.ms["pose"].p50 < timing.ms["detect"].p50
    assert source.detector is detect


def test_stopwatch_counts_a_stage_within_another_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def pass_s(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr("falldet.profiling.stages.time.perf_counter", lambda: clock[0])
    stopwatch = Stopwatch()
    inner = stopwatch.timed("detect", pass_s)

    def outer(seconds: float) -> None:
        pass_s(0.010)
        inner(seconds)
        inner(seconds + 0.002)

    stopwatch.timed("pose", outer)(0.020)
    stages = stopwatch.stages(frames=4)
    assert list(stages) == ["detect", "pose"]
    assert astuple(stages["detect"]) == pytest.approx((21, 21.9, 42 / 4))
    assert astuple(stages["pose"]) == pytest.approx((10, 10, 10 / 4))


def test_as_record_holds_what_as_text_shows(clip: Path, people_factory: Callable[..., People]) -> None:
    detector = detector_of(BrightPart(people_factory))
    record = as_record(measure(clip, detector, repeat=1), 1.234, True, detector.config)
    assert json.loads(json.dumps(record))["config"]["windows"] == record["config"]["windows"]
    assert {"fps", "ms", "peak_mb", "start_s", "config", "machine"} <= set(record)
    assert {"p50", "p95"} <= set(record["ms"]["pose"])
    page = as_text(record)
    assert f"| {record['fps']:.1f} |" in page
    assert "| 1.2 |" in page
    assert all(f"| {stage} |" in page for stage in record["ms"])


def test_measure_refuses_no_run(clip: Path, people_factory: Callable[..., People]) -> None:
    with pytest.raises(FalldetError, match="repeat = 0"):
        measure(clip, detector_of(BrightPart(people_factory)), repeat=0)


@pytest.mark.slow
@pytest.mark.usefixtures("pose_model")
def test_benchmark_tool_measures_a_video(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", fps=10) as writer:
        for frame in islice(SCENES["walk"]().frames(), 10):
            writer.write(frame.image, frame.time_s)
    command = [sys.executable, str(ROOT / "tools" / "benchmark.py"), "a.mp4", "--json", "b.json", "--repeat", "1"]
    done = subprocess.run([*command, "--people", "2"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert record["frames"] == 10
    assert record["start_s"] > 0.1
    assert record["people"] >= 1
    assert "| encode |" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.json"]


def test_as_comparison_leaves_a_gap_where_a_stage_is_missing() -> None:
    stage = StageTime(2.0, 3.0, 2.5)
    timings = {
        "a": Timing(50.0, [50.0], 40.0, {"decode": stage, "pose": stage}, 100.0, 1.0, 5, 10),
        "b": Timing(25.0, [25.0], 80.0, {"decode": stage, "detect": stage, "pose": stage}, 100.0, 1.0, 5, 10),
    }
    head, _, first, second = as_comparison(timings).splitlines()
    assert head == (
        "| settings | decode, p50 ms | detect, p50 ms | pose, p50 ms | frames per second | processor ms per frame |"
    )
    assert first == "| a | 2.00 |  | 2.00 | 50.0 | 40.0 |"
    assert second == "| b | 2.00 | 2.00 | 2.00 | 25.0 | 80.0 |"
