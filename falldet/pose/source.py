"""Which pose source a setting names, made ready; and a name for the poses that come out of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from falldet.pose.movenet import MoveNet, MoveNetSettings
from falldet.pose.networks import find_network, int8_network
from falldet.pose.topdown import TopDownSettings, make_topdown
from falldet.types import People, PoseSource

EMBEDDED = "movenet"


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


def poses_name(pose: PoseSettings, movenet: MoveNetSettings, topdown: TopDownSettings) -> str:
    """Return a text that differs where the poses of the same video would."""
    if pose.source == EMBEDDED:
        return repr(replace(movenet, threads=0))
    networks = [find_network(name) for name in pose.source.partition("+")[::2]]
    digests = [network.digest() for network in networks]
    if topdown.precision == "int8":  # depends on the video it was made with, too
        weights = [int8_network(network).with_suffix(".bin") for network in networks]
        digests += [hashlib.sha256(path.read_bytes()).hexdigest() for path in weights]
    return " ".join([repr(replace(topdown, threads=0)), *digests])


class NoPoseSource:
    """Stands in for a pose source where poses are given."""

    def __call__(self, image: np.ndarray) -> People:
        """Raise RuntimeError: nobody should ask."""
        raise RuntimeError("poses are given; no image is looked at")

    def reset(self) -> None:
        """Do nothing."""
