"""The cost of MMAction2's own demo per frame: its three APIs on JPEGs on the disk, as the demo calls them.

Detector and pose network have the weights of falldet's baseline pipeline, so both find the same people; the recognizer
has random weights, which cost the same time. Needs OpenMMLab (`make install`).

- `inference_detector`: YOLOX-s at 640 x 640.
- `inference_topdown`: HRNet-w32 at 256 x 192 with flip test, MMPose's default, one crop per person.
- `inference_skeleton`: ST-GCN on 48 frames, ten clips per window, MMAction2's default.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import falldet.openmmlab  # noqa: F401  first: it makes the installed OpenMMLab wheels usable

# isort: split
import cv2
import numpy as np
import torch
from mmaction.apis import inference_skeleton
from mmaction.registry import MODELS
from mmaction.utils import register_all_modules
from mmengine.dataset import Compose
from mmpose.apis import inference_topdown

from falldet.errors import FalldetError
from falldet.openmmlab.config import load_config
from falldet.openmmlab.inference import build_network, scope
from falldet.pose.exported import find_network
from research import CONFIGS
from research.speed.cost import Cost

WINDOW, STRIDE = 48, 8
"""Frames of a window, and from one window to the next."""

TEN_CLIPS = [
    {"type": "PreNormalize2D"},
    {"type": "GenSkeFeat", "dataset": "coco", "feats": ["j"]},
    {"type": "UniformSampleFrames", "clip_len": WINDOW, "num_clips": 10, "test_mode": True},
    {"type": "PoseDecode"},
    {"type": "FormatGCNInput", "num_person": 2},
    {"type": "PackActionInputs"},
]

Poses = dict[str, np.ndarray]
"""keypoints (N, K, 2) in pixels and keypoint_scores (N, K) of the people of a frame."""


class MmPipeline:
    """The three networks, built once; detector and pose network with the checkpoints that `find_network` finds."""

    def __init__(self) -> None:
        torch.set_flush_denormal(True)  # random weights give denormal numbers, which are slow; trained ones don't
        detector, estimator = find_network("yolox_s"), find_network("hrnet_w32")
        self._detector = build_network(detector.config, detector.checkpoint)
        self._estimator = build_network(estimator.config, estimator.checkpoint)
        self._estimator.test_cfg["flip_test"] = True
        config = load_config(CONFIGS / "stgcn_fall.py")
        with scope("mmaction"):
            register_all_modules(init_default_scope=False)
            self._recognizer = MODELS.build(config.model).eval()
            self._pipeline = Compose(TEN_CLIPS)
        self._recognizer.cfg = config

    def detect(self, file: Path, count: int) -> np.ndarray:
        """Return the boxes (N, 4), xyxy in pixels, of the `count` most confident people in an image file."""
        from mmdet.apis import inference_detector

        with scope("mmdet"):
            found = inference_detector(self._detector, str(file)).pred_instances
        return found[found.labels == 0][:count].bboxes.numpy()  # sorted by score

    def estimate(self, file: Path, boxes: np.ndarray) -> Poses:
        """Return the poses of the people in boxes (N, 4) of an image file."""
        with scope("mmpose"):
            people = [sample.pred_instances for sample in inference_topdown(self._estimator, str(file), boxes)]
        names = ("keypoints", "keypoint_scores")
        return {name: np.concatenate([np.asarray(person[name]) for person in people]) for name in names}

    def recognize(self, poses: list[Poses], image_hw: tuple[int, int]) -> None:
        """Score a window of poses."""
        with scope("mmaction"):
            inference_skeleton(self._recognizer, poses, image_hw, test_pipeline=self._pipeline)


def boxes_in(pipeline: MmPipeline, image: np.ndarray, count: int) -> np.ndarray:
    """Return the boxes (N, 4) of the `count` most confident people in `image` (H, W, 3) uint8 BGR."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        cv2.imwrite(str(file), image)
        return pipeline.detect(file, count)


def measure(pipeline: MmPipeline, images: Sequence[np.ndarray], people: int, fps: float) -> Cost:
    """Return the cost per second of video: detection and poses of every frame, a window every `STRIDE` frames.

    Writing the image files before and drawing afterwards is not counted.

    Args:
        pipeline: the networks.
        images: (H, W, 3) uint8 BGR, the frames to measure on.
        people: number of people per frame.
        fps: frame rate of the video.

    Raises:
        FalldetError: a frame shows fewer people.
    """
    count = len(images)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index}.jpg" for index in range(count)]
        for file, image in zip(files, images, strict=True):
            cv2.imwrite(str(file), image)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        boxes = [pipeline.detect(file, people) for file in files]
        if any(len(found) < people for found in boxes):
            raise FalldetError(f"the first {count} frames must show {people} people; take another video")
        poses = [pipeline.estimate(file, found) for file, found in zip(files, boxes, strict=True)]
        frame = Cost((time.perf_counter() - wall_s) / count, (time.process_time() - cpu_s) / count)
        window = [poses[index % count] for index in range(WINDOW)]
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        pipeline.recognize(window, (images[0].shape[0], images[0].shape[1]))
        score = Cost((time.perf_counter() - wall_s) / STRIDE, (time.process_time() - cpu_s) / STRIDE)
    return Cost((frame.wall_s + score.wall_s) * fps, (frame.cpu_s + score.cpu_s) * fps)
