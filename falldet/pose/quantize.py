"""Post-training quantization of a detector or pose network to int8, with ranges from a video of the place of use.

Source: NNCF (https://github.com/openvinotoolkit/nncf). The weights stay as trained; each layer's range of values is
measured on calibration images with people. The layers after the last convolutions, which decode boxes and heatmaps,
stay float: a step of 1/256 of the image is too coarse there. So do depthwise convolutions: their ranges differ most
among channels, and they take little of the time. research/speed/int8.py measures speed and accuracy of the result.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from falldet.errors import FalldetError
from falldet.io.addresses import is_stream, redacted
from falldet.io.files import atomic_write
from falldet.io.video import probe, read_frames
from falldet.models.openvino import openvino
from falldet.pose.detector import PAD_VALUE, letterbox
from falldet.pose.estimator import crop_regions, crops
from falldet.pose.exported import read_network
from falldet.pose.movenet import MoveNet

logger = logging.getLogger(__name__)

MAX_IMAGES = 150
"""Calibration images of all videos together. More: better ranges, slower."""

MIN_INPUTS = 30
"""Calibration inputs below which the measured ranges may be too narrow."""

_WITH_WEIGHTS = {"Convolution", "GroupConvolution", "MatMul"}


def quantize(exported: Path, videos: Sequence[str | Path], target: Path) -> Path:
    """Quantize an exported network to int8.

    Args:
        exported: the .onnx file of a detector or pose network.
        videos: calibration videos that show people.
        target: the .xml file to write, with its .bin file in the same folder.

    Returns:
        `target`.

    Raises:
        FalldetError: NNCF is not installed, a video can't be read, or none shows people.
    """
    nncf = import_nncf()
    model, metadata = read_network(exported, "detector", "pose")
    height, width = (model.input(0).partial_shape[axis].get_length() for axis in (1, 2))
    inputs = list(_inputs(videos, metadata["kind"], (width, height)))
    if not inputs:
        raise FalldetError(
            f"no person is detected in {', '.join(map(redacted, videos))}; use a video that shows people"
        )
    if len(inputs) < MIN_INPUTS:
        logger.warning("only %d calibration inputs show people; use a longer video for better accuracy", len(inputs))
    logger.info("quantizing %s to int8 with %d images; this takes minutes", exported.name, len(inputs))
    with contextlib.redirect_stdout(sys.stderr):  # its progress bars
        quantized = nncf.quantize(
            model,
            nncf.Dataset(inputs),
            subset_size=len(inputs),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=float_layers(model)),
            # Weights of 7 bits: processors without VNNI add pairs of products in 16 bits, where 8 bits overflow.
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
        )
    _write(quantized, target)
    return target


def import_nncf() -> ModuleType:
    """Return the NNCF module, without its logging; raises FalldetError if it is not installed.

    `falldet.models.openvino`, which this module imports first, keeps its telemetry off.
    """
    try:
        import nncf
    except ImportError:
        raise FalldetError(
            "quantizing a network needs NNCF; run `python -m pip install -r requirements/int8.txt`"
        ) from None
    nncf.set_log_level(logging.ERROR)
    return nncf


def float_layers(model: openvino.Model) -> list[str]:
    """Return the names of the last layers with weights, of all layers after them, and of depthwise convolutions."""
    names: set[str] = set()
    waiting = [result.input_value(0).get_node() for result in model.get_results()]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() in names or node.get_type_name() in ("Constant", "Parameter"):
            continue
        names.add(node.get_friendly_name())
        if node.get_type_name() not in _WITH_WEIGHTS:
            waiting += [value.get_node() for value in node.input_values()]
    depthwise = {node.get_friendly_name() for node in model.get_ops() if node.get_type_name() == "GroupConvolution"}
    return sorted(names | depthwise)


def _inputs(videos: Sequence[str | Path], kind: str, input_wh: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield inputs (1, H, W, 3) uint8 of a network: images with people for a detector, else a crop of each person."""
    pose_source = MoveNet()
    for video in videos:
        for image in _images(video, max(1, MAX_IMAGES // len(videos))):
            boxes = pose_source.submit(image).result().boxes
            if kind == "pose":
                yield from crops(image, *crop_regions(boxes, input_wh), input_wh)[:, None]
            elif len(boxes):
                square = np.full((input_wh[1], input_wh[0], 3), PAD_VALUE, np.uint8)
                letterbox(image, square)
                yield square[None]


def _images(video: str | Path, count: int) -> Iterator[np.ndarray]:
    """Yield at most `count` images, evenly spaced over a video file."""
    step = max(1, math.ceil(frame_count(video) / count))
    for frame in read_frames(video):
        if frame.index >= step * count:
            return
        if frame.index % step == 0:
            yield frame.image


def frame_count(video: str | Path) -> int:
    """Return the number of frames of a video file; raises FalldetError if it is a stream or can't be read."""
    if is_stream(video):
        raise FalldetError(f"{redacted(video)} is a stream, which has no end; use a video file")
    return probe(video).frames or 1


def _write(model: openvino.Model, target: Path) -> None:
    """Write a network's .bin and .xml file; there is no .xml file while the two don't match."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / target.name
        openvino.save_model(model, made, compress_to_fp16=False)
        target.unlink(missing_ok=True)
        for suffix in (".bin", ".xml"):
            with atomic_write(target.with_suffix(suffix), binary=True) as stream:
                stream.write(made.with_suffix(suffix).read_bytes())
