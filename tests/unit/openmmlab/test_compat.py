"""The repairs that make the OpenMMLab wheels importable, and the suppression that comes with them."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import torch

import falldet.openmmlab  # noqa: F401
from falldet.openmmlab import compat, nms

pytestmark = pytest.mark.openmmlab


def box_by_box(boxes: np.ndarray, scores: np.ndarray, threshold: float, offset: int) -> list[int]:
    """Greedy suppression as the textbook has it, one pair at a time."""
    plain = boxes.tolist()
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if all(overlap(plain[index], plain[other], offset) <= threshold for other in kept):
            kept.append(index)
    return kept


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Operations this small only wait for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def overlap(a: list[float], b: list[float], offset: int) -> float:
    wide = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0)
    high = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    union = sum(areas) - wide * high
    return wide * high / union if union > 0 else 0.0


def test_nms_equals_the_loop_on_1000_random_cases(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nms, "BLOCK", 5)  # many blocks in small cases
    for case in range(1000):
        count, offset = int(rng.integers(0, 18)), case % 2
        corners = rng.integers(0, 12, (count, 2)).astype(np.float32)
        boxes = np.concatenate([corners, corners + rng.integers(0, 9, (count, 2))], axis=1).astype(np.float32)
        scores = rng.integers(0, 6, count).astype(np.float32)  # many ties
        threshold = float(rng.choice([0.0, 0.3137, 0.5, 0.6543, 1.0]))
        kept = nms.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold, offset)
        assert kept.tolist() == box_by_box(boxes, scores, threshold, offset), case


def test_nms_of_more_boxes_than_a_block(rng: np.random.Generator) -> None:
    corners = rng.integers(0, 60, (nms.BLOCK + 100, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.integers(8, 20, corners.shape)], axis=1).astype(np.float32)
    scores = rng.random(len(boxes)).astype(np.float32)
    kept = nms.nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.5)
    assert kept.tolist() == box_by_box(boxes, scores, 0.5, 0)


def test_install_gives_mmcv_a_working_nms() -> None:
    from mmcv.ops import nms as mmcv_nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    detections, kept = mmcv_nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5)
    assert kept.tolist() == [1, 2]
    assert detections[:, 4].tolist() == pytest.approx([0.9, 0.7])


def test_missing_operators_raise_only_when_called() -> None:
    operators = compat._MissingOperators()
    with pytest.raises(NotImplementedError, match="softnms"):
        operators.softnms(1)
    assert not hasattr(operators, "__path__")


def test_install_leaves_a_compiled_mmcv_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = types.ModuleType("mmcv._ext")
    monkeypatch.setitem(sys.modules, "mmcv._ext", compiled)
    compat.install()
    assert sys.modules["mmcv._ext"] is compiled


def test_install_twice_changes_nothing() -> None:
    names = ("mmcv._ext", "torchvision", "mmaction.models.localizers.drn")
    before = [sys.modules.get(name) for name in names]
    compat.install()
    assert [sys.modules.get(name) for name in names] == before


def test_install_makes_the_three_libraries_importable() -> None:
    for name in ("mmdet.apis", "mmpose.apis", "mmaction.apis", "mmaction.models.localizers"):
        importlib.import_module(name)
