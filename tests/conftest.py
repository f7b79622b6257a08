"""What the tests share: a seeded generator, the shared videos, made-up people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from falldet.skeleton import JOINT_COUNT
from falldet.types import People

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20240607)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos, which does not come with the repository; skipped without it."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("needs the real videos in ../shared/data, which do not come with the repository")
    return folder


@pytest.fixture
def people_factory() -> Callable[..., People]:
    """Standing people: `people_factory((100, 200), (300, 200), height_px=120)` puts their hips there."""

    def make(*centres: tuple[float, float], height_px: float = 120.0, score: float = 0.9) -> People:
        rows = np.array(
            [-0.5] + [-0.52] * 4 + [-0.35] * 2 + [-0.15] * 2 + [0.0] * 2 + [0.0] * 2 + [0.25] * 2 + [0.5] * 2
        )
        sides = np.array([0.0] + [0.03, -0.03, 0.05, -0.05] + [0.12, -0.12] * 6)
        upright = np.stack([sides, rows], axis=1) * height_px  # (K, 2)
        keypoints = np.array(centres, dtype=np.float32).reshape(-1, 1, 2) + upright
        boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
        count = len(keypoints)
        return People(keypoints, np.full((count, JOINT_COUNT), score), boxes, np.full(count, score))

    return make
