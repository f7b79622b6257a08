"""Pose source: image in, people out; its protocol, and the setting that names one."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from falldet.types import People

EMBEDDED = "movenet"
"""Name of the pose source that needs no OpenMMLab."""


@dataclass(frozen=True, slots=True)
class PoseSettings:
    """Choice of the pose source.

    Attributes:
        source: "movenet", or DETECTOR+POSE such as "yolox_s+hrnet_w32": the beginnings of names in configs/, or paths.
    """

    source: str = EMBEDDED


class PoseSource(Protocol):
    """Pose estimation: image in, people out. A public protocol: any object with these members is a pose source.

    Attributes:
        max_in_flight: inferences that run at the same time. At 1 the pose source may carry state from image to image
            and serves one video or camera. Above 1 several threads may submit images of several sources.
    """

    max_in_flight: int

    def submit(self, image: np.ndarray, /) -> Future[People]:
        """Start pose estimation on `image` (H, W, 3) uint8 BGR, which must not change until the future is done."""
        ...

    def reset(self) -> None:
        """Forget all state: the next image is of another video or camera."""
        ...


def completed(people: People) -> Future[People]:
    """Return a future that holds `people` already, for a pose source that works in the calling thread."""
    future: Future[People] = Future()
    future.set_result(people)
    return future
