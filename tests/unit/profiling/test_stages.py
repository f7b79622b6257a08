"""The benchmark: its figures are those of the work it times, and cameras that can't be held are told."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import astuple
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.io.video import VideoWriter, read_frames
from falldet.pipeline.detector import Pipeline, Settings
from falldet.profiling.stages import (
    STAGES,
    StageTime,
    Stopwatch,
    Timing,
    as_comparison,
    as_record,
    as_text,
    measure,
    with_people,
)
from falldet.runtime.multi_source import measure_cameras, shared_pipelines, side_by_side
from falldet.stages.frame_sampling import SamplingSettings
from falldet.synthetic import SCENES
from falldet.types import People, Window, WindowScore

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at ten frames a second."""
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    with VideoWriter(path, fps=10) as writer:
        for number in range(30):
            image = np.zeros((48, 64, 3), np.uint8)
            image[:, number : number + 16] = 200  # the "person" walks to the right
            writer.write(image, number / 10)
    return path


class Bright:
    """Finds one person: the bright part. Waits, where told to, as a slow network would."""

    def __init__(self, people_factory: Callable[..., People], wait_s: float = 0.0) -> None:
        self._people, self._wait_s = people_factory, wait_s
        self.reset_count = self.looked = 0

    def __call__(self, image: np.ndarray) -> People:
        self.looked += 1
        time.sleep(self._wait_s)
        columns = np.flatnonzero(image[24, :, 0] > 100)
        return self._people((columns.mean(), 24), height_px=40) if len(columns) else People.none()

    def reset(self) -> None:
        self.reset_count += 1


class Detecting(Bright):
    """A source that looks for people first, which takes most of its time."""

    def __init__(self, people_factory: Callable[..., People]) -> None:
        super().__init__(people_factory, 0.002)
        self.detector = lambda image: time.sleep(0.02)

    def __call__(self, image: np.ndarray) -> People:
        self.detector(image)
        return super().__call__(image)


def recognize(windows: list[Window]) -> list[WindowScore]:
    return [WindowScore(w.track_id, w.start_s, w.stop_s, 0.5) for w in windows]


def chain(source: Bright, poses_per_s: float = 0.0) -> tuple[Settings, Pipeline]:
    settings = Settings(pace=SamplingSettings(poses_per_s, full_rate_hold_s=0))
    return settings, Pipeline(settings, recognize, source)


def test_every_stage_has_its_time_and_the_slow_one_is_seen(clip: Path, people_factory: Callable[..., People]) -> None:
    settings, pipeline = chain(Bright(people_factory, 0.01))
    timing = measure(clip, settings, pipeline, repeat=2)
    assert list(timing.ms) == [stage for stage in STAGES if stage != "detect"]
    assert timing.ms["pose"].p50 >= 10
    assert timing.ms["pose"].p95 >= timing.ms["pose"].p50
    assert timing.ms["pose"].mean > sum(timing.ms[stage].mean for stage in ("track", "recognize", "fuse"))
    assert timing.frames == 30
    assert timing.people == 1.0
    assert len(timing.runs_fps) == 2
    assert min(timing.runs_fps) <= timing.fps <= max(timing.runs_fps) < 100
    assert timing.peak_mb > 30
    assert pipeline.pose_source.reset_count >= 3  # type: ignore[attr-defined]


def test_without_video_nothing_is_drawn_and_frames_between_poses_count(
    clip: Path, people_factory: Callable[..., People]
) -> None:
    settings, pipeline = chain(Bright(people_factory, 0.01), poses_per_s=5)
    timing = measure(clip, settings, pipeline, video=False, repeat=1)
    assert "draw" not in timing.ms
    assert "encode" not in timing.ms
    assert timing.ms["pose"].mean == pytest.approx(
        timing.ms["pose"].p50 * 16 / 30, rel=0.3
    )  # every second, and the last
    assert timing.frames == 30


def test_a_detector_is_told_from_the_poses_and_left_as_it_was(
    clip: Path, people_factory: Callable[..., People]
) -> None:
    source = Detecting(people_factory)
    detector = source.detector
    timing = measure(clip, *chain(source), video=False, repeat=1)
    assert timing.ms["detect"].p50 >= 20
    assert 2 <= timing.ms["pose"].p50 < timing.ms["detect"].p50
    assert source.detector is detector


