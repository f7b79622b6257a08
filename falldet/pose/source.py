"""Which pose source a setting names, made ready; and a name for the poses that come out of it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from falldet.io.files import sha256_of
from falldet.models.checkpoints import CHECKPOINTS, find_checkpoint
from falldet.pose.exported import find_network, int8_network
from falldet.pose.movenet import MoveNet, MoveNetSettings
from falldet.pose.topdown import TopDownSettings, make_topdown
from falldet.types import People, PoseSource

EMBEDDED = "movenet"

POSES_KEY_VERSION = 1
"""Version of the cache key: raise it when the same settings give other poses."""


@dataclass(frozen=True, slots=True)
class PoseSettings:
    """Where keypoints come from.

    Attributes:
        source: "movenet", or a detector and a pose network joined by "+", such as "yolox_s+hrnet_w32"; each is the
            beginning of a config's name in configs/, or a path to a config.
    """

    source: str = EMBEDDED


def make_pose_source(
    pose: PoseSettings, movenet: MoveNetSettings, topdown: TopDownSettings, device: str = "CPU"
) -> PoseSource:
    """Return the pose source that `pose` names; raises FalldetError where it can't be had."""
    if pose.source == EMBEDDED:
        return MoveNet(movenet, device)
    return make_topdown(pose.source, topdown, device)


def poses_key(pose: PoseSettings, movenet: MoveNetSettings, topdown: TopDownSettings) -> str:
    """Return the versioned cache key of a pose source: it differs where the poses of the same video would.

    The key spells its fields out, so that renaming a setting or a class leaves cached poses valid. Raise
    `POSES_KEY_VERSION` when the code gives other poses from the same settings.
    """
    if pose.source == EMBEDDED:
        fields: dict[str, object] = {
            "source": EMBEDDED,
            "weights": _weights_key(movenet.checkpoint),
            "input_size": movenet.input_size,
            "min_person_score": movenet.min_person_score,
            "min_joint_score": movenet.min_joint_score,
            "precision": movenet.precision,
        }
    else:
        networks = [find_network(name) for name in pose.source.partition("+")[::2]]
        fields = {
            "source": "topdown",
            "networks": [network.digest() for network in networks],
            "engine": topdown.engine,
            "precision": topdown.precision,
            "det_interval": topdown.det_interval,
            "same_person_overlap": topdown.same_person_overlap,
            "duplicate_similarity": topdown.duplicate_similarity,
            "max_undetected_frames": topdown.max_undetected_frames,
            "min_person_score": topdown.min_person_score,
            "min_joint_score": topdown.min_joint_score,
            "max_people": topdown.max_people,
        }
        if topdown.precision == "int8":  # depends on the calibration video as well
            fields["int8"] = [sha256_of(int8_network(network).with_suffix(".bin")) for network in networks]
    return json.dumps({"version": POSES_KEY_VERSION, **fields}, sort_keys=True)


def _weights_key(checkpoint: str) -> str:
    """Return the name of a known checkpoint, whose bytes are pinned, or the sha256 of the user's own file."""
    return checkpoint if checkpoint in CHECKPOINTS else sha256_of(find_checkpoint(checkpoint))


class NoPoseSource:
    """Stands in for a pose source where poses are given."""

    def __call__(self, image: np.ndarray) -> People:
        """Raise RuntimeError: nobody should ask."""
        raise RuntimeError("poses are given; no image is looked at")

    def reset(self) -> None:
        """Do nothing."""
