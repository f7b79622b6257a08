"""A detector or pose network in int8, its ranges taken from a video of the place where it will look.

The weights stay as they were trained; each layer's range of values is measured on pictures with people in them (post-
training quantization by NNCF, https://github.com/openvinotoolkit/nncf). What comes after the last convolutions, the
decoding of boxes and the heatmaps themselves, stays float: a step of 1/256 of the picture is far too coarse there. So
do convolutions of single channels: their ranges differ most from channel to channel, and they take little of the time.

How far joints and boxes move depends on the network, and may be more than is gained in speed; research/speed/int8.py says
both. Small networks of many depthwise layers (PP-TinyPose, YOLOX-nano) moved by 2 pixels and became no faster.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import openvino

from falldet.errors import FalldetError
from falldet.io.files import atomic_write
from falldet.io.video import is_stream, probe, read_frames, redacted
from falldet.pose.detector import PAD_VALUE, letterbox
from falldet.pose.estimator import crop_places, crops
from falldet.pose.exported import read_network
from falldet.pose.movenet import MoveNet

logger = logging.getLogger(__name__)

PICTURES = 150
"""So many pictures, of all videos together, are looked at at most."""

FEW_PICTURES = 30
"""With fewer inputs than this the measured ranges may be too narrow."""

_WITH_WEIGHTS = {"Convolution", "GroupConvolution", "MatMul"}


def quantize(exported: Path, videos: Sequence[str | Path], target: Path) -> Path:
    """Write an exported network in int8 as `target`, an .xml file with its .bin beside it, and return `target`.

    Raises:
        FalldetError: NNCF is missing, a video can't be read, or none shows people.
    """
    nncf = import_nncf()
    model, metadata = read_network(exported, "detector", "pose")
    height, width = (model.input(0).partial_shape[axis].get_length() for axis in (1, 2))
    inputs = list(_inputs(videos, metadata["kind"], (width, height)))
    if not inputs:
        raise FalldetError(f"nobody is seen in {', '.join(map(str, videos))}; give a video that shows people")
    if len(inputs) < FEW_PICTURES:
        logger.warning("people are seen only %d times; a longer video makes a more exact int8 network", len(inputs))
    logger.info("making %s int8 with %d pictures; this takes minutes", exported.name, len(inputs))
    with contextlib.redirect_stdout(sys.stderr):  # its progress bars
        quantized = nncf.quantize(
            model,
            nncf.Dataset(inputs),
            subset_size=len(inputs),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=float_layers(model)),
            # Weights of 7 bits: processors without VNNI add pairs of products in 16 bits, where 8 bits run over.
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
        )
    _write(quantized, target)
    return target


def import_nncf() -> ModuleType:
    """Return NNCF, quiet and keeping to itself; raises FalldetError where it is not installed."""
    # Else it sends what is quantized, and how, to its maker's statistics, unless the user has refused beforehand.
    # https://github.com/openvinotoolkit/telemetry  Delete when it asks first.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf
    except ImportError:
        raise FalldetError(
            "making a network int8 needs NNCF; run `python -m pip install -r requirements/int8.txt`"
        ) from None
    nncf.set_log_level(logging.ERROR)
    return nncf


def float_layers(model: openvino.Model) -> list[str]:
    """Return the names of the last layers with weights, of all that comes after them and of depthwise convolutions."""
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
    """Yield inputs (1, H, W, 3) uint8 of a network: pictures with people, or a crop of each of them."""
    find_people = MoveNet()
    for video in videos:
        for image in _pictures(video, max(1, PICTURES // len(videos))):
            boxes = find_people.submit(image).result().boxes
            if kind == "pose":
                yield from crops(image, *crop_places(boxes, input_wh), input_wh)[:, None]
            elif len(boxes):
                square = np.full((input_wh[1], input_wh[0], 3), PAD_VALUE, np.uint8)
                letterbox(image, square)
                yield square[None]


def _pictures(video: str | Path, count: int) -> Iterator[np.ndarray]:
    """Yield at most `count` pictures, evenly spread over a video file."""
    step = max(1, math.ceil(frame_count(video) / count))
    for frame in read_frames(video):
        if frame.index >= step * count:
            return
        if frame.index % step == 0:
            yield frame.image


def frame_count(video: str | Path) -> int:
    if is_stream(video):
        raise FalldetError(f"{redacted(video)} is a stream, which has no end; give a video file")
    return probe(video).frames or 1


def _write(model: openvino.Model, target: Path) -> None:
    """Write a network's two files whole; while they don't fit each other, there is no .xml."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / target.name
        openvino.save_model(model, made, compress_to_fp16=False)
        target.unlink(missing_ok=True)
        for suffix in (".bin", ".xml"):
            with atomic_write(target.with_suffix(suffix), binary=True) as stream:
                stream.write(made.with_suffix(suffix).read_bytes())
