"""What configs/live.toml may say: cameras, incidents, where state is kept."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from falldet.config import build, read_toml, unknown_key
from falldet.errors import FalldetError
from falldet.geometry import Polygon, checked_polygons
from falldet.io.addresses import is_stream, redacted
from falldet.live.credentials import Credentials
from falldet.live.incident import IncidentSettings
from falldet.live.reader_state import ReaderSettings
from falldet.pipeline.config import Config

logger = logging.getLogger(__name__)

NAME = re.compile(r"[a-z0-9_-]{1,32}")
NAMED_SOURCE = re.compile(r"([a-z0-9_-]{1,32})=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """One camera.

    Attributes:
        name: of `a-z`, `0-9`, `_` and `-`, 32 at most; stands in file names, topics and messages.
        source: an RTSP or HTTP URL, a webcam's number, or a file; secrets as `{NAME}`.
        title: for people, such as "Hall, ground floor"; the name if empty.
        note: goes into every message, such as the way to the key.
        watch: False leaves the camera off.
        transport: of RTSP.
        repeat: play a file again and again, for trying things out.
        ignore_zones: polygons, corners as [x, y] in normalized image coordinates, where falls raise no alert; added to
            those of `events.ignore_zones`.
        found_lying_s: a person who lies on the floor for so long without a seen fall opens an incident, seconds; 0
            never does. Higher: fewer false alarms, later alerts.
        found_lying_min_y: only hips below this height count as on the floor, in normalized image coordinates; 0 takes
            all.
        blind_after_s: a camera that sees nothing for so long opens an incident of kind blind, seconds; 0 never does.
        frozen_after_s: see `ReaderSettings`.
        detect: overrides of detect.toml for this camera, by group and key.
    """

    name: str
    source: str
    title: str = ""
    note: str = ""
    watch: bool = True
    transport: Literal["tcp", "udp"] = "tcp"
    repeat: bool = False
    ignore_zones: tuple[Polygon, ...] = ()
    found_lying_s: float = 0.0
    found_lying_min_y: float = 0.0
    blind_after_s: float = 300.0
    frozen_after_s: float = 60.0
    detect: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError where the name, a zone or a time is not usable."""
        object.__setattr__(self, "ignore_zones", checked_polygons(self.ignore_zones))
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name = {self.name!r} must be 1 to 32 of a-z, 0-9, _ and -")
        if not self.source:
            raise ValueError(f"camera {self.name} has no source")
        for key in ("found_lying_s", "blind_after_s", "frozen_after_s"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} = {getattr(self, key)} must not be negative")

    @property
    def is_file(self) -> bool:
        """Whether the source is a file."""
        return not is_stream(self.source)

    @property
    def shown_source(self) -> str:
        """The source without user name and password."""
        return redacted(self.source)


@dataclass(frozen=True, slots=True)
class StateConfig:
    """Where the service keeps what it must not forget.

    Attributes:
        folder: database, pose clips and JSON lines.
        keep_clips_days: age at which pose clips are deleted.
        keep_incidents_days: age at which closed incidents are deleted.
        max_mb: size of the folder from which the oldest clips, then the oldest closed incidents are deleted.
    """

    folder: str = "work_dirs/live"
    keep_clips_days: float = 30.0
    keep_incidents_days: float = 365.0
    max_mb: float = 500.0

    def __post_init__(self) -> None:
        """Raise ValueError where a limit is not positive."""
        for key in ("keep_clips_days", "keep_incidents_days", "max_mb"):
            if getattr(self, key) <= 0:
                raise ValueError(f"{key} = {getattr(self, key)} must be above 0")


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """Everything configs/live.toml may say.

    Attributes:
        cameras: at least one.
        detect: settings of the detector for all cameras, by group and key, as in detect.toml.
        credentials: file of `NAME=value` lines; empty: none.
        state: see `StateConfig`.
        incidents: see `IncidentSettings`.
        reader: see `ReaderSettings`.
    """

    cameras: tuple[CameraConfig, ...]
    detect: dict[str, Any] = field(default_factory=dict)
    credentials: str = ""
    state: StateConfig = field(default_factory=StateConfig)
    incidents: IncidentSettings = field(default_factory=IncidentSettings)
    reader: ReaderSettings = field(default_factory=ReaderSettings)

    def detector_config(self, camera: CameraConfig) -> Config:
        """Return the settings of the detector for one camera; raises FalldetError where one is unknown or wrong."""
        try:
            config = Config.from_groups(_merged(self.detect, camera.detect))
        except FalldetError as error:
            raise FalldetError(f"camera {camera.name}: {error}") from None
        zones = (*config.events.ignore_zones, *camera.ignore_zones)
        return replace(config, events=replace(config.events, ignore_zones=zones))

    def with_secrets(self, credentials: Credentials) -> LiveConfig:
        """Return the configuration with every `{NAME}` in a source replaced; raises FalldetError at a missing one."""
        cameras = (
            replace(
                camera,
                source=credentials.fill(camera.source, f"the source of camera {camera.name}", not camera.is_file),
            )
            for camera in self.cameras
        )
        return replace(self, cameras=tuple(cameras))


