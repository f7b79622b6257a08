"""Shared options: one configuration out of --config, --checkpoint, --pose and --cfg-options."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from falldet.cli import options
from falldet.errors import FalldetError
from falldet.models.shipped import shipped_folder
from falldet.pipeline.config import Config


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for add in (options.add_config, options.add_checkpoint, options.add_pose, options.add_device):
        add(parser)
    return parser.parse_args(arguments)


def test_config_from_no_options_is_the_shipped_file() -> None:
    assert options.config_from(parse()) == Config.read(shipped_folder("configs") / "detect.toml")


def test_config_from_takes_file_overrides_checkpoint_and_pose(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[events]\nalert_threshold = 0.8\nrecover_s = 2.0\n", encoding="utf-8")
    options_given = ["--config", str(path), "--checkpoint", "x.onnx", "--pose", "yolox_s+hrnet_w32"]
    config = options.config_from(parse(*options_given, "--cfg-options", "events.recover_s=3"), ["tracker.min_hits=4"])
    assert (config.events.alert_threshold, config.events.recover_s, config.tracker.min_hits) == (0.8, 3, 4)
    assert (config.recognizer.checkpoint, config.pose.source) == ("x.onnx", "yolox_s+hrnet_w32")


def test_config_from_tells_a_missing_file() -> None:
    with pytest.raises(FalldetError, match=r"no config none\.toml"):
        options.config_from(parse("--config", "none.toml"))


def test_network_config_is_the_path_or_the_shipped_config_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = shipped_folder("configs") / "stgcn_fall.py"
    for name in ("stgcn_fall", "stgcn_fall.py", "configs/stgcn_fall.py"):
        assert options.network_config(name) == shipped
    assert options.network_config("mine.py") == Path("mine.py")
    Path("stgcn_fall.py").write_text("x = 1\n", encoding="utf-8")
    assert options.network_config("stgcn_fall.py") == Path("stgcn_fall.py")
