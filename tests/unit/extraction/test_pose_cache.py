"""Cached poses: one file for each video content and pose source, whole or not there, the same for any thread count."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.extraction.pose_cache import PoseCache, PoseSequence, estimate_poses, pose_cache, poses_key
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.pose.movenet import MoveNet, MoveNetSettings
from falldet.pose.source import completed
from falldet.types import People

FRAMES = 6


class Brightness:
    """A pose source that finds as many people as the image's gray level says; counts its inferences."""

    max_in_flight = 1

    def __init__(self, people_factory: Callable[..., People]) -> None:
        self._people_factory = people_factory
        self.inferences = self.resets = 0

    def submit(self, image: np.ndarray) -> Future[People]:
        self.inferences += 1
        count = round(float(image.mean()) / 40)
        people = self._people_factory(*[(20 + 30 * i, 40) for i in range(count)], height_px=30)
        return completed(people if count else People.none())

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def source(people_factory: Callable[..., People]) -> Brightness:
    return Brightness(people_factory)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Frames with 0, 1, 2, 0, 1 and 2 people."""
    path = tmp_path / "video.mp4"
    with VideoWriter(path, fps=10, crf=10) as writer:
        for index in range(FRAMES):
            writer.write(np.full((64, 96, 3), 40 * (index % 3), np.uint8), index / 10)
    return path


def equal(first: PoseSequence, second: PoseSequence) -> bool:
    names = PoseSequence.__dataclass_fields__
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)


def test_estimate_poses_holds_the_people_of_every_frame(video: Path, source: Brightness) -> None:
    calls: list[int] = []
    poses = estimate_poses(video, source, lambda: calls.append(source.inferences))
    assert poses.counts.tolist() == [0, 1, 2, 0, 1, 2]
    assert calls == [1, 2, 3, 4, 5, 6]
    assert source.resets == 1
    assert poses.image_hw == (64, 96)
    frames = list(poses.frames())
    np.testing.assert_allclose([time_s for time_s, _ in frames], np.arange(FRAMES) / 10, atol=1e-3)
    assert [len(people) for _, people in frames] == [0, 1, 2, 0, 1, 2]
    np.testing.assert_allclose(frames[2][1].keypoints.mean(axis=(1, 2)), [30, 45], atol=3)


def test_pose_sequence_comes_back_from_its_file(tmp_path: Path, video: Path, source: Brightness) -> None:
    poses = estimate_poses(video, source)
    poses.save(tmp_path / "deep" / "a.npz")
    assert equal(PoseSequence.load(tmp_path / "deep" / "a.npz"), poses)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.npz"]


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_pose_sequence_refuses_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        PoseSequence.load(tmp_path / "a.npz")


def test_pose_cache_estimates_a_content_once(tmp_path: Path, video: Path, source: Brightness) -> None:
    builds: list[int] = []

    def build() -> Brightness:
        builds.append(1)
        return source

    copy = tmp_path / "copy.mp4"
    copy.write_bytes(video.read_bytes())
    cache = PoseCache(tmp_path / "poses", build, "key")
    assert not builds
    assert equal(cache.poses(video), cache.poses(copy))
    assert (source.inferences, len(builds)) == (FRAMES, 1)
    assert [*cache.folder.iterdir()] == [cache.path_of(video)] == [cache.path_of(copy)]
    PoseCache(tmp_path / "poses", build, "key").poses(video)
    assert (source.inferences, len(builds)) == (FRAMES, 1)
    PoseCache(tmp_path / "poses", build, "another key").poses(video)
    assert (source.inferences, len(builds)) == (2 * FRAMES, 2)


def test_pose_cache_keeps_nothing_of_a_stopped_video(tmp_path: Path, video: Path, source: Brightness) -> None:
    def stop() -> None:
        if source.inferences == 3:
            raise KeyboardInterrupt

    cache = PoseCache(tmp_path / "poses", lambda: source, "key")
    with pytest.raises(KeyboardInterrupt):
        cache.poses(video, stop)
    assert list(cache.folder.iterdir()) == []


def test_pose_cache_tells_of_a_folder_or_video_that_fails(tmp_path: Path, source: Brightness) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FalldetError, match="can't make the folder"):
        PoseCache(tmp_path / "file" / "poses", lambda: source, "key")
    with pytest.raises(FalldetError, match=r"can't read .*none\.mp4"):
        PoseCache(tmp_path / "poses", lambda: source, "key").poses(tmp_path / "none.mp4")


@pytest.mark.parametrize(
    "changes", [{"input_size": 320}, {"min_person_score": 0.2}, {"min_joint_score": 0.1}, {"precision": "f32"}]
)
def test_poses_key_differs_where_the_poses_would(changes: dict) -> None:
    config = Config()
    keys = [poses_key(config.pose, movenet, config.topdown) for movenet in (config.movenet, MoveNetSettings(**changes))]
    assert keys[0] != keys[1]


def test_poses_key_does_not_depend_on_threads() -> None:
    config, other = Config(), Config().with_threads(3)
    assert poses_key(config.pose, config.movenet, config.topdown) == poses_key(other.pose, other.movenet, other.topdown)


def test_pose_cache_estimates_on_one_thread_unless_the_config_names_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video: Path, source: Brightness
) -> None:
    threads: list[tuple[int, int]] = []

    def build(pose: object, movenet: MoveNetSettings, topdown: object, device: str) -> Brightness:
        threads.append((movenet.threads, topdown.threads))  # type: ignore[attr-defined]
        return source

    monkeypatch.setattr("falldet.extraction.pose_cache.build_pose_source", build)
    pose_cache(tmp_path / "a", Config()).poses(video)
    own = replace(Config(), movenet=MoveNetSettings(threads=4))
    pose_cache(tmp_path / "b", own).poses(video)
    assert threads == [(1, 1), (4, 1)]


@pytest.mark.usefixtures("pose_model")
def test_pose_cache_holds_what_move_net_finds(tmp_path: Path, video: Path) -> None:
    cached = pose_cache(tmp_path / "poses", Config()).poses(video)
    assert equal(cached, estimate_poses(video, MoveNet(MoveNetSettings(threads=1))))
