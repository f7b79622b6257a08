"""Where keypoints come from: the protocol of a pose source, and the setting that names one."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from falldet.types import People

EMBEDDED = "movenet"


@dataclass(frozen=True, slots=True)
class PoseSettings:
    """Where keypoints come from.

    Attributes:
        source: "movenet", or a detector and a pose network joined by "+", such as "yolox_s+hrnet_w32"; each is the
            beginning of a config's name in configs/, or a path to a config.
    """

    source: str = EMBEDDED


class PoseSource(Protocol):
    """Pose estimation: image in, people out.

    Attributes:
        max_in_flight: inferences that run at the same time. Above 1, several threads may submit images of several
            sources; at 1, the source may carry state from one image to the next and serves one video alone.
    """

    max_in_flight: int

    def submit(self, image: np.ndarray, /) -> Future[People]:
        """Start pose estimation on `image` (H, W, 3) uint8 BGR, which must not be changed until the future is done."""
        ...

    def reset(self) -> None:
        """Forget the images so far: the next one is of another source."""
        ...


def completed(people: People) -> Future[People]:
    """Return a future that already holds its result, for a pose source that works in the calling thread."""
    future: Future[People] = Future()
    future.set_result(people)
    return future
