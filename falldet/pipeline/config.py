"""The configuration of the whole pipeline: one group of settings a stage."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from falldet.config import build, unknown_key
from falldet.errors import FalldetError
from falldet.pose.movenet import MoveNetSettings
from falldet.pose.source import PoseSettings
from falldet.pose.topdown import TopDownSettings
from falldet.stages.events import EventSettings
from falldet.stages.frame_sampling import SamplingSettings
from falldet.stages.fusion import FusionSettings
from falldet.stages.recognizer import RecognizerSettings
from falldet.stages.tracking import TrackerSettings
from falldet.stages.windows import WindowSettings


@dataclass(frozen=True, slots=True)
class Config:
    """Everything configs/detect.toml may say, one group a stage."""

    pose: PoseSettings = field(default_factory=PoseSettings)
    movenet: MoveNetSettings = field(default_factory=MoveNetSettings)
    topdown: TopDownSettings = field(default_factory=TopDownSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    windows: WindowSettings = field(default_factory=WindowSettings)
    recognizer: RecognizerSettings = field(default_factory=RecognizerSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)
    events: EventSettings = field(default_factory=EventSettings)

    @classmethod
    def from_groups(cls, groups: Mapping[str, Any]) -> Config:
        """Return the configuration made from groups of values; raises FalldetError at an unknown group or key."""
        kinds = typing.get_type_hints(cls)
        for name, values in groups.items():
            if name not in kinds:
                raise FalldetError(unknown_key(name, name, kinds))
            if not isinstance(values, dict):
                raise FalldetError(f"{name} must be a group of settings, got {values!r}")
        return cls(**{name: build(kinds[name], values, name) for name, values in groups.items()})

    def with_threads(self, threads: int) -> Config:
        """Return the configuration with so many processor threads for every model that leaves them open."""
        return replace(
            self,
            movenet=replace(self.movenet, threads=self.movenet.threads or threads),
            topdown=replace(self.topdown, threads=self.topdown.threads or threads),
            recognizer=replace(self.recognizer, threads=self.recognizer.threads or threads),
        )
