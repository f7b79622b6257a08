"""Recognizer: windows in, fall probabilities out; its protocol, and the exported ONNX network in OpenVINO."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast, get_args

import numpy as np

from falldet.errors import FalldetError
from falldet.io.files import sha256_of
from falldet.models.openvino import (
    compile_model,
    compile_options,
    known_devices,
    openvino,
    openvino_core,
    read_metadata,
)
from falldet.stages.preprocessing import Normalization, prepare
from falldet.types import Window, WindowScore


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
        normalization: coordinates of its training (`preprocessing.normalize`).
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
        except RuntimeError:
            raise FalldetError(f"{path} can't be read as an ONNX model; write it again with tools/export.py") from None
        self.normalization, self.frames, self.window_s = _preparation(model, path)
        try:
            compiled = compile_model(lambda: model, sha256_of(path), device, compile_options("f32", threads))
            self._request = compiled.create_infer_request()
        except RuntimeError:
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
        """Return the fall probabilities (N,) of a prepared batch (N, 1, T, K, 3)."""
        with self._lock:
            self._request.infer([batch])
            return self._request.get_output_tensor().data.copy()


def _preparation(model: openvino.Model, path: Path) -> tuple[Normalization, int, float | None]:
    """Return normalization, frames and window length in seconds, as tools/export.py wrote them into the file."""
    written = read_metadata(model, "normalization", "normalise", "frames", "window_s")
    normalization, length_s = written.get("normalization", written.get("normalise")), written.get("window_s")
    if normalization not in get_args(Normalization) or not written.get("frames"):
        raise FalldetError(f"{path} was not written by tools/export.py; export the trained .pth with it")
    return cast(Normalization, normalization), int(written["frames"]), float(length_s) if length_s else None
