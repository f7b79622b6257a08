"""The embedded pose source: Google's MoveNet MultiPose (Apache-2.0), up to six people in one pass, through OpenVINO.

The model takes the whole frame, uint8 RGB with sides that are multiples of 32, and returns for each of six slots 17
joints (y, x, score), a box (y0, x0, y1, x1) and a person score, all relative to its input.
Source: https://www.tensorflow.org/hub/tutorials/movenet and the model card of MoveNet.MultiPose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openvino

from falldet.checkpoints import find_checkpoint
from falldet.errors import FalldetError
from falldet.runtime import openvino_core
from falldet.skeleton import JOINT_COUNT
from falldet.types import People

STRIDE = 32


@dataclass(frozen=True, slots=True)
class MoveNetSettings:
    """Settings of the embedded pose source.

    Attributes:
        checkpoint: a name known to `falldet.checkpoints`, or a .tflite file.
        input_size: longer side of the model's input in pixels, a multiple of 32; 256 is the fastest, 384 sees
            distant and lying people better at twice the cost.
        min_person_score: people below it are dropped.
        min_joint_score: joints below it count as missing.
        threads: processor threads for inference; 0 lets OpenVINO choose.
    """

    checkpoint: str = "movenet_multipose"
    input_size: int = 256
    min_person_score: float = 0.1
    min_joint_score: float = 0.05
    threads: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError where the input size is no multiple of 32 or a score is out of [0, 1]."""
        if self.input_size < STRIDE or self.input_size % STRIDE:
            raise ValueError(f"input_size = {self.input_size} must be a multiple of {STRIDE}")
        if not (0 <= self.min_person_score <= 1 and 0 <= self.min_joint_score <= 1):
            raise ValueError("min_person_score and min_joint_score must lie in [0, 1]")


class MoveNet:
    """MoveNet MultiPose as a pose source: image in, people out.

    The model is compiled for the shape of the first image and again only if the shape changes.

    Args:
        settings: see `MoveNetSettings`.
        device: OpenVINO device name.
    """

    def __init__(self, settings: MoveNetSettings | None = None, device: str = "CPU") -> None:
        self.settings = settings or MoveNetSettings()
        self._path: Path = find_checkpoint(self.settings.checkpoint)
        self._device = device
        self._core = openvino_core()
        self._image_hw: tuple[int, int] | None = None
        self._request: openvino.InferRequest | None = None

    def __call__(self, image: np.ndarray) -> People:
        """Return the people in `image` (H, W, 3) uint8 BGR; joints below the minimum score are zeroed."""
        if image.shape[:2] != self._image_hw:
            self._compile(image.shape[0], image.shape[1])
        assert self._request is not None  # noqa: S101
        self._fill(image)
        self._request.infer()
        return self._decode(self._request.get_output_tensor().data[0])

    def reset(self) -> None:
        """Do nothing: every image is looked at for itself."""

    def _compile(self, height: int, width: int) -> None:
        size = self.settings.input_size
        self._scale = size / max(height, width)
        self._scaled_wh = (max(1, round(width * self._scale)), max(1, round(height * self._scale)))
        input_hw = [STRIDE * math.ceil(side / STRIDE) for side in (self._scaled_wh[1], self._scaled_wh[0])]
        self._input = np.zeros((1, *input_hw, 3), np.uint8)
        config: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
        if self.settings.threads:
            config["INFERENCE_NUM_THREADS"] = self.settings.threads
        try:
            model = self._core.read_model(self._path)
            model.reshape([1, *input_hw, 3])
            self._request = self._core.compile_model(model, self._device, config).create_infer_request()
        except RuntimeError:
            raise FalldetError(
                f"{self._path} is no MoveNet for device {self._device!r}; give another --device or movenet.checkpoint"
            ) from None
        self._request.set_input_tensor(openvino.Tensor(self._input, shared_memory=True))
        self._image_hw = (height, width)

    def _fill(self, image: np.ndarray) -> None:
        """Scale the image into the input's top left corner; the rest stays black."""
        width, height = self._scaled_wh
        corner = self._input[0, :height, :width]
        scaled = cv2.resize(
            image, self._scaled_wh, interpolation=cv2.INTER_AREA if self._scale < 1 else cv2.INTER_LINEAR
        )
        cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB, dst=scaled)
        corner[...] = scaled

    def _decode(self, slots: np.ndarray) -> People:
        """Turn the six slots (6, 56) into people, in pixels of the frame."""
        slots = slots[slots[:, -1] >= self.settings.min_person_score]
        input_h, input_w = self._input.shape[1:3]
        to_frame = np.array([input_w, input_h], np.float32) / self._scale
        joints = slots[:, : 3 * JOINT_COUNT].reshape(-1, JOINT_COUNT, 3)  # (N, K, y x score)
        scores = np.where(joints[..., 2] >= self.settings.min_joint_score, joints[..., 2], 0).clip(0, 1)
        keypoints = np.where(scores[..., None] > 0, joints[..., 1::-1] * to_frame, 0)
        boxes = slots[:, 3 * JOINT_COUNT : 3 * JOINT_COUNT + 4][:, [1, 0, 3, 2]] * np.tile(to_frame, 2)
        return People(keypoints, scores, boxes, slots[:, -1].clip(0, 1))
