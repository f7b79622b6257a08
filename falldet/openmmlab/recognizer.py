"""The recognizer in torch: built from a config, loaded from a checkpoint, run by MMAction2's own inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmaction.apis import inference_recognizer
from mmaction.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from falldet.errors import FalldetError
from falldet.openmmlab.checked_config import checked_config
from falldet.openmmlab.checkpoint import load_checkpoint, state_dict_of
from falldet.openmmlab.config import SPLITS, innermost_dataset
from falldet.openmmlab.logs import quiet_libraries
from falldet.openmmlab.transforms import NormalizeSkeleton, SampleCausal, SampleMidpoints
from falldet.stages.preprocessing import WINDOW_FRAMES, Normalization, Preparation, resample
from falldet.stages.windows import DEFAULT_LENGTH_S
from falldet.terminal import shown
from falldet.types import Window, WindowScore


def build_recognizer(config: Config, checkpoint: str | Path) -> torch.nn.Module:
    """Return the config's recognizer with the checkpoint's weights, on the CPU and in evaluation mode.

    Args:
        config: config of a training run.
        checkpoint: a training checkpoint or a bare state dict.

    Raises:
        FalldetError: the checkpoint can't be loaded safely, or its weights belong to another network.
    """
    weights = state_dict_of(load_checkpoint(checkpoint), checkpoint)
    model = build_model(config)
    try:
        model.load_state_dict(weights)
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise FalldetError(
            f"{checkpoint} doesn't fit {config.filename} ({reason[:160]}); give the config it was trained with"
        ) from None
    return model.eval()


def build_model(config: Config) -> torch.nn.Module:
    """Return the config's recognizer with random weights.

    Raises:
        FalldetError: MMAction2 can't build it, or it doesn't tell two classes.
    """
    import mmaction.models  # noqa: F401  # fills the registry

    classes = (config.model.get("cls_head") or {}).get("num_classes")
    if classes != 2:
        raise FalldetError(
            f"{config.filename}: num_classes = {shown(classes)}, but falldet tells 2 classes, no fall and fall; set "
            "model.cls_head.num_classes=2"
        )
    try:
        with DefaultScope.overwrite_default_scope("mmaction"):
            return MODELS.build(config.model)
    except Exception as error:  # a wrong setting makes a constructor fail in any way
        raise FalldetError(
            f"{config.filename}: model can't be built ({shown(str(error), 160)}); correct its settings"
        ) from None


class TorchRecognizer:
    """Scores windows one by one with MMAction2's own inference; the baseline of `falldet.stages.recognizer`.

    Args:
        config: config of the training run; a file never runs (`checked_config`).
        checkpoint: its weights.

    Attributes:
        network: the torch network.
        normalization: coordinates of its training.
        frames: poses per resampled window.
        window_s: length of the windows of its training, seconds; None if it was trained on whole clips.

    Raises:
        FalldetError: a file is missing, or config and checkpoint don't match.
    """

    def __init__(self, config: Config | str | Path, checkpoint: str | Path) -> None:
        quiet_libraries()
        config = config if isinstance(config, Config) else checked_config(config)
        self.network = build_recognizer(config, checkpoint)
        self.network.cfg = config
        preparation = read_preparation(config)
        self.normalization, self.frames = preparation.normalization, preparation.frames
        self.window_s = preparation.window_s
        with DefaultScope.overwrite_default_scope("mmaction"):
            self._pipeline = Compose(innermost_dataset(config, "test")["pipeline"])

    def __call__(self, windows: Sequence[Window]) -> list[WindowScore]:
        """Return one score per window, in order."""
        return [WindowScore(each.track_id, each.start_s, each.stop_s, self._probability(each)) for each in windows]

    def _probability(self, window: Window) -> float:
        keypoints, scores = resample(window, self.frames)
        sample = {
            "label": -1,
            "window": window,
            "img_shape": window.image_hw,
            "original_shape": window.image_hw,
            "start_index": 0,
            "modality": "Pose",
            "total_frames": self.frames,
            "keypoint": keypoints[None],
            "keypoint_score": scores[None],
            "frame_dir": "",
        }
        with DefaultScope.overwrite_default_scope("mmaction"):
            return float(inference_recognizer(self.network, sample, self._pipeline).pred_score[1])


def read_preparation(config: Config) -> Preparation:
    """Return the preparation of the input in a config.

    Args:
        config: config of a training run.

    Raises:
        FalldetError: the splits prepare their input in different ways.
    """
    found = {(_normalizations(config, split), _window_s(config, split)) for split in SPLITS}
    samplers = _steps(config, "test", SampleMidpoints) + _steps(config, "test", SampleCausal)
    frames = {step.get("clip_len", WINDOW_FRAMES) for step in samplers}
    normalizations, window_s = found.pop()
    if found or len(normalizations) != 1 or len(frames) != 1:
        raise FalldetError(
            f"the splits of {config.filename} prepare their input in different ways; give all of them one "
            "NormalizeSkeleton mode and one window.length_s, and the test split one SampleMidpoints or SampleCausal"
        )
    return Preparation(normalizations[0], int(frames.pop()), window_s)


def _normalizations(config: Config, split: str) -> tuple[Normalization, ...]:
    return tuple(step.get("mode", "image") for step in _steps(config, split, NormalizeSkeleton))


def _window_s(config: Config, split: str) -> float | None:
    window = innermost_dataset(config, split).get("window")
    return None if window is None else float(window.get("length_s", 0) or DEFAULT_LENGTH_S)


def _steps(config: Config, split: str, transform: type) -> list[dict[str, Any]]:
    """Return the pipeline steps of a split's dataset that are a `transform`, by any of its registered names."""
    return [step for step in innermost_dataset(config, split)["pipeline"] if TRANSFORMS.get(step["type"]) is transform]
