"""The configuration of the whole pipeline: one group of settings a stage."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from falldet.config import build, override, parse_override, read_toml, unknown_key
from falldet.errors import FalldetError
from falldet.io.video import VideoSettings
from falldet.pipeline.renamed import refuse_old_name
from falldet.pose.movenet import MoveNetSettings
from falldet.pose.source import PoseSettings
from falldet.pose.topdown import TopDownSettings
from falldet.stages.events import EventSettings
from falldet.stages.frame_sampling import SamplingSettings
from falldet.stages.fusion import FusionSettings
from falldet.stages.recognizer import RecognizerSettings
from falldet.stages.tracking import TrackerSettings
from falldet.stages.windows import WindowSettings
from falldet.terminal import shown


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a run-time configuration file may say.

    Example:
        >>> config = Config.read("configs/detect.toml", ["events.alert_threshold=0.9"])
        >>> config.events.alert_threshold
        0.9

    Attributes:
        video: how images are read.
        pose: pose source, where keypoints come from.
        movenet: MoveNet, the embedded pose source.
        topdown: pose sources of a detector and a pose network.
        sampling: frame sampling, on which frames pose estimation runs.
        tracker: tracker, which joins the poses of a person over time.
        windows: windows, the pieces of a track that are scored.
        recognizer: recognizer, which scores a window.
        fusion: fusion of the scores of overlapping windows.
        events: event rule, which turns scores into fall events.
    """

    video: VideoSettings = field(default_factory=VideoSettings)
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
    def read(cls, path: str | Path, overrides: Iterable[str] = ()) -> Config:
        """Return the configuration of a TOML file; what the file leaves out keeps its default.

        Args:
            path: the file.
            overrides: `group.key=value` strings that replace single values.

        Raises:
            FalldetError: the file can't be read, or a group, key or value is wrong.
        """
        config = cls.from_groups(read_toml(path))
        return config.with_overrides(overrides)

    @classmethod
    def from_groups(cls, groups: Mapping[str, Any]) -> Config:
        """Return the configuration made from groups of values; raises FalldetError at an unknown group or key."""
        kinds = typing.get_type_hints(cls)
        for name, values in groups.items():
            _refuse_old_names(name, values)
            if name not in kinds:
                raise FalldetError(unknown_key(name, name, kinds))
            if not isinstance(values, dict):
                raise FalldetError(f"{name} must be a group of settings, got {shown(values)}")
        return cls(**{name: build(kinds[name], values, name) for name, values in groups.items()})

    def groups(self) -> dict[str, dict[str, Any]]:
        """Return the values by group and key, as a TOML file holds them: lists instead of tuples."""
        return {name: {key: _plain(value) for key, value in group.items()} for name, group in asdict(self).items()}

    def with_overrides(self, overrides: Iterable[str]) -> Config:
        """Return the configuration with values replaced by `group.key=value` strings; raises FalldetError."""
        groups, overrides = self.groups(), list(overrides)
        for text in overrides:
            refuse_old_name(parse_override(text)[0])
        override(groups, overrides)
        return self.from_groups(groups)

    def with_threads(self, threads: int) -> Config:
        """Return the configuration with so many processor threads for every model that leaves them open."""
        return replace(
            self,
            movenet=replace(self.movenet, threads=self.movenet.threads or threads),
            topdown=replace(self.topdown, threads=self.topdown.threads or threads),
            recognizer=replace(self.recognizer, threads=self.recognizer.threads or threads),
        )


def _refuse_old_names(group: str, values: Any) -> None:
    for key in values if isinstance(values, dict) else ():
        refuse_old_name(f"{group}.{key}")
    refuse_old_name(group)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
