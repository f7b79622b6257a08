"""Windows in, fall probability out: the preparation shared with training, and the ONNX model in OpenVINO."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast, get_args

import numpy as np
import openvino

from falldet.errors import FalldetError
from falldet.io.files import sha256_of
from falldet.models.checkpoints import cache_folder, find_checkpoint
from falldet.models.openvino import compile_model, openvino_core
from falldet.stages.windows import WINDOW_FRAMES, resample
from falldet.types import Window, WindowScore

logger = logging.getLogger(__name__)

Normalization = Literal["image", "person"]


def uniform_indices(total: int, count: int) -> np.ndarray:
    """Return `count` indices (count,) int64 into `total` frames: the middles of equal parts.

    Deterministic, and without wrap-around: fewer frames than parts repeat their neighbors in order.
    """
    return ((np.arange(count) + 0.5) * total / count).astype(np.int64)


def normalize(keypoints: np.ndarray, scores: np.ndarray, image_hw: tuple[int, int], mode: Normalization) -> np.ndarray:
    """Return keypoints (..., T, V, 2) in the coordinates the recognizer is trained on; missing joints stay (0, 0).

    Args:
        keypoints: (..., T, V, 2) pixels.
        scores: (..., T, V); 0 marks a missing joint.
        image_hw: height and width of the frame in pixels.
        mode: "image" maps the frame to [-1, 1] (MMAction2's PreNormalize2D); "person" puts the middle of the
            person's way through the window at the origin and measures in lengths of the person's longer side, so
            that neither place nor distance from the camera matters.
    """
    seen = scores[..., None] > 0
    if mode == "image":
        half_wh = np.array([image_hw[1], image_hw[0]], np.float32) / 2
        moved = (keypoints - half_wh) / half_wh
    elif mode == "person":
        center, size = _center_and_size(keypoints, seen)
        moved = (keypoints - center) / size
    else:
        raise ValueError(f"mode = {mode!r} must be 'image' or 'person'")
    return np.where(seen, moved, 0).astype(np.float32)


def _center_and_size(keypoints: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median box center (..., 1, 1, 2) and median longer box side (..., 1, 1, 1) over the frames."""
    low = np.where(seen, keypoints, np.inf).min(axis=-2)  # (..., T, 2)
    high = np.where(seen, keypoints, -np.inf).max(axis=-2)
    found = seen.any(axis=(-1, -2))[..., None]  # (..., T, 1)
    low, high = np.where(found, low, 0), np.where(found, high, 0)
    center = _median((low + high) / 2, found)
    longer = _median((high - low).max(axis=-1, keepdims=True), found)
    return center[..., None, :], np.maximum(longer, 1)[..., None, :]


def _median(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the median (..., 1, C) of `values` (..., T, C) over the frames `found` (..., T, 1), 0 without any.

    Ten times as quick as numpy's nanmedian for so few frames.
    """
    ordered = np.sort(np.where(found, values, np.inf), axis=-2)
    count = found.sum(axis=-2, keepdims=True)
    middle = [np.take_along_axis(ordered, np.maximum(count - 1 + i, 0) // 2, axis=-2) for i in (0, 1)]
    return np.where(count > 0, (middle[0] + middle[1]) / 2, 0)


def prepare(windows: Sequence[Window], mode: Normalization, frames: int = WINDOW_FRAMES) -> np.ndarray:
    """Return the recognizer's input (N, 1, frames, V, 3) for N windows: normalized x and y, and the joint's score."""
    batch = []
    for window in windows:
        keypoints, scores = resample(window, frames)
        batch.append(np.concatenate([normalize(keypoints, scores, window.image_hw, mode), scores[..., None]], axis=-1))
    return np.stack(batch)[:, None].astype(np.float32)


@dataclass(frozen=True, slots=True)
class RecognizerSettings:
    """Which recognizer runs, and how.

    Attributes:
        engine: "openvino" runs the exported network, all windows of a moment in one batch; "torch" MMAction2's own
            inference, one window after the other.
        checkpoint: a name known to `falldet.models.checkpoints`, an .onnx file written by tools/export.py, or a .pth fresh
            from training, which is exported into the cache first. For torch a .pth.
        config: for torch, the run's config; the one beside the checkpoint if empty.
        threads: processor threads for inference; 0 lets OpenVINO choose.
    """

    engine: Literal["openvino", "torch"] = "openvino"
    checkpoint: str = "stgcn_fall"
    config: str = ""
    threads: int = 0


class WindowRecognizer(Protocol):
    """Tells falls from other motion: windows in, one score per window out, in order.

    Attributes:
        normalization: the coordinates it is trained on.
        frames: to how many frames a window is resampled.
        window_s: length in seconds of the windows it was trained on; None where it was trained on whole clips.
    """

    normalization: Normalization
    frames: int
    window_s: float | None

    def __call__(self, windows: Sequence[Window], /) -> list[WindowScore]:
        """Return one score per window, in order."""
        ...


class Recognizer:
    """Scores the windows of all people of a moment in one batch, with the exported model in OpenVINO.

    How its input is prepared stands in the model's own metadata, so a model and its preparation can't be mixed up.

    Args:
        settings: see `RecognizerSettings`.
        device: OpenVINO device name.

    Raises:
        FalldetError: the checkpoint can't be found, wasn't written by tools/export.py, or can't run on the device.
    """

    def __init__(self, settings: RecognizerSettings | None = None, device: str = "CPU") -> None:
        self.settings = settings or RecognizerSettings()
        self._lock = threading.Lock()  # several cameras share it
        path = _as_onnx(find_checkpoint(self.settings.checkpoint))
        core = openvino_core()
        try:
            model = core.read_model(path)
        except RuntimeError:
            raise FalldetError(f"{path} can't be read as an ONNX model; write it again with tools/export.py") from None
        self.normalization, self.frames, self.window_s = _metadata(model, path)
        config: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if self.settings.threads:
            config["INFERENCE_NUM_THREADS"] = self.settings.threads
        try:
            compiled = compile_model(lambda: model, sha256_of(path), device, config, cache_folder() / "compiled")
            self._request = compiled.create_infer_request()
        except RuntimeError:
            known = ", ".join(core.available_devices)
            raise FalldetError(f"{path} can't run on device {device!r}; OpenVINO has here: {known}") from None

    def __call__(self, windows: Sequence[Window]) -> list[WindowScore]:
        """Return one score per window, in order."""
        if not windows:
            return []
        falls = self.probabilities(prepare(windows, self.normalization, self.frames))
        return [
            WindowScore(window.track_id, window.start_s, window.stop_s, float(fall))
            for window, fall in zip(windows, falls, strict=True)
        ]

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        """Return the fall probabilities (N,) of a prepared batch (N, 1, T, V, 3)."""
        with self._lock:
            self._request.infer([batch])
            return self._request.get_output_tensor().data.copy()


def make_recognizer(settings: RecognizerSettings, device: str = "CPU") -> WindowRecognizer:
    """Return the recognizer that the settings name; raises FalldetError where it can't be had."""
    if settings.engine == "openvino":
        return Recognizer(settings, device)
    try:
        from falldet.openmmlab.recognizer import TorchRecognizer, config_beside
    except FalldetError:
        raise FalldetError("recognizer.engine = 'torch' needs OpenMMLab; run `make install`") from None
    checkpoint = find_checkpoint(settings.checkpoint)
    if checkpoint.suffix != ".pth":
        raise FalldetError(f"recognizer.engine = 'torch' takes a .pth file, not {checkpoint}; name one")
    return TorchRecognizer(settings.config or config_beside(checkpoint), checkpoint)


def _as_onnx(path: Path) -> Path:
    """Return `path`, or for a .pth in a training run's work dir its export in the cache, made where it is missing."""
    if path.suffix != ".pth":
        return path
    exported = cache_folder() / "exports" / f"{path.stem}-{sha256_of(path)[:16]}.onnx"
    if not exported.is_file():
        try:
            from falldet.openmmlab.export import config_beside, export_recognizer
        except FalldetError:
            raise FalldetError(
                f"{path} must be exported first, which needs OpenMMLab; run `make install`, or give an .onnx file"
            ) from None
        logger.info("exporting %s", path)
        exported.parent.mkdir(parents=True, exist_ok=True)
        export_recognizer(config_beside(path), path, exported)
    return exported


def _metadata(model: openvino.Model, path: Path) -> tuple[Normalization, int, float | None]:
    """Return normalization, frames and window length in seconds, as tools/export.py wrote them into the file."""

    def written(key: str) -> str:
        place = ["framework", f"falldet.{key}"]
        return str(model.get_rt_info(place).astype(str)) if model.has_rt_info(place) else ""

    normalization, frames, length_s = written("normalize"), written("frames"), written("window_s")
    if normalization not in get_args(Normalization) or not frames:
        raise FalldetError(f"{path} was not written by tools/export.py; export the trained .pth with it")
    return cast(Normalization, normalization), int(frames), float(length_s) if length_s else None
