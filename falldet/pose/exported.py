"""Networks of the baseline pipeline by name: config, checkpoint, and the exported file that OpenVINO runs."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from falldet.errors import FalldetError
from falldet.io.files import sha256_of
from falldet.models.checkpoints import cache_folder, find_checkpoint
from falldet.models.literal_config import read_literal_config
from falldet.models.openvino import (
    Precision,
    compile_model,
    compile_options,
    known_devices,
    openvino,
    openvino_core,
    read_metadata,
)
from falldet.models.shipped import shipped_folder
from falldet.models.zoo import CHECKPOINTS
from falldet.terminal import shown

logger = logging.getLogger(__name__)

CONFIGS = shipped_folder("configs")
"""Folder of the configs that a network is named by."""

EXPORT_FORMAT = 1
"""Version of the exported file: raise it when the export of the same config and checkpoint changes."""

_INHERITS = re.compile(r"""^_base_ = ["'](mmdet|mmpose)::""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Network:
    """A detector or pose network.

    Attributes:
        config: its MMEngine config.
        checkpoint: its weights.
    """

    config: Path
    checkpoint: Path

    def digest(self) -> str:
        """Return a hexadecimal hash of config and weights."""
        digest = hashlib.sha256(self.config.read_bytes())
        with self.checkpoint.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()


def find_network(name: str) -> Network:
    """Return config and checkpoint of a network.

    Args:
        name: the beginning of a config's name in configs/, such as "yolox_s" or "hrnet_w32", or a path to a config. The
            checkpoint is the config's `load_from`, or else the official one of the config that it inherits.

    Raises:
        FalldetError: there is no such config, or its checkpoint is not available.
    """
    config = Path(name) if name.endswith(".py") else _config_named(name)
    content = read_literal_config(config)
    own, base = content.get("load_from"), content.get("_base_")
    if own is not None and not isinstance(own, str):
        raise FalldetError(f"{config}: load_from = {shown(own)} is no path; write load_from = 'weights.pth'")
    if own:
        return Network(config, find_checkpoint(own))
    for checkpoint in CHECKPOINTS.values():
        if checkpoint.config and checkpoint.config == base:
            return Network(config, find_checkpoint(checkpoint.name))
    raise FalldetError(
        f"{config} inherits {shown(base)}, whose weights falldet doesn't know; add yours: load_from = 'weights.pth'"
    )


def int8_path(network: Network) -> Path:
    """Return the path of the int8 network in the cache; the file need not exist."""
    return export_path(network, "-int8.xml")


def int8_network(network: Network) -> Path:
    """Return the int8 network from the cache; raises FalldetError if it has not been quantized yet."""
    path = int8_path(network)
    if not path.is_file():
        raise FalldetError(
            f"{network.config.name} has not been quantized to int8 yet; run, with a video of people: "
            f"python tools/export.py {network.config} --int8 video.mp4"
        )
    return path


def read_network(path: Path, *kinds: str) -> tuple[openvino.Model, dict[str, str]]:
    """Return an exported network and its metadata.

    Args:
        path: the .onnx file, or the .xml file of an int8 network.
        kinds: accepted kinds: "detector", "pose", or both.

    Raises:
        FalldetError: the file can't be read, or is of another kind.
    """
    try:
        model = openvino_core().read_model(path)
    except (RuntimeError, ValueError):  # ValueError: OpenVINO's message is no text
        raise FalldetError(f"{path} can't be read as an exported network; delete it to export it again") from None
    metadata = read_metadata(model, "kind", "score_threshold", "nms_iou", "codec", "split_ratio")
    if metadata.get("kind") not in kinds:
        raise FalldetError(f"{path} is no {' or '.join(kinds)} written by tools/export.py; export the network with it")
    return model, metadata


def compile_network(
    model: openvino.Model, path: Path, device: str, precision: Precision, threads: int
) -> openvino.CompiledModel:
    """Return the network compiled for an OpenVINO device.

    Args:
        model: the network that `read_network` returned.
        path: its file.
        device: OpenVINO device name.
        precision: see `falldet.models.openvino.compile_options`.
        threads: processor threads for inference; 0 lets OpenVINO choose. Higher: faster, fewer cores for other stages.

    Raises:
        FalldetError: the network can't run on the device.
    """
    weights = path.with_suffix(".bin") if path.suffix == ".xml" else path
    name = f"{path.stem} {sha256_of(path)} {sha256_of(weights)}"
    try:
        return compile_model(lambda: model, name, device, compile_options(precision, threads))
    except (RuntimeError, ValueError):  # ValueError: OpenVINO's message is no text
        raise FalldetError(f"{path} can't run on device {device!r}; known here: {known_devices()}") from None


def export_path(network: Network, ending: str) -> Path:
    """Return the path of an exported file in the cache; its name changes with config, weights and `EXPORT_FORMAT`."""
    return cache_folder() / "exports" / f"{network.config.stem}-{EXPORT_FORMAT}-{network.digest()[:16]}{ending}"


def _config_named(name: str) -> Path:
    inheriting = [path for path in sorted(CONFIGS.glob("*.py")) if _INHERITS.search(path.read_text(encoding="utf-8"))]
    configs = {path.stem.rpartition("_")[0]: path for path in inheriting}
    if name not in configs:
        raise FalldetError(
            f"no network {shown(name)}; known here: {', '.join(configs)}, or a path to a config, such as my_config.py"
        )
    return configs[name]
