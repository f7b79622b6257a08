"""TemporalConv: its shape, velocities and the export of its pooling."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import torch

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)
from falldet.openmmlab.backbones import TemporalConv, _velocity

pytestmark = pytest.mark.openmmlab


def test_temporal_conv_gives_pooled_features_of_each_person() -> None:
    network = TemporalConv(channels=8, dilations=(1, 2)).eval()
    given = torch.rand(3, 2, 48, 17, 4)
    features = network(given)
    assert features.shape == (3, 2, 24, 1, 1)
    torch.testing.assert_close(network(given[1:2])[0], features[1])
    assert sum(p.numel() for p in TemporalConv().parameters()) < 80_000


def test_temporal_conv_looks_at_the_last_frames_apart() -> None:
    network = TemporalConv(channels=8, dilations=(1,), last_frames=6).eval()
    given = torch.rand(1, 1, 48, 17, 4)
    changed = given.clone()
    changed[:, :, 10] += 1
    before, after = network(given)[0, 0, :, 0, 0], network(changed)[0, 0, :, 0, 0]
    torch.testing.assert_close(before[16:], after[16:])  # the mean of the last six
    assert (before[:8] != after[:8]).any()


def test_velocity_is_that_of_joints_visible_in_both_frames() -> None:
    given = torch.rand(1, 4, 17, 4) + 0.1
    given[0, 2, 5, 2] = 0  # a joint missing in the third frame
    motion = _velocity(given)[0]
    torch.testing.assert_close(motion[1, 0], given[0, 1, 0, :2] - given[0, 0, 0, :2])
    assert (motion[0] == 0).all()
    assert (motion[2, 5] == 0).all()
    assert (motion[3, 5] == 0).all()
