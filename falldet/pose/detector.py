"""Person detector: a YOLOX in OpenVINO, equal to MMDetection's own inference.

Source: the test pipeline of MMDetection's YOLOX configs (scale to fit, pad to a square with 114) and the order of its
head: score threshold, then non-maximum suppression (mmdet/models/dense_heads/yolox_head.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from falldet.models.openvino import Precision, metadata_number
from falldet.pose.exported import compile_network, read_network

PAD_VALUE = 114
"""Gray level of the padding."""


class Detector(Protocol):
    """Person detector: image in, boxes out."""

    def __call__(self, image: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes (N, 4) x0 y0 x1 y1 in pixels and scores (N,) of the people in `image` (H, W, 3) uint8 BGR."""
        ...


class YoloxDetector:
    """YOLOX as exported by tools/export.py.

    Example:
        >>> boxes, scores = YoloxDetector(exported_network(find_network("yolox_s")))(image)

    Args:
        path: the .onnx file, or the .xml file of an int8 network.
        device: OpenVINO device name.
        precision: see `falldet.models.openvino.compile_options`.
        threads: processor threads for inference; 0 lets OpenVINO choose. Higher: faster, fewer cores for other stages.

    Raises:
        FalldetError: the file is not a detector, or can't run on the device.
    """

    def __init__(self, path: Path, device: str = "CPU", precision: Precision = "fastest", threads: int = 0) -> None:
        model, metadata = read_network(path, "detector")
        self._score_threshold = metadata_number(metadata, "score_threshold", 0.0, 1.0, path)
        self._nms_iou = metadata_number(metadata, "nms_iou", 0.0, 1.0, path)
        self._request = compile_network(model, path, device, precision, threads).create_infer_request()
        self._input = np.full(tuple(model.input(0).shape), PAD_VALUE, np.uint8)  # (1, S, S, 3)
        self._filled_hw: tuple[int, ...] = (0, 0)

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes (N, 4) x0 y0 x1 y1 in pixels and scores (N,), in descending order of the scores."""
        if image.shape[:2] != self._filled_hw:
            self._input[...] = PAD_VALUE
            self._filled_hw = image.shape[:2]
        scale_xy = letterbox(image, self._input[0])
        self._request.infer([self._input], share_inputs=True)
        boxes, scores = (tensor.data for tensor in self._request.output_tensors)
        likely = scores >= self._score_threshold
        boxes, scores = boxes[likely] / np.tile(scale_xy, 2), scores[likely]
        corners_and_sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        kept = np.asarray(cv2.dnn.NMSBoxes(corners_and_sizes.tolist(), scores.tolist(), 0.0, self._nms_iou), np.int64)
        return boxes[kept].astype(np.float32), scores[kept].astype(np.float32)


def letterbox(image: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Write an image (H, W, 3), scaled to fit, into the top left corner of `square` (S, S, 3) uint8.

    Returns:
        The scales (2,) of x and y.
    """
    height, width = image.shape[:2]
    scale = min(len(square) / height, len(square) / width)
    new_hw = (int(height * scale + 0.5), int(width * scale + 0.5))
    corner = square[: new_hw[0], : new_hw[1]]
    corner[...] = cv2.resize(image, new_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return np.array([new_hw[1] / width, new_hw[0] / height], np.float32)
