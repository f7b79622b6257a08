"""People for composed scenes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from falldet.types import People
from research.tracking.sources import Source


@pytest.fixture
def make_source(people_factory: Callable[..., People]) -> Callable[..., Source]:
    """A person who stands for 4 s and, in a fall, sinks by the own height: `make_source("name", fall=(2.0, 3.0))`."""
    people = people_factory((0, 0))

    def make(name: str, fall: tuple[float, float] | None = None) -> Source:
        times = np.arange(0, 4, 0.05)
        points = np.concatenate([people.keypoints[0], people.boxes[0].reshape(2, 2)]) / 120
        down = np.clip((times - 2) / 1, 0, 1) if fall else np.zeros(len(times))
        moved = points[None] + np.stack([np.zeros(len(times)), down], axis=1)[:, None]
        return Source(name, times, moved, np.tile(people.scores, (len(times), 1)), np.full(len(times), 0.8), fall)

    return make


@pytest.fixture
def sources(make_source: Callable[..., Source]) -> list[Source]:
    """Three people who fall and six who don't."""
    return [make_source(f"fall {i}", (2.0, 3.0)) for i in range(3)] + [make_source(f"day {i}") for i in range(6)]
