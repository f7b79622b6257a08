"""Train, validation and test splits, drawn by group so that no person is in two of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from falldet.data.annotations import SPLIT_NAMES, Annotation
from falldet.data.manifest import ClipRecord

logger = logging.getLogger(__name__)

EMPTY_COSTS = (16.0, 8.0, 4.0)
"""Cost of a train, val or test split without a clip of some class; above any distance from the wanted fractions."""

MAX_ROUNDS = 10
"""Rounds of moving single groups, at most."""


def complete_splits(clips: Sequence[ClipRecord], seed: int) -> list[str]:
    """Return each clip's split: its own, or one drawn 70/15/15 by class and subject where it has none."""
    splits = [clip.split for clip in clips]
    open_rows = [row for row, split in enumerate(splits) if split is None]
    if open_rows:
        drawn = split_by_group(
            [clips[row].label for row in open_rows],
            [clips[row].subject for row in open_rows],
            rng=np.random.default_rng(seed),
        )
        for row, split in zip(open_rows, drawn, strict=True):
            splits[row] = split
    return [split or "" for split in splits]


def drawn_splits(annotations: Sequence[Annotation], where: str, seed: int = 0) -> dict[str, list[str]]:
    """Return splits of clips that come without, drawn 70/15/15 by class and subject; a clip without is its own.

    Args:
        annotations: the clips.
        where: name of their file, for the log.
        seed: seed of the draw; equal clips and seeds give equal splits.
    """
    logger.warning("%s has no splits: train, val and test are drawn 70/15/15 by class and subject", where)
    names = [annotation["frame_dir"] for annotation in annotations]
    drawn = split_by_group(
        [annotation["label"] for annotation in annotations],
        [annotation.get("subject") or annotation["frame_dir"] for annotation in annotations],
        rng=np.random.default_rng(seed),
    )
    return {split: [name for name, own in zip(names, drawn, strict=True) if own == split] for split in SPLIT_NAMES}


def split_by_group(
    labels: Sequence[int] | np.ndarray,
    groups: Sequence[str] | np.ndarray,
    fractions: Sequence[float] = (0.70, 0.15, 0.15),
    *,
    rng: np.random.Generator,
) -> list[str]:
    """Return "train", "val" or "test" for each clip: stratified by class, and no group in two splits.

    Groups are shuffled, then assigned from the largest to the smallest to the split that brings the clips of each class
    nearest to the fractions. After that single groups are moved as long as the cost falls. In this second pass a split
    without a class costs more than any distance from the fractions: few groups cover as many splits as possible.

    Args:
        labels: (N,) class of each clip.
        groups: (N,) what must stay together, a subject or a source.
        fractions: shares of train, val and test, with sum 1.
        rng: the only source of randomness.

    Raises:
        ValueError: the lengths differ or the fractions are not shares.
    """
    labels, groups, shares = np.asarray(labels), np.asarray(groups), np.asarray(fractions, dtype=np.float64)
    if labels.shape != groups.shape or labels.ndim != 1:
        raise ValueError(f"labels {labels.shape} and groups {groups.shape} must have the same length")
    if shares.shape != (3,) or (shares < 0).any() or not math.isclose(shares.sum(), 1.0, abs_tol=1e-6):
        raise ValueError(f"fractions must be three shares with sum 1, got {tuple(fractions)}")
    if not len(labels):
        return []
    names, group_of = np.unique(groups, return_inverse=True)
    classes, class_of = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))  # clips of each class in each group
    np.add.at(counts, (group_of, class_of), 1)
    assigned = _assign(counts, shares, rng)
    missing = [SPLIT_NAMES[split] for split in range(3) if shares[split] > 0 and split not in assigned]
    if missing:
        logger.warning(
            "%d groups of clips (subjects or sources) can't fill three splits: %s stays empty; add clips of other "
            "people, or name the splits in a manifest",
            len(names),
            " and ".join(missing),
        )
    return [SPLIT_NAMES[split] for split in assigned[group_of]]


def _assign(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the split (G,) int64, in 0..2, of each group, given its clips of each class (G, C)."""
    totals = counts.sum(axis=0)
    targets = shares[:, None] * totals  # (3, C)
    empty_costs = np.array(EMPTY_COSTS) * (shares > 0)
    options = np.eye(3)[:, :, None]  # option s adds the group to row s

    def cheapest(filled: np.ndarray, group: np.ndarray, empty_costs: np.ndarray) -> int:
        after = filled + options * group  # (3 options, 3 splits, C)
        distance = (((after - targets) / totals) ** 2).sum(axis=(1, 2))
        return int(np.argmin(distance + ((after == 0).sum(axis=2) * empty_costs).sum(axis=1)))

    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    assigned = np.zeros(len(counts), dtype=np.int64)
    filled = np.zeros((3, counts.shape[1]))
    for group in order:
        assigned[group] = cheapest(filled, counts[group], np.zeros(3))
        filled[assigned[group]] += counts[group]
    for _ in range(MAX_ROUNDS):
        before = assigned.copy()
        for group in order[::-1]:
            filled[assigned[group]] -= counts[group]
            assigned[group] = cheapest(filled, counts[group], empty_costs)
            filled[assigned[group]] += counts[group]
        if (assigned == before).all():
            break
    return assigned
