"""Settings in, models out: names and the mistakes in them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from falldet.build import build_pose_source, exported_network, quantize_network
from falldet.errors import FalldetError
from falldet.pose.exported import Network, find_network, int8_network
from falldet.pose.movenet import MoveNetSettings
from falldet.pose.source import PoseSettings
from falldet.pose.topdown import TopDownSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("moovnet", r"unknown pose source 'moovnet'; known are movenet and DETECTOR\+POSE"),
        ("yolox+hrnet_w32", "no network 'yolox'; known here: hrnet_w32, rtmpose_m, yolox_s"),
        ("+hrnet_w32", "no network ''"),
        ("none.py+hrnet_w32", "no config none.py"),
    ],
)
def test_build_pose_source_refuses_an_unknown_source_and_names_the_known(source: str, message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        build_pose_source(PoseSettings(source), MoveNetSettings(), TopDownSettings())


@pytest.fixture
def own_config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    (tmp_path / "w.pth").write_bytes(b"weights")
    path.write_text(f'_base_ = "mmdet::yolox/x.py"\nload_from = "{tmp_path}/w.pth"\n', encoding="utf-8")
    return path


def test_exported_network_needs_openmmlab_for_an_export(own_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLDET_CACHE", str(own_config.parent / "cache"))
    for name in [name for name in sys.modules if name.startswith("falldet.openmmlab")]:
        monkeypatch.delitem(sys.modules, name)

    class Absent:
        def find_spec(self, name: str, *rest: object) -> None:
            if name == "falldet.openmmlab":
                raise FalldetError("this needs OpenMMLab")

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(FalldetError, match="must be exported first, which needs OpenMMLab; run `make install`"):
        exported_network(find_network(str(own_config)))


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network by name, its weights a file of some bytes, and a cache of its own."""
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "cache"))
    (tmp_path / "my_pose.py").write_text(f'load_from = "{tmp_path / "w.pth"}"\n', encoding="utf-8")
    (tmp_path / "w.pth").write_bytes(b"weights")
    return Network(tmp_path / "my_pose.py", tmp_path / "w.pth")


def test_build_pose_source_names_the_command_for_a_missing_int8_network(network: Network) -> None:
    with pytest.raises(FalldetError, match=r"python tools/export.py .*my_pose.py --int8 video.mp4"):
        int8_network(network)
    with pytest.raises(FalldetError, match=r"--int8 video\.mp4"):
        build_pose_source(
            PoseSettings(f"{network.config}+{network.config}"), MoveNetSettings(), TopDownSettings(precision="int8")
        )


def test_quantize_network_needs_nncf(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(FalldetError, match=r"pip install -r requirements/int8\.txt"):
        quantize_network(network, ["video.mp4"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda folder: folder / "missing.mp4", "no such video"),
        (lambda folder: ROOT / "README.md", "as video"),
        (lambda folder: "rtsp://user:secret@camera/1", r"rtsp://camera/\.\.\..{4} is a stream"),
    ],
)
def test_quantize_network_refuses_another_file_before_the_export(
    source: Callable[[Path], str | Path], message: str, network: Network, tmp_path: Path
) -> None:
    pytest.importorskip("nncf")
    with pytest.raises(FalldetError, match=message):
        quantize_network(network, [source(tmp_path)])
