"""Top-down pose network in OpenVINO, equal to MMPose's own inference.

Source: MMPose's GetBBoxCenterScale and TopdownAffine (cropping), its codecs MSRAHeatmap and SimCCLabel (decoding) and
TopdownPoseEstimator.add_pred_to_datasample (back to image coordinates).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from falldet.models.openvino import Precision, metadata_number
from falldet.pose.exported import compile_network, read_network
from falldet.skeleton import JOINT_COUNT

BOX_SCALE = 1.25
"""Side of the crop over the side of the box."""


class PoseEstimator(Protocol):
    """Pose network: image and boxes in, joints out."""

    def __call__(self, image: np.ndarray, boxes: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (N, K, 2) in pixels and scores (N, K) of the people in `boxes` (N, 4) of `image`."""
        ...


class CropPoseEstimator:
    """Top-down pose network as exported by tools/export.py; it takes all people of an image in one batch.

    Example:
        >>> keypoints, scores = CropPoseEstimator(exported_network(find_network("hrnet_w32")))(image, boxes)

    Args:
        path: the .onnx file, or the .xml file of an int8 network.
        device: OpenVINO device name.
        precision: see `falldet.models.openvino.compile_options`.
        threads: processor threads for inference; 0 lets OpenVINO choose. Higher: faster, fewer cores for other stages.

    Raises:
        FalldetError: the file is not a pose network, or can't run on the device.
    """

    def __init__(self, path: Path, device: str = "CPU", precision: Precision = "fastest", threads: int = 0) -> None:
        model, metadata = read_network(path, "pose")
        height, width = (model.input(0).partial_shape[axis].get_length() for axis in (1, 2))
        self._input_wh = (int(width), int(height))
        simcc = metadata.get("codec") == "simcc"
        self._split_ratio = metadata_number(metadata, "split_ratio", 0.1, 16.0, path) if simcc else None
        self._request = compile_network(model, path, device, precision, threads).create_infer_request()

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (N, K, 2) in pixels and scores (N, K) of the people in `boxes` (N, 4) of `image`.

        Args:
            image: (H, W, 3) uint8 BGR.
            boxes: (N, 4) x0 y0 x1 y1 in pixels.
        """
        if not len(boxes):
            return np.zeros((0, JOINT_COUNT, 2), np.float32), np.zeros((0, JOINT_COUNT), np.float32)
        centers, sizes = crop_regions(boxes, self._input_wh)
        self._request.infer([crops(image, centers, sizes, self._input_wh)], share_inputs=True)
        outputs = [tensor.data for tensor in self._request.output_tensors]
        if self._split_ratio is None:
            keypoints, scores = decode_heatmaps(outputs[0])
            keypoints *= np.array(self._input_wh, np.float32) / outputs[0].shape[:1:-1]
        else:
            keypoints, scores = decode_simcc(outputs[0], outputs[1])
            keypoints /= self._split_ratio
        in_image = keypoints / self._input_wh * sizes[:, None] + (centers - sizes / 2)[:, None]
        return in_image.astype(np.float32), scores


def crop_regions(boxes: np.ndarray, input_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return centers (N, 2) and sizes (N, 2), width and height, of the crops of boxes (N, 4), in pixels.

    A crop is the box scaled by `BOX_SCALE`, then enlarged in one direction to the aspect ratio of the network's input.
    """
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    sizes = (boxes[:, 2:] - boxes[:, :2]) * BOX_SCALE
    ratio = input_wh[0] / input_wh[1]
    wide = sizes[:, 0] > sizes[:, 1] * ratio
    width = np.where(wide, sizes[:, 0], sizes[:, 1] * ratio)
    height = np.where(wide, sizes[:, 0] / ratio, sizes[:, 1])
    return centers, np.maximum(np.stack([width, height], axis=1), 1)


def crops(image: np.ndarray, centers: np.ndarray, sizes: np.ndarray, input_wh: tuple[int, int]) -> np.ndarray:
    """Return the crops (N, H, W, 3) uint8 of an image around centers (N, 2) with sizes (N, 2); outside is black."""
    batch = np.empty((len(centers), input_wh[1], input_wh[0], 3), np.uint8)
    for crop, (x, y), (width, _) in zip(batch, centers.tolist(), sizes.tolist(), strict=True):
        scale = input_wh[0] / width
        to_crop = np.array([[scale, 0, input_wh[0] / 2 - scale * x], [0, scale, input_wh[1] / 2 - scale * y]])
        cv2.warpAffine(image, to_crop, input_wh, dst=crop, flags=cv2.INTER_LINEAR)
    return batch


def decode_heatmaps(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (N, K, 2), x and y in cells, and heights (N, K) of the peaks of heatmaps (N, K, h, w).

    A peak is shifted by a quarter of a cell towards its higher neighbor. Without a positive value it is at (-1, -1).
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
    peaks = np.stack([x + 0.25 * step_x, y + 0.25 * step_y], axis=2).astype(np.float32)
    return np.where(scores[..., None] > 0, peaks, -1).astype(np.float32), scores.astype(np.float32)


def decode_simcc(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (N, K, 2), in bins, and heights (N, K) of the peaks of x (N, K, W) and y (N, K, H).

    The height is the lower of both. Without a positive height the position is (-1, -1).
    """
    scores = np.minimum(x.max(axis=2), y.max(axis=2))
    peaks = np.stack([x.argmax(axis=2), y.argmax(axis=2)], axis=2).astype(np.float32)
    return np.where(scores[..., None] > 0, peaks, -1).astype(np.float32), scores.astype(np.float32)
