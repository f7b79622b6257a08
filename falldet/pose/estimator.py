"""People's joints by a top-down pose network in OpenVINO, equal to MMPose's own inference.

Source: MMPose's GetBBoxCenterScale and TopdownAffine (the crop), its codecs MSRAHeatmap and SimCCLabel (the decoding)
and TopdownPoseEstimator.add_pred_to_datasample (back into the picture).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from falldet.models.openvino import Precision
from falldet.pose.exported import compile_network, read_network
from falldet.skeleton import JOINT_COUNT

BOX_SCALE = 1.25
"""How much larger than the box the crop is."""


class PoseEstimator(Protocol):
    """Finds the joints of people whose boxes are known."""

    def __call__(self, image: np.ndarray, boxes: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (N, K, 2) in pixels and scores (N, K) of the people in boxes (N, 4) of `image`."""
        ...


class CropPoseEstimator:
    """A top-down pose network exported by tools/export.py; all people of a picture go through it in one batch.

    Args:
        path: the .onnx file, or in int8 the .xml file.
        device: OpenVINO device name.
        precision: see `falldet.models.openvino.compile_options`.
        threads: processor threads; 0 lets OpenVINO choose.

    Raises:
        FalldetError: the file is no pose network, or can't run on the device.
    """

    def __init__(self, path: Path, device: str = "CPU", precision: Precision = "fastest", threads: int = 0) -> None:
        model, metadata = read_network(path, "pose")
        height, width = (model.input(0).partial_shape[axis].get_length() for axis in (1, 2))
        self._input_wh = (int(width), int(height))
        self._split_ratio = float(metadata.get("split_ratio", 0)) if metadata["codec"] == "simcc" else None
        self._request = compile_network(model, path, device, precision, threads).create_infer_request()

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (N, K, 2) in pixels and scores (N, K) of the people in boxes (N, 4) of `image`."""
        if not len(boxes):
            return np.zeros((0, JOINT_COUNT, 2), np.float32), np.zeros((0, JOINT_COUNT), np.float32)
        centers, sizes = crop_places(boxes, self._input_wh)
        self._request.infer([crops(image, centers, sizes, self._input_wh)], share_inputs=True)
        outputs = [tensor.data for tensor in self._request.output_tensors]
        if self._split_ratio is None:
            keypoints, scores = decode_heatmaps(outputs[0])
            keypoints *= np.array(self._input_wh, np.float32) / outputs[0].shape[:1:-1]
        else:
            keypoints, scores = decode_simcc(outputs[0], outputs[1])
            keypoints /= self._split_ratio
        in_picture = keypoints / self._input_wh * sizes[:, None] + (centers - sizes / 2)[:, None]
        return in_picture.astype(np.float32), scores


def crop_places(boxes: np.ndarray, input_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return centers (N, 2) and sizes (N, 2), width and height, of the crops of boxes (N, 4), in pixels.

    A crop is the box grown by `BOX_SCALE`, and then in one direction to the shape of the network's input.
    """
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    sizes = (boxes[:, 2:] - boxes[:, :2]) * BOX_SCALE
    shape = input_wh[0] / input_wh[1]
    wide = sizes[:, 0] > sizes[:, 1] * shape
    width = np.where(wide, sizes[:, 0], sizes[:, 1] * shape)
    height = np.where(wide, sizes[:, 0] / shape, sizes[:, 1])
    return centers, np.maximum(np.stack([width, height], axis=1), 1)


def crops(image: np.ndarray, centers: np.ndarray, sizes: np.ndarray, input_wh: tuple[int, int]) -> np.ndarray:
    """Return the parts (N, H, W, 3) uint8 of an image around centers (N, 2) with sizes (N, 2); outside it is black."""
    parts = np.empty((len(centers), input_wh[1], input_wh[0], 3), np.uint8)
    for part, (x, y), (width, _) in zip(parts, centers.tolist(), sizes.tolist(), strict=True):
        scale = input_wh[0] / width
        into = np.array([[scale, 0, input_wh[0] / 2 - scale * x], [0, scale, input_wh[1] / 2 - scale * y]])
        cv2.warpAffine(image, into, input_wh, dst=part, flags=cv2.INTER_LINEAR)
    return parts


def decode_heatmaps(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places (N, K, 2), x and y in cells, and the heights (N, K) of the peaks of heatmaps (N, K, h, w).

    A peak moves a quarter of a cell towards its higher neighbor; a map without anything above 0 has its peak at -1.
    """
    people, joints, height, width = heatmaps.shape
    flat = heatmaps.reshape(people, joints, -1)
    best = flat.argmax(axis=2)
    scores = np.take_along_axis(flat, best[..., None], axis=2)[..., 0]
    y, x = np.divmod(best, width)
    n, k = np.ogrid[:people, :joints]

    def slope(left_yx: tuple[np.ndarray, np.ndarray], right_yx: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return np.sign(heatmaps[n, k, *right_yx] - heatmaps[n, k, *left_yx])

    right, left = np.minimum(x + 1, width - 1), np.maximum(x - 1, 0)
    below, above = np.minimum(y + 1, height - 1), np.maximum(y - 1, 0)
    step_x = np.where((x > 1) & (x < width - 1) & (y > 0), slope((y, left), (y, right)), 0)
    step_y = np.where((y > 1) & (y < height - 1) & (x > 0), slope((above, x), (below, x)), 0)
    places = np.stack([x + 0.25 * step_x, y + 0.25 * step_y], axis=2).astype(np.float32)
    return np.where(scores[..., None] > 0, places, -1).astype(np.float32), scores.astype(np.float32)


def decode_simcc(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places (N, K, 2), in bins, and the heights (N, K) of the peaks of x (N, K, W) and y (N, K, H).

    The lower of both heights counts; where nothing is above 0 the place is -1.
    """
    scores = np.minimum(x.max(axis=2), y.max(axis=2))
    places = np.stack([x.argmax(axis=2), y.argmax(axis=2)], axis=2).astype(np.float32)
    return np.where(scores[..., None] > 0, places, -1).astype(np.float32), scores.astype(np.float32)
