"""The motion channels of MotionSTGCN."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import torch

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)
from falldet.openmmlab.backbones import MotionSTGCN

pytestmark = pytest.mark.openmmlab

SMALL = dict(graph_cfg=dict(layout="coco", mode="stgcn_spatial"), base_channels=8, num_stages=2)


def test_motion_stgcn_adds_the_motion_of_joints_visible_in_both_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    network = MotionSTGCN(**SMALL)
    given = torch.rand(1, 1, 4, 17, 3)
    given[0, 0, 2, 5] = 0  # a joint missing in the third frame
    given_on = []
    monkeypatch.setattr("mmaction.models.backbones.STGCN.forward", lambda self, x: given_on.append(x) or x)
    network(given)
    (features,) = given_on
    assert features.shape == (1, 1, 4, 17, 5)
    torch.testing.assert_close(features[..., :3], given)
    motion = features[0, 0, :, :, 3:]
    torch.testing.assert_close(motion[1, 0], given[0, 0, 1, 0, :2] - given[0, 0, 0, 0, :2])
    assert (motion[0] == 0).all()
    assert (motion[2, 5] == 0).all()
    assert (motion[3, 5] == 0).all()
