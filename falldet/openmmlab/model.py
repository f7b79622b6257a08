"""The recogniser as a torch network: built from a config, filled from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from falldet.errors import FalldetError
from falldet.openmmlab.checkpoint import load_checkpoint
from falldet.openmmlab.config import innermost_dataset


def build_recogniser(config: Config, checkpoint: str | Path) -> torch.nn.Module:
    """Return the config's recogniser with the checkpoint's weights, on the CPU and in evaluation mode.

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
