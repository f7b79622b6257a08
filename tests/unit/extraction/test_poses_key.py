"""The cache key of poses: it differs if and only if the poses would."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from falldet.extraction.pose_cache import poses_key
from falldet.pose.exported import Network, int8_path
from falldet.pose.movenet import MoveNetSettings
from falldet.pose.source import PoseSettings
from falldet.pose.topdown import TopDownSettings


@pytest.fixture
def own_config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    (tmp_path / "w.pth").write_bytes(b"weights")
    path.write_text(f'_base_ = "mmdet::yolox/x.py"\nload_from = "{tmp_path}/w.pth"\n', encoding="utf-8")
    return path


def test_poses_key_differs_for_another_pose_source(own_config: Path) -> None:
    movenet, topdown = MoveNetSettings(), TopDownSettings()
    both = PoseSettings(f"{own_config}+{own_config}")
    keys = {
        poses_key(PoseSettings(), movenet, topdown),
        poses_key(PoseSettings(), MoveNetSettings(input_size=384), topdown),
        poses_key(both, movenet, topdown),
        poses_key(both, movenet, TopDownSettings(det_interval=3)),
    }
    assert len(keys) == 4
    assert poses_key(both, movenet, TopDownSettings(threads=3)) in keys, "threads change no pose"


def test_poses_key_is_spelled_out_so_that_renames_keep_cached_poses() -> None:
    key = poses_key(PoseSettings(), MoveNetSettings(), TopDownSettings())
    assert key == (
        '{"input_size": 256, "min_joint_score": 0.05, "min_person_score": 0.1, "precision": "fastest", '
        '"source": "movenet", "version": 1, "weights": "movenet_multipose"}'
    )


def test_poses_key_depends_on_every_setting_but_threads(own_config: Path, tmp_path: Path) -> None:
    both = PoseSettings(f"{own_config}+{own_config}")
    weights = tmp_path / "own.tflite"
    weights.write_bytes(b"own")
    for settings, other in (
        (MoveNetSettings(), {"checkpoint": str(weights), "input_size": 384, "precision": "f32"}),
        (TopDownSettings(), {"engine": "torch", "precision": "f32"}),
    ):
        for field in fields(settings):
            value = getattr(settings, field.name)
            changed = replace(
                settings, **{field.name: other.get(field.name) or (value / 2 if 0 < value < 1 else value + 1)}
            )
            keys = {
                poses_key(PoseSettings(), each, TopDownSettings())
                if isinstance(each, MoveNetSettings)
                else poses_key(both, MoveNetSettings(), each)
                for each in (settings, changed)
            }
            assert len(keys) == (1 if field.name == "threads" else 2), field.name


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network by name, its weights a file of some bytes, and a cache of its own."""
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "cache"))
    (tmp_path / "my_pose.py").write_text(f'load_from = "{tmp_path / "w.pth"}"\n', encoding="utf-8")
    (tmp_path / "w.pth").write_bytes(b"weights")
    return Network(tmp_path / "my_pose.py", tmp_path / "w.pth")


def test_poses_key_differs_for_another_int8_network(network: Network) -> None:
    pose, settings = PoseSettings(f"{network.config}+{network.config}"), TopDownSettings(precision="int8")
    keys = set()
    for content in (b"one video", b"another video"):
        int8_path(network).parent.mkdir(parents=True, exist_ok=True)
        int8_path(network).touch()
        int8_path(network).with_suffix(".bin").write_bytes(content)
        keys.add(poses_key(pose, MoveNetSettings(), settings))
    keys.add(poses_key(pose, MoveNetSettings(), replace(settings, precision="f32")))
    assert len(keys) == 3