def test_the_stopwatch_takes_a_stage_within_another_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_record_holds_what_the_page_shows(clip: Path, people_factory: Callable[..., People]) -> None:
    settings, pipeline = chain(Bright(people_factory))
    record = as_record(measure(clip, settings, pipeline, repeat=1), 1.234, True, settings)
    assert json.loads(json.dumps(record))["settings"]["windows"] == record["settings"]["windows"]
    assert {"fps", "ms", "peak_mb", "start_s", "settings", "machine"} <= set(record)
    assert {"p50", "p95"} <= set(record["ms"]["pose"])
    page = as_text(record)
    assert f"| {record['fps']:.1f} |" in page
    assert "| 1.2 |" in page
    assert all(f"| {stage} |" in page for stage in record["ms"])


def test_no_run_is_refused(clip: Path, people_factory: Callable[..., People]) -> None:
    with pytest.raises(FalldetError, match="repeat = 0"):
        measure(clip, *chain(Bright(people_factory)), repeat=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_people_stand_side_by_side(
    clip: Path, people_factory: Callable[..., People], tmp_path: Path, count: int
) -> None:
    out = tmp_path / "people.mp4"
    with_people(clip, count, Bright(people_factory), out)
    frame = next(islice(read_frames(out), 10, None))
    bright = frame.image[24, :, 0] > 100
    assert np.count_nonzero(np.diff(bright.astype(int)) == 1) + bright[0] == count
    assert bright.sum() == pytest.approx(16 * count, abs=2 * count)


def test_nobody_at_all_is_refused(clip: Path, people_factory: Callable[..., People], tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match="people = 0"):
        with_people(clip, 0, Bright(people_factory), tmp_path / "a.mp4")


class Shareable(Bright):
    def submit(self, image: np.ndarray) -> Callable[[], People]:
        return lambda: self(image)


def test_models_are_shared_and_state_is_not(people_factory: Callable[..., People]) -> None:
    settings, first = chain(Shareable(people_factory))
    pipelines = shared_pipelines(settings, 3, first)
    assert pipelines[0] is first
    assert {id(p.pose_source) for p in pipelines} == {id(first.pose_source)}
    assert {id(p.recognize) for p in pipelines} == {id(first.recognize)}
    for part in ("tracker", "buffer", "fuser", "recorder", "decoder", "pace"):
        assert len({id(getattr(p, part)) for p in pipelines}) == 3


def test_cameras_that_ask_too_much_are_not_held(clip: Path, people_factory: Callable[..., People]) -> None:
    settings, pipeline = chain(Shareable(people_factory, 0.4))
    timing = measure_cameras(clip, settings, pipeline, 2, seconds=4)
    assert timing.cameras == 2
    assert 0.5 < timing.late_p95_s <= timing.late_max_s
    assert not timing.held


def test_cameras_show_each_picture_in_its_time(clip: Path, people_factory: Callable[..., People]) -> None:
    source = Shareable(people_factory)
    started = time.perf_counter()
    timing = measure_cameras(clip, *chain(source), 3, seconds=3)
    assert time.perf_counter() - started >= 2.9
    assert source.looked == 3 * 30
    assert timing.held is (timing.late_max_s <= 0.5)


def test_an_error_of_one_is_raised_in_its_turn() -> None:
    def work(number: int) -> int:
        if number == 1:
            raise ZeroDivisionError
        return number

    results = side_by_side(work, range(3))
    assert next(results) == 0
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.slow
@pytest.mark.usefixtures("pose_model")
def test_the_tool(tmp_path: Path) -> None:
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


def test_settings_stand_side_by_side_with_gaps_where_a_stage_is_missing() -> None:
    stage = StageTime(2.0, 3.0, 2.5)
    timings = {
        "a": Timing(50.0, [50.0], 40.0, {"decode": stage, "pose": stage}, 100.0, 1.0, 5, 10),
        "b": Timing(25.0, [25.0], 80.0, {"decode": stage, "detect": stage, "pose": stage}, 100.0, 1.0, 5, 10),
    }
    head, _, first, second = as_comparison(timings).splitlines()
    assert head == (
        "| settings | decode, p50 ms | detect, p50 ms | pose, p50 ms | frames per second | processor ms a frame |"
    )
    assert first == "| a | 2.00 |  | 2.00 | 50.0 | 40.0 |"
    assert second == "| b | 2.00 | 2.00 | 2.00 | 25.0 | 80.0 |"
