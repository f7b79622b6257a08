"""The recognizer as a torch network: built from a config, filled from a checkpoint, run by MMAction2 itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from mmaction.apis import inference_recognizer
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from falldet.errors import FalldetError
from falldet.openmmlab.checkpoint import load_checkpoint
from falldet.openmmlab.config import SPLITS, innermost_dataset, load_config
from falldet.openmmlab.training import quiet_libraries
from falldet.stages.preprocessing import Normalization, resample
from falldet.types import Window, WindowScore


def build_recognizer(config: Config, checkpoint: str | Path) -> torch.nn.Module:
    """Return the config's recognizer with the checkpoint's weights, on the CPU and in evaluation mode.

    Args:
        config: a run's config.
        checkpoint: a training checkpoint or a bare state dict.

    Raises:
        FalldetError: the checkpoint can't be loaded safely, or its weights belong to another network.
    """
    import mmaction.models  # noqa: F401  # fills the registry

    weights = load_checkpoint(checkpoint)
    weights = weights.get("state_dict", weights)
    with DefaultScope.overwrite_default_scope("mmaction"):
        model = MODELS.build(config.model)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise FalldetError(
            f"{checkpoint} doesn't fit {config.filename} ({reason[:160]}); give the config it was trained with"
        ) from None
    return model.eval()


def steps(config: Config, split: str, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the settings of the pipeline steps of type `kind` in a split's dataset."""
    return (step for step in innermost_dataset(config, split)["pipeline"] if step["type"] == kind)


class TorchRecognizer:
    """Scores windows one by one with MMAction2's own inference; the reference for `falldet.stages.recognizer`.

    Args:
        config_path: the run's config.
        checkpoint: its weights.

    Raises:
        FalldetError: a file is missing, or config and checkpoint don't fit.
    """

    def __init__(self, config_path: str | Path, checkpoint: str | Path) -> None:
        quiet_libraries()
        config = load_config(config_path)
        self.network = build_recognizer(config, checkpoint)
        self.network.cfg = config
        prepared = preparation(config)
        self.normalization = cast(Normalization, prepared["normalize"])
        self.frames = int(prepared["frames"])
        self.window_s = float(prepared["window_s"]) if prepared["window_s"] else None
        with DefaultScope.overwrite_default_scope("mmaction"):
            self._pipeline = Compose(innermost_dataset(config, "test")["pipeline"])

    def __call__(self, windows: Sequence[Window]) -> list[WindowScore]:
        """Return one score per window, in order."""
        return [WindowScore(each.track_id, each.start_s, each.stop_s, self._probability(each)) for each in windows]

    def _probability(self, window: Window) -> float:
        keypoints, scores = resample(window, self.frames)
        sample = {
            "label": -1,
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


def preparation(config: Config) -> dict[str, str]:
    """Return normalization, frames and window length, after a look whether all splits agree on them."""
    found = set()
    for split in SPLITS:
        window = innermost_dataset(config, split).get("window")
        mode = [step.get("mode", "image") for step in steps(config, split, "NormalizeSkeleton")]
        found.add((tuple(mode), "" if window is None else f"{float(window['length_s']):g}"))
    frames = {step.get("clip_len", 48) for step in steps(config, "test", "SampleMidpoints")}
    if len(found) != 1 or len(frames) != 1 or len(next(iter(found))[0]) != 1:
        raise FalldetError(
            f"the splits of {config.filename} prepare their input differently ({sorted(found)}); give all of them one "
            "NormalizeSkeleton mode and one window"
        )
    (mode,), window_s = found.pop()
    return {"normalize": mode, "frames": str(frames.pop()), "window_s": window_s}
