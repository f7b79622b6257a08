"""The baseline pipeline's networks in torch: MMDetection's detector and MMPose's pose estimator, by their own APIs.

Each network is built and run under its own library's scope: the default scope is global to the process, and the
libraries' functions set it without restoring it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from falldet.errors import FalldetError
from falldet.openmmlab.checked_config import LIBRARIES, checked_config
from falldet.openmmlab.checkpoint import load_checkpoint, state_dict_of
from falldet.openmmlab.config import as_config
from falldet.openmmlab.logs import quiet_libraries
from falldet.skeleton import FLIP_INDICES, JOINT_COUNT
from falldet.terminal import shown


@contextmanager
def scope(library: str) -> Iterator[None]:
    """Make `library` ("mmdet", "mmpose" or "mmaction") the default scope within the block, and silence its warnings."""
    with DefaultScope.overwrite_default_scope(library), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own deprecated calls
        yield


def build_network(config: Config | str | Path, checkpoint: str | Path, device: str = "cpu") -> nn.Module:
    """Return the detector or pose estimator of a config with the checkpoint's weights, in evaluation mode.

    The file must hold every weight of the network and no other, except MMDetection 2's `ema_` copies. MMPose 0's name
    `keypoint_head` is known.

    Args:
        config: inherits one of MMDetection's YOLOX or MMPose's top-down configs; a file runs as code.
        checkpoint: a .pth file.
        device: torch's name of a device.

    Raises:
        FalldetError: a file is missing or can't be loaded safely, the weights belong to another network, or torch can't
            use the device.
    """
    quiet_libraries()
    config = as_config(config)
    library = library_of(config)
    with scope(library):
        if library == "mmdet":
            from mmdet.registry import MODELS
            from mmdet.utils import register_all_modules
        else:
            from mmpose.registry import MODELS
            from mmpose.utils import register_all_modules
        register_all_modules(init_default_scope=False)
        network = MODELS.build(config.model)
    _fill(network, checkpoint, config)
    network.cfg = config
    network.dataset_meta = {"flip_indices": list(FLIP_INDICES), "num_keypoints": JOINT_COUNT}
    try:
        return network.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise FalldetError(f"torch can't use the device {device!r} ({reason[:120]}); use --device cpu") from None


def library_of(config: Config) -> str:
    """Return "mmdet" or "mmpose", the library that a config's network belongs to; raises FalldetError for others."""
    kind = config.get("model", {}).get("type")
    if kind not in LIBRARIES:
        raise FalldetError(f"{config.filename} has a model of type {shown(kind)}; known here: {', '.join(LIBRARIES)}")
    return LIBRARIES[kind]


class TorchDetector:
    """MMDetection's own inference of a YOLOX: image in, boxes of people out.

    Args:
        config: the detector's config, which never runs (`checked_config`); its `person_class` is the index of the
            class "person", 0 where it is missing.
        checkpoint: its weights.
        device: torch's name of a device.
    """

    def __init__(self, config: Path, checkpoint: Path, device: str = "cpu") -> None:
        self.network = build_network(checked_config(config), checkpoint, device)
        self._person_class = int(self.network.cfg.get("person_class", 0))

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes (N, 4) x0 y0 x1 y1 in pixels and scores (N,) of the people in `image` (H, W, 3) uint8 BGR."""
        with scope("mmdet"):
            from mmdet.apis import inference_detector

            found = inference_detector(self.network, image).pred_instances
        people = found[found.labels == self._person_class]
        return people.bboxes.cpu().numpy(), people.scores.cpu().numpy()


class TorchPoseEstimator:
    """MMPose's own inference of a top-down network: image and boxes in, joints out.

    Args:
        config: the pose estimator's config, which never runs (`checked_config`).
        checkpoint: its weights.
        device: torch's name of a device.
    """

    def __init__(self, config: Path, checkpoint: Path, device: str = "cpu") -> None:
        self.network = build_network(checked_config(config), checkpoint, device)

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (N, K, 2) in pixels and scores (N, K) of the people in boxes (N, 4) of `image`."""
        if not len(boxes):  # inference_topdown takes the whole image for a person then
            return np.zeros((0, JOINT_COUNT, 2), np.float32), np.zeros((0, JOINT_COUNT), np.float32)
        with scope("mmpose"):
            from mmpose.apis import inference_topdown

            people = [sample.pred_instances for sample in inference_topdown(self.network, image, boxes)]
        keypoints = np.concatenate([person.keypoints for person in people])
        return keypoints.astype(np.float32), np.concatenate([person.keypoint_scores for person in people])


def _fill(network: nn.Module, checkpoint: str | Path, config: Config) -> None:
    weights = state_dict_of(load_checkpoint(checkpoint), checkpoint)
    weights = {key: value for key, value in weights.items() if not key.startswith("ema_")}
    try:
        network.load_state_dict(weights)
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise FalldetError(
            f"{checkpoint} doesn't fit {config.filename} ({reason[:160]}); give the checkpoint made with this config"
        ) from None
    network.requires_grad_(False)
