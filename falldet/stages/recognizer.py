"""Recognizer: windows in, fall probabilities out; its protocol, and the exported ONNX network in OpenVINO."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np

from falldet.errors import FalldetError
from falldet.io.files import sha256_of
from falldet.models.openvino import (
    compile_model,
    compile_options,
    known_devices,
    metadata_number,
    openvino,
    openvino_core,
    read_metadata,
)
from falldet.stages.preprocessing import CHANNELS, Normalization, input_shape, prepare
from falldet.terminal import shown
from falldet.types import Window, WindowScore

MAX_FRAMES = 512
MAX_WINDOW_S = 60.0
"""Largest poses per window and length of a window, seconds, that a model file may ask for."""


@dataclass(frozen=True, slots=True)
class RecognizerSettings:
    """Choice of the recognizer and its engine.

    Attributes:
        engine: "openvino" runs the exported network in batches, "torch" MMAction2's inference window by window.
        checkpoint: known name, .onnx file of tools/export.py, or .pth of a training run, which is exported once.
        config: MMEngine config of the training run, for "torch" alone; if empty, the one in the checkpoint's folder.
        threads: processor threads for inference; 0 lets OpenVINO choose. Higher: faster, fewer cores for other stages.
    """

    engine: Literal["openvino", "torch"] = "openvino"
    checkpoint: str = "stgcn_fall"
    config: str = ""
    threads: int = 0


class WindowRecognizer(Protocol):
    """Classifies windows: fall or other motion.

    Attributes:
        normalization: preparation of its input (`preprocessing.prepare`).
        frames: poses per resampled window.
        window_s: length of the windows of its training, seconds; None if it was trained on whole clips.
    """

    normalization: Normalization
    frames: int
    window_s: float | None

    def __call__(self, windows: Sequence[Window], /) -> list[WindowScore]:
        """Return one score per window, in order."""
        ...


class Recognizer:
    """Recognizer in OpenVINO: scores all windows of a call in one batch; may be shared by several threads.

    Normalization, frames and window length are read from the file's metadata.

    Example:
        >>> recognizer = Recognizer(find_checkpoint("stgcn_fall"))
        >>> scores = recognizer(buffer.push(time_s, people, image_hw))

    Args:
        path: .onnx file written by tools/export.py.
        threads: processor threads for inference; 0 lets OpenVINO choose. Higher: faster, fewer cores for other stages.
        device: OpenVINO device name.

    Raises:
        FalldetError: the file was not written by tools/export.py, or can't run on the device.
    """

    def __init__(self, path: Path, threads: int = 0, device: str = "CPU") -> None:
        self._lock = threading.Lock()
        try:
            model = openvino_core().read_model(path)
        except (RuntimeError, ValueError):  # ValueError: OpenVINO's message is no text
            raise FalldetError(f"{path} can't be read as an ONNX model; write it again with tools/export.py") from None
        self.normalization, self.frames, self.window_s = _preparation(model, path)
        try:
            compiled = compile_model(lambda: model, sha256_of(path), device, compile_options("f32", threads))
            self._request = compiled.create_infer_request()
            self.probabilities(np.zeros((1, *input_shape(self.normalization, self.frames)), np.float32))
        except (RuntimeError, ValueError):  # ValueError: OpenVINO's message is no text
            raise FalldetError(f"{path} can't run on device {device!r}; known here: {known_devices()}") from None

    def __call__(self, windows: Sequence[Window]) -> list[WindowScore]:
        """Return one score per window, in order."""
        if not windows:
            return []
        probabilities = self.probabilities(prepare(windows, self.normalization, self.frames))
        return [
            WindowScore(window.track_id, window.start_s, window.stop_s, float(probability))
            for window, probability in zip(windows, probabilities, strict=True)
        ]

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        """Return the fall probabilities (N,) of a batch of N windows, prepared by `preprocessing.prepare`."""
        with self._lock:
            self._request.infer([batch])
            return self._request.get_output_tensor().data.copy()


def _preparation(model: openvino.Model, path: Path) -> tuple[Normalization, int, float | None]:
    """Return normalization, frames and window length in seconds, as tools/export.py wrote them into the file.

    Raises:
        FalldetError: the entries are missing or out of range, name a preparation of the input that is unknown here, or
            don't fit the network.
    """
    written = read_metadata(model, "normalization", "normalise", "frames", "window_s", "channels")
    normalization = written.get("normalization", written.get("normalise"))
    if not normalization or not written.get("frames"):
        raise FalldetError(f"{path} was not written by tools/export.py; export the trained .pth with it")
    channels = written.get("channels", "x,y,score")
    if CHANNELS.get(normalization) != channels:
        raise FalldetError(
            f"{path} takes windows prepared as {shown(normalization)} with the channels {shown(channels)}, which this "
            f"version of falldet doesn't know; known are "
            f"{', '.join(f'{name!r} ({each})' for name, each in CHANNELS.items())}"
        )
    frames = metadata_number(written, "frames", 2, MAX_FRAMES, path)
    length_s = metadata_number(written, "window_s", 0.1, MAX_WINDOW_S, path) if written.get("window_s") else None
    if frames % 1:
        raise FalldetError(f"{path}: its metadata has frames = {frames:g}, no whole number; export it again")
    shape = input_shape(cast(Normalization, normalization), int(frames))
    if not _takes(model, shape):
        raise FalldetError(f"{path} is no recognizer of {frames:g} poses; export the trained .pth with tools/export.py")
    return cast(Normalization, normalization), int(frames), length_s


def _takes(model: openvino.Model, shape: tuple[int, ...]) -> bool:
    """Whether a network takes one float32 input (N, *shape) and gives one output (N,)."""
    inputs, outputs = model.inputs, model.outputs
    return (
        len(inputs) == 1
        and inputs[0].element_type == openvino.Type.f32
        and inputs[0].partial_shape.compatible(openvino.PartialShape([-1, *shape]))
        and len(outputs) == 1
        and outputs[0].partial_shape.compatible(openvino.PartialShape([-1]))
    )
