"""Splits by group: no subject in two of them, near the fractions, drawn from the seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.data.manifest import ClipRecord
from falldet.data.splits import complete_splits, split_by_group

clips = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30)), min_size=1, max_size=80)


@given(clips, st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_split_by_group_keeps_groups_together_and_follows_the_seed(clips: list[tuple[int, int]], seed: int) -> None:
    labels, groups = [label for label, _ in clips], [f"s{group}" for _, group in clips]
    splits = split_by_group(labels, groups, rng=np.random.default_rng(seed))
    assert splits == split_by_group(labels, groups, rng=np.random.default_rng(seed))
    splits_of: dict[str, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        splits_of.setdefault(group, set()).add(split)
    assert all(len(found) == 1 for found in splits_of.values())
    if all(
        min(Counter(g for g, lab in zip(groups, labels, strict=True) if lab == c).values(), default=0) for c in (0, 1)
    ):
        assert "train" in splits


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), min_size=60, max_size=120),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_split_by_group_comes_near_the_fractions_in_each_class(sizes: list[tuple[int, int]], seed: int) -> None:
    labels = [label for counts in sizes for label in (0, 1) for _ in range(counts[label])]
    groups = [f"s{index}" for index, counts in enumerate(sizes) for _ in range(sum(counts))]
    splits = split_by_group(labels, groups, rng=np.random.default_rng(seed))
    for label in (0, 1):
        of_class = [split for split, other in zip(splits, labels, strict=True) if other == label]
        if len(of_class) < 40:
            continue
        counts = Counter(of_class)
        for name, fraction in (("train", 0.70), ("val", 0.15), ("test", 0.15)):
            assert counts[name] / len(of_class) == pytest.approx(fraction, abs=0.06)


@pytest.mark.parametrize(
    ("group_count", "filled"),
    [(1, {"train"}), (2, {"train", "val"}), (3, {"train", "val", "test"}), (8, {"train", "val", "test"})],
)
def test_split_by_group_spreads_few_groups_over_the_splits(
    group_count: int, filled: set[str], rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    splits = split_by_group([0, 1] * group_count, np.repeat(np.arange(group_count).astype(str), 2), rng=rng)
    assert set(splits) == filled
    assert ("stay" in caplog.text) == (group_count < 3)


def test_split_by_group_puts_a_large_group_into_train(rng: np.random.Generator) -> None:
    groups = ["large"] * 50 + ["next"] * 40 + ["small"] * 5 + ["tiny"] * 5
    splits = dict(zip(groups, split_by_group([0, 1] * 50, groups, rng=rng), strict=True))
    assert splits["large"] == splits["next"] == "train"
    assert {splits["small"], splits["tiny"]} == {"val", "test"}


def test_split_by_group_depends_on_the_seed() -> None:
    labels, groups = [0, 1] * 50, [str(index) for index in range(100)]
    assert len({tuple(split_by_group(labels, groups, rng=np.random.default_rng(seed))) for seed in range(5)}) == 5


def test_split_by_group_leaves_a_share_of_zero_empty(rng: np.random.Generator) -> None:
    groups = [str(index) for index in range(20)]
    assert set(split_by_group([0, 1] * 10, groups, (0.8, 0.2, 0.0), rng=rng)) == {"train", "val"}


@pytest.mark.parametrize(
    ("labels", "fractions"), [([0], (0.7, 0.15, 0.15)), ([0, 1], (0.7, 0.7, 0.7)), ([0, 1], (1.0,))]
)
def test_split_by_group_refuses_wrong_lengths_and_fractions(
    labels: list[int], fractions: tuple[float, ...], rng: np.random.Generator
) -> None:
    with pytest.raises(ValueError, match=r"must (have the same length|be three shares)"):
        split_by_group(labels, ["a", "b"], fractions, rng=rng)


def test_split_by_group_of_no_clip_is_empty(rng: np.random.Generator) -> None:
    assert split_by_group([], [], rng=rng) == []


def test_complete_splits_keeps_given_splits_and_draws_the_others() -> None:
    clips = [ClipRecord(Path(f"{i}.mp4"), i % 2, f"s{i}", "test" if i < 4 else None) for i in range(44)]
    splits = complete_splits(clips, seed=0)
    assert splits[:4] == ["test"] * 4
    assert {split: splits[4:].count(split) for split in ("train", "val", "test")} == {"train": 28, "val": 6, "test": 6}
