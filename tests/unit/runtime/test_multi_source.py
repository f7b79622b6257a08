"""Several sources at once: each gives what it gives alone, and all end together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.io.video import read_frames
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.detector import Pipeline, Settings
from falldet.runtime.multi_source import run_sources
from falldet.runtime.runner import OutputOptions, run_source
from falldet.types import People, Window, WindowScore


def record(path: Path, step: int, frames: int = 40) -> Path:
    with VideoWriter(path, fps=10) as writer:
        for number in range(frames):
            image = np.zeros((48, 96, 3), np.uint8)
            image[:, (left := number * step % 80) : left + 16] = 200
            writer.write(image, number / 10)
    return path


class Bright:
    """Finds one person, the bright part; may be asked by several threads."""

    def __init__(self, people_factory: Callable[..., People]) -> None:
        self._people = people_factory
        self.threads: set[int] = set()

    def __call__(self, image: np.ndarray) -> People:
        return self.submit(image)()

    def submit(self, image: np.ndarray) -> Callable[[], People]:
        self.threads.add(threading.get_ident())
        columns = np.flatnonzero(image[24, :, 0] > 100)
        return lambda: self._people((columns.mean(), 24), height_px=40)

    def reset(self) -> None:
        pass


def recognize(windows: list[Window]) -> list[WindowScore]:
    return [
        WindowScore(w.track_id, w.start_s, w.stop_s, float(abs(np.sin(w.keypoints.sum() + w.time_s.sum()))))
        for w in windows
    ]


def chain(people_factory: Callable[..., People]) -> tuple[Pipeline, Settings]:
    settings = Settings()
    return Pipeline(settings, recognize, Bright(people_factory)), settings


def test_each_source_gives_what_it_gives_alone(people_factory: Callable[..., People], tmp_path: Path) -> None:
    videos = [record(tmp_path / f"{name}.mp4", step) for name, step in (("a", 1), ("b", 2), ("c", 3))]
    pipeline, settings = chain(people_factory)
    alone = [run_source(v, pipeline, settings, OutputOptions(tmp_path / "alone" / v.stem, video=False)) for v in videos]
    together = run_sources(videos, pipeline, settings, OutputOptions(tmp_path / "together"))
    assert len(pipeline.pose_source.threads) == 4  # type: ignore[attr-defined]  # this one, and one for each
    for video, one, other in zip(videos, alone, together, strict=True):
        assert one.events == other.events
        assert one.frames == other.frames == 40
        for name in ("scores.csv", "events.jsonl"):
            one_file, other_file = (tmp_path / kind / video.stem / name for kind in ("alone", "together"))
            assert one_file.read_bytes() == other_file.read_bytes()
        assert len((tmp_path / "alone" / video.stem / "scores.csv").read_text().splitlines()) > 30
        assert len(list(read_frames(tmp_path / "together" / video.stem / video.name))) == 40


def test_two_of_one_name_are_refused(people_factory: Callable[..., People], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    videos = [record(tmp_path / "a.mp4", 1), record(tmp_path / "other" / "a.mp4", 2)]
    with pytest.raises(FalldetError, match="several sources are called a "):
        run_sources(videos, *chain(people_factory), OutputOptions(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_one_that_fails_ends_the_others_with_their_results(
    people_factory: Callable[..., People], tmp_path: Path
) -> None:
    long = record(tmp_path / "long.mp4", 1, frames=3000)
    pipeline, settings = chain(people_factory)
    with pytest.raises(FalldetError, match="no such video"):
        run_sources([long, tmp_path / "none.mp4"], pipeline, settings, OutputOptions(tmp_path / "out", video=False))
    assert {path.name for path in (tmp_path / "out" / "long").iterdir()} == {
        "scores.csv",
        "events.jsonl",
        "timeline.png",
    }
