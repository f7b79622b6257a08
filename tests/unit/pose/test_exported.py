"""Networks by name, and exported files."""

from __future__ import annotations

from pathlib import Path

import pytest

from falldet.errors import FalldetError
from falldet.pose.exported import find_network, read_network


@pytest.fixture
def own_config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    (tmp_path / "w.pth").write_bytes(b"weights")
    path.write_text(f'_base_ = "mmdet::yolox/x.py"\nload_from = "{tmp_path}/w.pth"\n', encoding="utf-8")
    return path


def test_find_network_takes_a_path_and_prefers_own_weights(own_config: Path) -> None:
    network = find_network(str(own_config))
    assert (network.config, network.checkpoint.name) == (own_config, "w.pth")


def test_find_network_takes_the_official_weights_of_the_inherited_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALLDET_CHECKPOINTS", str(tmp_path))
    (tmp_path / "yolox_tiny_8x8_300e_coco_20211124_171234-b4047906.pth").write_bytes(b"own")
    config = tmp_path / "tiny.py"
    config.write_text('_base_ = "mmdet::yolox/yolox_tiny_8xb8-300e_coco.py"\n', encoding="utf-8")
    assert find_network(str(config)).checkpoint.name.startswith("yolox_tiny_8x8")


def test_network_digest_changes_with_config_and_weights(own_config: Path) -> None:
    before = find_network(str(own_config)).digest()
    own_config.write_text(own_config.read_text() + "person_class = 1\n")
    middle = find_network(str(own_config)).digest()
    (own_config.parent / "w.pth").write_bytes(b"other")
    assert len({before, middle, find_network(str(own_config)).digest()}) == 3


def test_find_network_asks_for_the_weights_of_an_unknown_config(tmp_path: Path) -> None:
    config = tmp_path / "r50.py"
    config.write_text('_base_ = "mmdet::faster_rcnn/r50.py"\n', encoding="utf-8")
    with pytest.raises(FalldetError, match="whose weights falldet doesn't know; add yours: load_from"):
        find_network(str(config))


def test_read_network_refuses_another_file(tmp_path: Path) -> None:
    broken = tmp_path / "x.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(FalldetError, match="can't be read as an exported network"):
        read_network(broken, "pose")
    recognizer = Path(__file__).resolve().parents[3] / "checkpoints" / "stgcn_fall.onnx"
    with pytest.raises(FalldetError, match=r"stgcn_fall\.onnx is no detector"):
        read_network(recognizer, "detector")
