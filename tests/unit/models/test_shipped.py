"""The folders that come with falldet."""

from __future__ import annotations

from pathlib import Path

import pytest

from falldet.models import shipped


def test_shipped_folder_is_in_the_checkout() -> None:
    assert (shipped.shipped_folder("checkpoints") / "stgcn_fall.onnx").is_file()
    assert (shipped.shipped_folder("configs") / "detect.toml").is_file()


def test_shipped_folder_inside_the_package_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path / "falldet")
    (tmp_path / "configs").mkdir()  # of another package in site-packages
    (tmp_path / "falldet" / "configs").mkdir(parents=True)
    assert shipped.shipped_folder("configs") == tmp_path / "falldet" / "configs"
