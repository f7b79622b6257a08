"""Settings in, models out. The only module outside falldet/openmmlab that loads it, and only inside functions."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from falldet.errors import FalldetError
from falldet.io.files import sha256_of
from falldet.models.checkpoints import cache_folder, find_checkpoint
from falldet.models.literal_config import find_config
from falldet.pose.detector import YoloxDetector
from falldet.pose.estimator import CropPoseEstimator
from falldet.pose.exported import Network, export_path, find_network, int8_network, int8_path
from falldet.pose.movenet import MoveNet, MoveNetSettings
from falldet.pose.quantize import frame_count, import_nncf, quantize
from falldet.pose.source import EMBEDDED, PoseSettings, PoseSource
from falldet.pose.topdown import TopDown, TopDownSettings
from falldet.stages.recognizer import Recognizer, RecognizerSettings, WindowRecognizer
from falldet.terminal import shown

logger = logging.getLogger(__name__)


def build_pose_source(
    pose: PoseSettings, movenet: MoveNetSettings, topdown: TopDownSettings, device: str = "CPU"
) -> PoseSource:
    """Return the pose source that `pose` names; downloads and exports its networks where they are missing.

    Args:
        pose: names the source.
        movenet: settings of the embedded source.
        topdown: settings of a detector with a pose network.
        device: OpenVINO device name, or torch's.

    Raises:
        FalldetError: a name is unknown, a checkpoint is not available, OpenMMLab is needed and not installed, or a
            network has not been quantized to int8.
    """
    if pose.source == EMBEDDED:
        return MoveNet(movenet, device)
    detector, plus, estimator = pose.source.partition("+")
    if not plus:
        raise FalldetError(
            f"unknown pose source {shown(pose.source)}; known are movenet and DETECTOR+POSE, such as yolox_s+hrnet_w32"
        )
    networks = find_network(detector), find_network(estimator)
    if topdown.engine == "torch":
        return _torch_topdown(*networks, topdown, "cpu" if device == "CPU" else device.lower())
    find_file = int8_network if topdown.precision == "int8" else exported_network
    paths = [find_file(network) for network in networks]
    return TopDown(
        YoloxDetector(paths[0], device, topdown.precision, topdown.threads),
        CropPoseEstimator(paths[1], device, topdown.precision, topdown.threads),
        topdown,
    )


def build_recognizer(settings: RecognizerSettings, device: str = "CPU") -> WindowRecognizer:
    """Return the recognizer that `settings` names, exported from its .pth file where that is needed.

    Args:
        settings: names the recognizer and its engine.
        device: OpenVINO device name; the torch engine ignores it.

    Raises:
        FalldetError: the checkpoint is not available, or OpenMMLab is needed and not installed.
    """
    checkpoint = find_checkpoint(settings.checkpoint)
    if settings.engine == "openvino":
        return Recognizer(_as_onnx(checkpoint), settings.threads, device)
    try:
        from falldet.openmmlab.checked_config import checked_config
        from falldet.openmmlab.recognizer import TorchRecognizer
    except FalldetError:
        raise FalldetError("recognizer.engine = 'torch' needs OpenMMLab; run `make install`") from None
    if checkpoint.suffix != ".pth":
        raise FalldetError(f"recognizer.engine = 'torch' needs a .pth, not {checkpoint}; set recognizer.checkpoint")
    return TorchRecognizer(checked_config(settings.config or find_config(checkpoint)), checkpoint)


def exported_network(network: Network) -> Path:
    """Return the ONNX file of a detector or pose network, exported into the cache on first use.

    Raises:
        FalldetError: an export is needed and OpenMMLab is not installed, or config and checkpoint don't match.
    """
    path = export_path(network, ".onnx")
    if not path.is_file():
        try:
            from falldet.openmmlab.checked_config import checked_config
            from falldet.openmmlab.export_pose import export_pose_network
        except FalldetError:
            raise FalldetError(
                f"{network.config.name} must be exported first, which needs OpenMMLab; run `make install`"
            ) from None
        logger.info("exporting %s with %s; later runs use the export", network.config.name, network.checkpoint.name)
        export_pose_network(checked_config(network.config), network.checkpoint, path)
    return path


def quantize_network(network: Network, videos: Sequence[str | Path]) -> Path:
    """Quantize a detector or pose network to int8, write it into the cache and return its path.

    Args:
        network: config and checkpoint; exported first if there is no export.
        videos: calibration videos, with people in the place and light where the network will run.

    Raises:
        FalldetError: NNCF is not installed, a video can't be read, none shows people, or the export fails.
    """
    import_nncf()  # mistakes of the user first: the export takes longer
    for video in videos:
        frame_count(video)
    return quantize(exported_network(network), videos, int8_path(network))


def _torch_topdown(detector: Network, estimator: Network, settings: TopDownSettings, device: str) -> TopDown:
    try:
        from falldet.openmmlab.inference import TorchDetector, TorchPoseEstimator
    except FalldetError:
        raise FalldetError("topdown.engine = 'torch' needs OpenMMLab; run `make install`") from None
    return TopDown(
        TorchDetector(detector.config, detector.checkpoint, device),
        TorchPoseEstimator(estimator.config, estimator.checkpoint, device),
        settings,
    )


def _as_onnx(path: Path) -> Path:
    """Return `path`, or for a .pth file its export, written into the cache on first use."""
    if path.suffix != ".pth":
        return path
    config = find_config(path)
    digest = hashlib.sha256(f"{sha256_of(path)} {sha256_of(config)}".encode()).hexdigest()
    exported = cache_folder() / "exports" / f"{path.stem[:80]}-{digest[:16]}.onnx"
    if not exported.is_file():
        try:
            from falldet.openmmlab.checked_config import checked_config
            from falldet.openmmlab.export import export_recognizer
        except FalldetError:
            raise FalldetError(
                f"{path} must be exported first, which needs OpenMMLab; run `make install`, or give an .onnx file"
            ) from None
        logger.info("exporting %s", path)
        export_recognizer(checked_config(config), path, exported)
    return exported


def train_recognizer(config: str | Path, **options: Any) -> Path:
    """Train a recognizer and return its work dir; see `falldet.openmmlab.training.train`, which has the options."""
    from falldet.openmmlab.training import train

    return train(config, **options)


def evaluate_recognizer(config: str | Path, checkpoint: str | Path, **options: Any) -> str:
    """Score a split with a trained recognizer; return the table of its metrics and the folder of the files.

    See `falldet.openmmlab.testing.evaluate_checkpoint`, which has the options.
    """
    from falldet.openmmlab.testing import evaluate_checkpoint, table

    result = evaluate_checkpoint(config, checkpoint, **options)
    return f"{result.samples} samples\n{table(result.report)}\nfiles: {result.folder}"


def export_checkpoint(config: str | Path, checkpoints: Sequence[Path], out: Path) -> Path:
    """Write a trained network as an ONNX file and return its path.

    Args:
        config: of a recognizer, a detector or a pose estimator.
        checkpoints: .pth files; the recognizer written gives the mean of all, other networks take one.
        out: the file to write.

    Raises:
        FalldetError: OpenMMLab is not installed, or config and checkpoints don't match.
    """
    from falldet.openmmlab.checked_config import LIBRARIES
    from falldet.openmmlab.config import load_config
    from falldet.openmmlab.export import export_recognizer
    from falldet.openmmlab.export_pose import export_pose_network

    first, *more = checkpoints
    loaded = load_config(config)
    if (loaded.get("model") or {}).get("type") not in LIBRARIES:
        return export_recognizer(loaded, first, out, *more)
    if more:
        raise FalldetError("only recognizers can be averaged; give one checkpoint")
    return export_pose_network(loaded, first, out)
