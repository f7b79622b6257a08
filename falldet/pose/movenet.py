"""Embedded pose source: Google's MoveNet MultiPose (Apache-2.0) in OpenVINO, up to six people in one pass.

The model takes the whole image, uint8 RGB with sides that are multiples of 32. It returns for each of six slots 17
joints (y, x, score), a box (y0, x0, y1, x1) and a person score, in normalized coordinates of its input.
Source: https://www.tensorflow.org/hub/tutorials/movenet and the model card of MoveNet.MultiPose.
"""

from __future__ import annotations

import math
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from falldet.errors import FalldetError
from falldet.io.files import sha256_of
from falldet.models.checkpoints import find_checkpoint
from falldet.models.openvino import compile_model, compile_options, openvino, openvino_core
from falldet.skeleton import JOINT_COUNT
from falldet.types import People

STRIDE = 32
"""The sides of the model's input are multiples of this, in pixels."""

STREAMS = 2
"""Inferences that run at the same time. More: higher throughput on more cores, more memory."""


@dataclass(frozen=True, slots=True)
class MoveNetSettings:
    """Settings of the embedded pose source.

    Attributes:
        checkpoint: known name, or a .tflite file.
        input_size: longer side of the model's input, pixels, a multiple of 32. Higher: finds smaller people, slower.
        min_person_score: person score [0, 1] below which a person is dropped. Higher: fewer false and weak people.
        min_joint_score: joint score [0, 1] below which a joint is missing. Higher: fewer but more exact joints.
        precision: "fastest" is the device's best, such as bfloat16; "f32" gives the same joints on every device.
        threads: processor threads for inference; 0 lets OpenVINO choose. Higher: faster, fewer cores for other stages.
    """

    checkpoint: str = "movenet_multipose"
    input_size: int = 256
    min_person_score: float = 0.1
    min_joint_score: float = 0.05
    precision: Literal["fastest", "f32"] = "fastest"
    threads: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError if the input size is not a multiple of 32 or a score is out of [0, 1]."""
        if self.input_size < STRIDE or self.input_size % STRIDE:
            raise ValueError(f"input_size = {self.input_size} must be a multiple of {STRIDE}")
        if not (0 <= self.min_person_score <= 1 and 0 <= self.min_joint_score <= 1):
            raise ValueError("min_person_score and min_joint_score must be in [0, 1]")


@dataclass(slots=True)
class _Request:
    """An inference request of one thread and the input array it reads."""

    inference: openvino.InferRequest
    pixels: np.ndarray  # (1, h, w, 3) uint8 RGB


class _ThreadRequests(threading.local):
    """The inference requests of each thread, by image height and width."""

    def __init__(self) -> None:
        self.by_size: dict[tuple[int, int], _Request] = {}


class MoveNet:
    """MoveNet MultiPose as a pose source.

    `max_in_flight` inferences run at the same time, each in a thread with its own stream of the model. The model is
    compiled once per shape of its input; compiled models are kept in the cache folder.

    Example:
        >>> people = MoveNet().submit(cv2.imread("room.jpg")).result()
        >>> people.keypoints.shape
        (2, 17, 2)

    Args:
        settings: see `MoveNetSettings`.
        device: OpenVINO device name.

    Raises:
        FalldetError: the checkpoint is not available.
    """

    max_in_flight = STREAMS

    def __init__(self, settings: MoveNetSettings | None = None, device: str = "CPU") -> None:
        self.settings = settings or MoveNetSettings()
        self._path: Path = find_checkpoint(self.settings.checkpoint)
        self._device = device
        self._lock = threading.Lock()
        self._compiled: dict[tuple[int, int], openvino.CompiledModel] = {}
        self._requests = _ThreadRequests()
        self._pool = ThreadPoolExecutor(STREAMS, thread_name_prefix="movenet")

    def submit(self, image: np.ndarray) -> Future[People]:
        """Start pose estimation on `image` (H, W, 3) uint8 BGR, from any thread.

        The caller must not change `image` until the future is done. The future raises FalldetError if the checkpoint is
        no MoveNet or can't run on the device.
        """
        return self._pool.submit(self._estimate, image)

    def reset(self) -> None:
        """Do nothing: there is no state from image to image."""

    def _estimate(self, image: np.ndarray) -> People:
        height, width = image.shape[:2]
        requests = self._requests.by_size
        if (height, width) not in requests:
            requests[height, width] = self._new_request(height, width)
        request = requests[height, width]
        scale = self._scale(height, width)
        _fill(request.pixels[0], image, scale)
        request.inference.infer()
        slots = request.inference.get_output_tensor().data[0]
        return self._decode(slots, request.pixels.shape[1:3], scale)

    def _scale(self, height: int, width: int) -> float:
        return self.settings.input_size / max(height, width)

    def _new_request(self, height: int, width: int) -> _Request:
        """Return a request for images of this size; its input outside the scaled image stays black."""
        scaled_w, scaled_h = _scaled_wh(height, width, self._scale(height, width))
        input_hw = (STRIDE * math.ceil(scaled_h / STRIDE), STRIDE * math.ceil(scaled_w / STRIDE))
        with self._lock:
            if input_hw not in self._compiled:
                self._compiled[input_hw] = self._compile(*input_hw)
            inference = self._compiled[input_hw].create_infer_request()
        request = _Request(inference, np.zeros((1, *input_hw, 3), np.uint8))
        request.inference.set_input_tensor(openvino.Tensor(request.pixels, shared_memory=True))
        return request

    def _compile(self, height: int, width: int) -> openvino.CompiledModel:
        """Return the model compiled for an input of this size and `STREAMS` inferences at the same time."""
        threads = self.settings.threads or os.cpu_count() or 1
        options = compile_options(self.settings.precision, self.settings.threads, streams=min(STREAMS, threads))

        def read() -> openvino.Model:
            model = openvino_core().read_model(self._path)
            model.reshape([1, height, width, 3])
            return model

        try:
            name = f"{sha256_of(self._path)} {height}x{width}"
            return compile_model(read, name, self._device, options)
        except (RuntimeError, ValueError):  # ValueError: OpenVINO's message is no text
            raise FalldetError(
                f"{self._path} is no MoveNet for device {self._device!r}; set another --device or movenet.checkpoint"
            ) from None

    def _decode(self, slots: np.ndarray, input_hw: tuple[int, ...], scale: float) -> People:
        """Return the people of the six slots (6, 56), in pixels of the image."""
        slots = slots[slots[:, -1] >= self.settings.min_person_score]
        to_image = np.array([input_hw[1], input_hw[0]], np.float32) / scale
        joints = slots[:, : 3 * JOINT_COUNT].reshape(-1, JOINT_COUNT, 3)  # (N, K, y x score)
        scores = np.where(joints[..., 2] >= self.settings.min_joint_score, joints[..., 2], 0).clip(0, 1)
        keypoints = np.where(scores[..., None] > 0, joints[..., 1::-1] * to_image, 0)
        boxes = slots[:, 3 * JOINT_COUNT : 3 * JOINT_COUNT + 4][:, [1, 0, 3, 2]] * np.tile(to_image, 2)
        return People(keypoints, scores, boxes, slots[:, -1].clip(0, 1))


def _scaled_wh(height: int, width: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def _fill(pixels: np.ndarray, image: np.ndarray, scale: float) -> None:
    """Write the BGR image, scaled, into the top left corner of the RGB `pixels`."""
    width, height = _scaled_wh(image.shape[0], image.shape[1], scale)
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB, dst=pixels[:height, :width])