def read_live_config(
    path: str | Path | None, sources: Sequence[str] = (), overrides: Mapping[str, Any] | None = None
) -> LiveConfig:
    """Return the configuration of a TOML file and of sources given on the command line.

    Args:
        path: the file; None for the defaults.
        sources: further cameras, each `SOURCE` or `NAME=SOURCE`.
        overrides: settings of the detector that go before those of the file, by group and key.

    Raises:
        FalldetError: the file can't be read, a key is unknown, two cameras have one name, or there is no camera.
    """
    values = read_toml(path) if path else {}
    known = {"detector", "detect", "credentials", "state", "incidents", "reader", "camera"}
    for key in values:
        if key not in known:
            raise FalldetError(f"{path}: {unknown_key(key, key, known)}")
    cameras = [*_cameras(values.get("camera", []), path), *_command_line_cameras(sources)]
    names = [camera.name for camera in cameras]
    for name in names:
        if names.count(name) > 1:
            raise FalldetError(
                f"two cameras are named {name}; give each its own name, on the command line as {name}2=SOURCE"
            )
    if not cameras:
        raise FalldetError("no camera to watch; give sources, or a --config with [[camera]] tables")
    base = read_toml(_relative(values["detector"], path)) if values.get("detector") else {}
    config = LiveConfig(
        cameras=tuple(cameras),
        detect=_merged(_merged(base, values.get("detect", {})), overrides or {}),
        credentials=str(_relative(values["credentials"], path)) if values.get("credentials") else "",
        state=build(StateConfig, values.get("state", {}), "state"),
        incidents=build(IncidentSettings, values.get("incidents", {}), "incidents"),
        reader=build(ReaderSettings, values.get("reader", {}), "reader"),
    )
    for camera in config.cameras:
        config.detector_config(camera)  # a wrong key is told before anything starts
    return config


def _cameras(tables: Any, path: str | Path | None) -> list[CameraConfig]:
    if not isinstance(tables, list):
        raise FalldetError(f"{path}: cameras are written as [[camera]] tables, each with a name and a source")
    required = [f.name for f in dataclasses.fields(CameraConfig) if f.name in ("name", "source")]
    cameras = []
    for number, table in enumerate(tables, 1):
        where = f"camera {table.get('name', number)}"
        for key in required:
            if key not in table:
                raise FalldetError(f"{path}: {where} has no {key}")
        cameras.append(build(CameraConfig, table, where))
    return cameras


def _command_line_cameras(sources: Iterable[str]) -> list[CameraConfig]:
    cameras = []
    for number, given in enumerate(sources, 1):
        named = NAMED_SOURCE.fullmatch(given)
        name, source = (named[1], named[2]) if named else (f"camera{number}", given)
        cameras.append(build(CameraConfig, {"name": name, "source": source}, f"source {number}"))
    return cameras


def _relative(name: Any, path: str | Path | None) -> Path:
    """Return a path that a configuration file names: relative to that file where it is there, else to the work dir."""
    if not isinstance(name, str):
        raise FalldetError(f"{path}: {name!r} must be the name of a file")
    sibling = Path(path or ".").parent / name
    return sibling if sibling.exists() else Path(name)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return the groups of `base` with the keys of `over` replaced."""
    merged = {name: dict(values) if isinstance(values, Mapping) else values for name, values in base.items()}
    for name, values in over.items():
        if isinstance(values, Mapping) and isinstance(merged.get(name), dict):
            merged[name].update(values)
        else:
            merged[name] = dict(values) if isinstance(values, Mapping) else values
    return merged
