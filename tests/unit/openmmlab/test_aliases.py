"""Configs of finished runs with former names, which still load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

from mmaction.registry import DATASETS, HOOKS
from mmengine.registry import DefaultScope

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)
from falldet.data.annotations import dump_annotations
from falldet.openmmlab.checked_config import config_beside
from falldet.openmmlab.config import innermost_dataset, load_config
from falldet.openmmlab.hooks import TrainingHistoryHook
from falldet.openmmlab.recognizer import read_preparation
from falldet.stages.preprocessing import Preparation

pytestmark = pytest.mark.openmmlab

ROOT = Path(__file__).resolve().parents[3]
FORMER = {
    "TrainingHistoryHook": "PicturesHook",
    "NormalizeSkeleton": "NormaliseSkeleton",
    "SampleMidpoints": "SampleUniformMidpoints",
}


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """A work dir with the config of the reference recipe, as a run before the new names left it."""
    text = load_config(ROOT / "configs" / "stgcn_fall.py").pretty_text
    for name, former in FORMER.items():
        assert f"type='{name}'" in text
        text = text.replace(f"type='{name}'", f"type='{former}'")
    (tmp_path / "stgcn_fall.py").write_text(text, encoding="utf-8")
    return tmp_path


def test_aliases_let_the_config_of_a_finished_run_load(old_run: Path, rng: np.random.Generator) -> None:
    config = config_beside(old_run / "epoch_1.pth")
    assert read_preparation(config) == Preparation("image", 48, None)
    keypoints = rng.uniform(1, 300, (1, 80, 17, 2)).astype(np.float32)
    walk = {
        "frame_dir": "walk",
        "label": 0,
        "img_shape": (360, 640),
        "original_shape": (360, 640),
        "total_frames": 80,
        "keypoint": keypoints,
        "keypoint_score": np.full((1, 80, 17), 0.9, np.float32),
        "time_s": np.arange(80) / 25,
        "fall_intervals": [],
    }
    dump_annotations({"split": {"train": ["walk"]}, "annotations": [walk]}, old_run / "falls.pkl")
    split = innermost_dataset(config, "test")
    split.update(ann_file=str(old_run / "falls.pkl"), split="train")
    with DefaultScope.overwrite_default_scope("mmaction"):
        samples = DATASETS.build(split)
        assert samples[0]["inputs"].shape == (1, 1, 48, 17, 3)
        assert isinstance(HOOKS.build(config.custom_hooks[0]), TrainingHistoryHook)
