"""Options that several commands share, each with one spelling, one help text and one meaning."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from falldet.models.shipped import shipped_folder

if TYPE_CHECKING:
    from falldet.pipeline.config import Config

DEFAULT_CONFIG = "detect.toml"
POSE_CACHE = Path("work_dirs/poses")
SPLITS = ("train", "val", "test")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config and --cfg-options, which configure the pipeline."""
    parser.add_argument(
        "--config", type=Path, metavar="TOML", help="configuration of the pipeline (default: configs/detect.toml)"
    )
    add_cfg_options(parser, "events.alert_threshold=0.9")


def add_cfg_options(parser: argparse.ArgumentParser, example: str) -> None:
    """Add --cfg-options, which replaces single values of a config."""
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help=f"replace single values, as {example}"
    )


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add --checkpoint, the recognizer of the pipeline."""
    parser.add_argument(
        "--checkpoint", help="recognizer: an .onnx file, or a .pth from a training run (default: the shipped one)"
    )


def add_pose(parser: argparse.ArgumentParser) -> None:
    """Add --pose, the pose source of the pipeline."""
    parser.add_argument(
        "--pose", metavar="SOURCE", help="where keypoints come from: movenet (default), or such as yolox_s+hrnet_w32"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device, where the networks run."""
    parser.add_argument("--device", default="CPU", help="OpenVINO device, such as CPU or GPU (default: CPU)")


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add --cache, the folder of the pose cache."""
    parser.add_argument(
        "--cache", type=Path, default=POSE_CACHE, help=f"folder that keeps the poses of videos (default: {POSE_CACHE})"
    )


def add_network_config(parser: argparse.ArgumentParser) -> None:
    """Add the MMEngine config of a network, a file or the name of a shipped one."""
    parser.add_argument(
        "config",
        type=network_config,
        help="config of the network, such as configs/stgcn_fall.py; it is Python code, and runs: trust it",
    )


def add_annotation_files(parser: argparse.ArgumentParser) -> None:
    """Add --ann-file, which replaces the annotation files of a config."""
    parser.add_argument("--ann-file", nargs="+", default=(), help="annotation files instead of the config's")


def add_splits(parser: argparse.ArgumentParser) -> None:
    """Add --splits, which names the splits of annotation files made by others."""
    parser.add_argument(
        "--splits",
        nargs="+",
        default=(),
        metavar="SPLIT=NAME",
        help="splits of the annotation files with other names, as train=xsub_train val=xsub_val test=xsub_val",
    )


def network_config(name: str) -> Path:
    """Return the path of a config: as given, or where no such file is there, the shipped config of this name."""
    path = Path(name)
    shipped = shipped_folder("configs") / f"{path.stem}.py"
    return path if path.is_file() or not shipped.is_file() else shipped


def config_from(arguments: argparse.Namespace, more: Iterable[str] = ()) -> Config:
    """Return the configuration of the pipeline that the options ask for.

    Args:
        arguments: with the options of `add_config` and, where the command has them, --checkpoint and --pose.
        more: further overrides.

    Raises:
        FalldetError: the file can't be read, or a value in it or in an override is wrong.
    """
    from falldet.pipeline.config import Config
    from falldet.pose.source import PoseSettings

    path = arguments.config or shipped_folder("configs") / DEFAULT_CONFIG
    config = Config.read(path, [*arguments.cfg_options, *more])
    if getattr(arguments, "checkpoint", None):
        config = replace(config, recognizer=replace(config.recognizer, checkpoint=arguments.checkpoint))
    if getattr(arguments, "pose", None):
        config = replace(config, pose=PoseSettings(arguments.pose))
    return config
