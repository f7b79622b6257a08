"""The reference chain's networks by name: which config and checkpoint, and the file that OpenVINO runs."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import openvino

from falldet.config import read_settings
from falldet.errors import FalldetError
from falldet.io.files import sha256_of
from falldet.models.checkpoints import cache_folder, find_checkpoint
from falldet.models.openvino import (
    Precision,
    compile_model,
    compile_options,
    known_devices,
    openvino_core,
    read_metadata,
)
from falldet.models.zoo import CHECKPOINTS

logger = logging.getLogger(__name__)

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"

EXPORT_FORMAT = 1
"""Changed whenever tools/export.py writes something else from the same config and checkpoint."""

_INHERITS = re.compile(r"""^_base_ = ["'](mmdet|mmpose)::""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Network:
    """A detector or pose estimator: its config and its weights."""

    config: Path
    checkpoint: Path

    def digest(self) -> str:
        """Return a hash, in hexadecimal, that differs where config or weights do."""
        digest = hashlib.sha256(self.config.read_bytes())
        with self.checkpoint.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()


def find_network(name: str) -> Network:
    """Return config and checkpoint of a network.

    Args:
        name: the beginning of a config's name in configs/, such as "yolox_s" or "hrnet_w32", or a path to a config. The
            checkpoint is the config's `load_from`, or else the official one of the config it inherits.

    Raises:
        FalldetError: there is no such config, or no checkpoint at hand and none to be had.
    """
    config = Path(name) if name.endswith(".py") else _config_named(name)
    content = read_settings(config)
    own, base = content.get("load_from"), content.get("_base_")
    if own:
        return Network(config, find_checkpoint(own))
    for checkpoint in CHECKPOINTS.values():
        if checkpoint.config and checkpoint.config == base:
            return Network(config, find_checkpoint(checkpoint.name))
    raise FalldetError(
        f"{config} inherits {base!r}, whose weights falldet doesn't know; name yours there: load_from = 'weights.pth'"
    )


def int8_path(network: Network) -> Path:
    """Return where the network in int8 is kept, whether it is there or not."""
    return export_path(network, "-int8.xml")


def int8_network(network: Network) -> Path:
    """Return the network in int8 from the cache; raises FalldetError where nobody has quantized it yet."""
    path = int8_path(network)
    if not path.is_file():
        raise FalldetError(
            f"{network.config.name} has not been made int8 here; do it once with a video that shows people: "
            f"python tools/export.py {network.config} --int8 video.mp4"
        )
    return path


def read_network(path: Path, *kinds: str) -> tuple[openvino.Model, dict[str, str]]:
    """Return an exported network and its metadata; raises FalldetError where it is of none of these kinds.

    Args:
        path: the .onnx file, or in int8 the .xml file.
        kinds: "detector", "pose", or both.
    """
    try:
        model = openvino_core().read_model(path)
    except RuntimeError:
        raise FalldetError(f"{path} can't be read as an exported network; delete it, and it is made anew") from None
    metadata = read_metadata(model, "kind", "score_threshold", "nms_iou", "codec", "split_ratio")
    if metadata.get("kind") not in kinds:
        raise FalldetError(f"{path} is no {' or '.join(kinds)} written by tools/export.py; export it with that")
    return model, metadata


def compile_network(
    model: openvino.Model, path: Path, device: str, precision: Precision, threads: int
) -> openvino.CompiledModel:
    """Return the network ready to run on an OpenVINO device; raises FalldetError where the device can't.

    Args:
        model: what `read_network` gives, changed or not.
        path: the file it was read from.
        device: OpenVINO device name.
        precision: see `falldet.models.openvino.compile_options`.
        threads: processor threads; 0 lets OpenVINO choose.
    """
    weights = path.with_suffix(".bin") if path.suffix == ".xml" else path
    name = f"{path.stem} {sha256_of(path)} {sha256_of(weights)}"
    try:
        return compile_model(lambda: model, name, device, compile_options(precision, threads))
    except RuntimeError:
        raise FalldetError(f"{path} can't run on device {device!r}; OpenVINO has here: {known_devices()}") from None


def export_path(network: Network, ending: str) -> Path:
    return cache_folder() / "exports" / f"{network.config.stem}-{EXPORT_FORMAT}-{network.digest()[:16]}{ending}"


def _config_named(name: str) -> Path:
    inheriting = [path for path in sorted(CONFIGS.glob("*.py")) if _INHERITS.search(path.read_text(encoding="utf-8"))]
    configs = {path.stem.rpartition("_")[0]: path for path in inheriting}
    if name not in configs:
        raise FalldetError(
            f"no network {name!r}; known here: {', '.join(configs)}, or give a path to a config: my_config.py"
        )
    return configs[name]
