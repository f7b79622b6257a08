"""What MMAction2's own demo costs a frame: its three APIs on pictures that lie as JPEGs on the disk, as it does it.

Detector and pose network have the weights that falldet's own reference chain is given, so both find the same people;
the recognizer's are random, which costs the same time. Needs OpenMMLab (`make install`).

- `inference_detector`: YOLOX-s at 640 x 640.
- `inference_topdown`: HRNet-w32 at 256 x 192 with flipping, MMPose's default, one crop a person.
- `inference_skeleton`: ST-GCN on 48 frames, ten clips a window, MMAction2's default.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmaction.apis import inference_skeleton
from mmaction.registry import MODELS
from mmaction.utils import register_all_modules
from mmengine.dataset import Compose
from mmpose.apis import inference_topdown

from falldet.openmmlab.config import load_config
from falldet.openmmlab.inference import build_network, scope
from falldet.pose.exported import find_network

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

TEN_CLIPS = [
    {"type": "PreNormalize2D"},
    {"type": "GenSkeFeat", "dataset": "coco", "feats": ["j"]},
    {"type": "UniformSampleFrames", "clip_len": 48, "num_clips": 10, "test_mode": True},
    {"type": "PoseDecode"},
    {"type": "FormatGCNInput", "num_person": 2},
    {"type": "PackActionInputs"},
]

Poses = dict[str, np.ndarray]


class MmChain:
    """The three networks, built once; the first two with the checkpoints that `find_network` finds."""

    def __init__(self) -> None:
        torch.set_flush_denormal(True)  # random weights make tiny numbers, which are slow; trained ones don't
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

    def detect(self, picture: Path, count: int) -> np.ndarray:
        """Return the boxes (N, 4) of the `count` surest people of a picture, x0 y0 x1 y1 in pixels."""
        from mmdet.apis import inference_detector

        with scope("mmdet"):
            found = inference_detector(self._detector, str(picture)).pred_instances
        return found[found.labels == 0][:count].bboxes.numpy()  # they come with the surest first

    def estimate(self, picture: Path, boxes: np.ndarray) -> Poses:
        """Return keypoints (N, K, 2) and keypoint_scores (N, K) of the people in boxes (N, 4) of a picture."""
        with scope("mmpose"):
            people = [sample.pred_instances for sample in inference_topdown(self._estimator, str(picture), boxes)]
        names = ("keypoints", "keypoint_scores")
        return {name: np.concatenate([np.asarray(person[name]) for person in people]) for name in names}

    def recognize(self, poses: list[Poses], image_hw: tuple[int, int]) -> None:
        """Score a window of poses."""
        with scope("mmaction"):
            inference_skeleton(self._recognizer, poses, image_hw, test_pipeline=self._pipeline)
