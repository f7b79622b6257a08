"""Sampling of training windows: a fixed share of falls, and no source that drowns the others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch

import numpy as np
from mmaction.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from falldet.openmmlab.dataset import FallDataset


@DATA_SAMPLERS.register_module()
class BalancedSampler(Sampler):
    """Draws windows with replacement: falls evenly spread over each batch, sources by a power of their windows.

    Of each label, a source with w windows is drawn in proportion to w ** power: 1 takes windows as they come, 0 gives
    every source the same weight.

    Args:
        dataset: a `FallDataset`.
        epoch_samples: windows an epoch, of all ranks.
        fall_share: share of falls.
        power: weight of a source.
        sources: patterns of clip names, as in `fnmatch`; a clip is of the source of the first one that fits, else of
            the source that the first part of its name names.
        seed: the same for all ranks.
    """

    def __init__(
        self,
        dataset: FallDataset,
        epoch_samples: int,
        fall_share: float = 0.3,
        power: float = 0.5,
        sources: Sequence[str] = (),
        seed: int | None = None,
    ) -> None:
        self._rank, self._ranks = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.total = math.ceil(epoch_samples / self._ranks) * self._ranks
        labels = dataset.labels()
        names = np.array([source_of(name, sources) for name in dataset.names()])
        rows = [np.flatnonzero(labels == label) for label in (0, 1)]
        self._rows = rows
        self._ends = [np.cumsum(chances(names[own], power)) for own in rows]
        self.fall_share = fall_share if all(len(own) for own in rows) else float(len(rows[1]) > 0)

    def __iter__(self) -> Iterator[int]:
        """Yield this rank's indices of one epoch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        falls = np.diff(np.floor(np.arange(self.total + 1) * self.fall_share)) > 0
        drawn = np.zeros(self.total, np.int64)
        for label, chosen in ((0, ~falls), (1, falls)):
            if chosen.any():
                places = np.searchsorted(self._ends[label], rng.random(chosen.sum()))
                drawn[chosen] = self._rows[label][np.minimum(places, len(self._rows[label]) - 1)]
        return iter(drawn[self._rank :: self._ranks].tolist())

    def __len__(self) -> int:
        """Return the number of this rank's indices in an epoch."""
        return self.total // self._ranks

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which changes the draw."""
        self.epoch = epoch


def source_of(name: str, patterns: Sequence[str]) -> str:
    """Return the source of a clip: the first of `patterns` that its name fits, else the first part of the name."""
    return next((pattern for pattern in patterns if fnmatch(name, pattern)), name.partition("/")[0])


def chances(sources: np.ndarray, power: float) -> np.ndarray:
    """Return the chance (N,) of each window to be drawn, by its source (N,)."""
    _, source, counts = np.unique(sources, return_inverse=True, return_counts=True)
    weights = (counts.astype(np.float64) ** (power - 1))[source]
    return weights / max(weights.sum(), 1e-12)
