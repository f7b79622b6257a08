"""What MMAction2's own demo costs a frame: its three APIs on pictures that lie as JPEGs on the disk, as it does it.

Weights are random, which costs the same time. A detector that knows nothing finds nobody, so after it has been timed
the pose network gets the boxes that falldet's embedded pose source found; the detector's score threshold is set so high
that none of its thousands of meaningless boxes is sorted out at length. Needs OpenMMLab (`make install`).

- `inference_detector`: YOLOX-s at 640 x 640.
- `inference_topdown`: HRNet-w32 at 256 x 192 with flipping, MMPose's default, one crop a person.
- `inference_skeleton`: ST-GCN on 48 frames, ten clips a window, MMAction2's default.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmaction.apis import inference_skeleton
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpose.apis import inference_topdown

from falldet.openmmlab.config import load_config
from falldet.openmmlab.reference import scope

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

TEN_CLIPS = [
    {"type": "PreNormalize2D"},
    {"type": "GenSkeFeat", "dataset": "coco", "feats": ["j"]},
    {"type": "UniformSampleFrames", "clip_len": 48, "num_clips": 10, "test_mode": True},
    {"type": "PoseDecode"},
    {"type": "FormatGCNInput", "num_person": 2},
    {"type": "PackActionInputs"},
]


class MmChain:
    """The three networks, built once with random weights."""

    def __init__(self) -> None:
        torch.set_flush_denormal(True)  # random weights make tiny numbers, which are slow; trained ones don't
        self._detector = _built("yolox_s_person.py", "mmdet")
        self._detector.bbox_head.test_cfg.score_thr = 0.99
        self._estimator = _built("hrnet_w32_coco.py", "mmpose")
        self._estimator.dataset_meta = {"flip_indices": [0, *np.arange(1, 17).reshape(8, 2)[:, ::-1].ravel()]}
        self._recogniser = _built("stgcn_fall.py", "mmaction")
        with DefaultScope.overwrite_default_scope("mmaction"):
            self._pipeline = Compose(TEN_CLIPS)

    def detect(self, picture: Path) -> None:
        """Look for people in a picture."""
        from mmdet.apis import inference_detector

        with scope("mmdet"):
            inference_detector(self._detector, str(picture))

    def estimate(self, picture: Path, boxes: np.ndarray) -> dict[str, np.ndarray]:
        """Return keypoints (N, K, 2) and keypoint_scores (N, K) of the people in boxes (N, 4) of a picture."""
        with scope("mmpose"):
            people = [sample.pred_instances for sample in inference_topdown(self._estimator, str(picture), boxes)]
        names = ("keypoints", "keypoint_scores")
        return {name: np.concatenate([np.asarray(person[name]) for person in people]) for name in names}

    def recognise(self, poses: list[dict[str, np.ndarray]], image_hw: tuple[int, int]) -> None:
        """Score a window of poses."""
        with DefaultScope.overwrite_default_scope("mmaction"):
            inference_skeleton(self._recogniser, poses, image_hw, test_pipeline=self._pipeline)


def _built(name: str, library: str):
    config = load_config(CONFIGS / name)
    with scope(library):
        if library == "mmdet":
            from mmdet.registry import MODELS
            from mmdet.utils import register_all_modules
        elif library == "mmpose":
            from mmpose.registry import MODELS
            from mmpose.utils import register_all_modules
        else:
            from mmaction.registry import MODELS
            from mmaction.utils import register_all_modules
        register_all_modules(init_default_scope=False)
        network = MODELS.build(config.model).eval()
    network.cfg = config
    return network
