"""The present of the service in memory, for a page, metrics and health: replaced, never queued."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from falldet.live.incident import Incident
from falldet.live.reader_state import ReaderStatus
from falldet.live.sighting import Sighting


@dataclass(frozen=True, slots=True)
class CameraView:
    """One camera as it is now.

    Attributes:
        name: of the camera.
        reader: state, reason, rate and size.
        sighting: the newest; None before the first.
        processed: frames with pose estimation since the start.
        dropped: frames replaced by newer ones before they were taken.
        p95_s: 95th percentile of the time from arrival to decision over the last half minute, seconds.
    """

    name: str
    reader: ReaderStatus
    sighting: Sighting | None = None
    processed: int = 0
    dropped: int = 0
    p95_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the service works.

    Attributes:
        alive: no stage is stuck; False asks for a restart of the process.
        ready: alive, every camera that is to be watched sees, and the state is stored.
        reasons: why not, one sentence each.
    """

    alive: bool = True
    ready: bool = False
    reasons: tuple[str, ...] = field(default=("starting",))


class LiveState:
    """What any thread may read at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cameras: dict[str, CameraView] = {}
        self._sightings: dict[str, Sighting] = {}
        self._incidents: tuple[Incident, ...] = ()
        self._health = Health()

    @property
    def cameras(self) -> dict[str, CameraView]:
        """The cameras by name."""
        with self._lock:
            return dict(self._cameras)

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """The incidents that are not closed."""
        return self._incidents

    @property
    def health(self) -> Health:
        """The latest verdict."""
        return self._health

    def sighting(self, camera: str) -> Sighting | None:
        """Return the newest sighting of a camera."""
        return self._sightings.get(camera)

    def show_sighting(self, sighting: Sighting) -> None:
        """Replace the sighting of a camera."""
        self._sightings[sighting.camera] = sighting

    def show_camera(self, view: CameraView) -> None:
        """Replace the view of a camera."""
        with self._lock:
            self._cameras[view.name] = view

    def show_incidents(self, incidents: tuple[Incident, ...]) -> None:
        """Replace the open incidents."""
        self._incidents = incidents

    def show_health(self, health: Health) -> None:
        """Replace the verdict."""
        self._health = health
