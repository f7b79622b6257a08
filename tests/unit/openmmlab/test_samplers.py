"""BalancedSampler: its share of falls, the weight of sources, its seeds and ranks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)
from falldet.openmmlab.samplers import BalancedSampler, source_of

pytestmark = pytest.mark.openmmlab


class Samples:
    """A dataset of 900 windows of one source and 100 of another, a tenth of them falls."""

    def names(self) -> list[str]:
        return [f"large/{index}" for index in range(900)] + [f"small/{index}" for index in range(100)]

    def labels(self) -> np.ndarray:
        return (np.arange(1000) % 10 == 0).astype(int)

    def __len__(self) -> int:
        return 1000


def drawn(epoch: int = 0, **settings: float) -> list[int]:
    sampler = BalancedSampler(Samples(), 4800, seed=0, **settings)  # type: ignore[arg-type]
    sampler.set_epoch(epoch)
    assert len(sampler) == 4800
    return list(sampler)


def test_balanced_sampler_spreads_its_share_of_falls_over_every_batch() -> None:
    labels = Samples().labels()[drawn(fall_share=0.3)]
    assert labels.reshape(-1, 96).sum(axis=1).tolist() == pytest.approx([28.8] * 50, abs=1)
    assert labels.mean() == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize(("power", "share"), [(1.0, 0.1), (0.5, 0.25), (0.0, 0.5)])
def test_balanced_sampler_weighs_sources_by_a_power_of_their_windows(power: float, share: float) -> None:
    names = Samples().names()
    counts = Counter(names[index].partition("/")[0] for index in drawn(power=power))
    assert counts["small"] / 4800 == pytest.approx(share, abs=0.03)


def test_balanced_sampler_draws_by_seed_and_epoch() -> None:
    assert drawn() == drawn() != drawn(epoch=1)


def test_balanced_sampler_gives_each_rank_its_own_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn()
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr("falldet.openmmlab.samplers.get_dist_info", lambda rank=rank: (rank, 2))
        parts.append(list(BalancedSampler(Samples(), 4800, seed=0)))  # type: ignore[arg-type]
    assert [parts[0][0], parts[1][0], parts[0][1]] == whole[:3]
    assert sorted(parts[0] + parts[1]) == sorted(whole)


def test_balanced_sampler_takes_a_data_set_without_falls() -> None:
    class NoFalls(Samples):
        def labels(self) -> np.ndarray:
            return np.zeros(1000, int)

    assert len(list(BalancedSampler(NoFalls(), 96, seed=0))) == 96  # type: ignore[arg-type]


def test_source_of_takes_the_first_pattern_that_fits() -> None:
    patterns = ["a/*cam1*", "a/*"]
    names = ["a/fall-cam1@0@1.00", "a/fall-cam0@0@1.00", "b/c/d@0@1.00"]
    assert [source_of(name, patterns) for name in names] == ["a/*cam1*", "a/*", "b"]
