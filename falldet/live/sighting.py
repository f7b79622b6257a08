"""What one processed frame of one camera shows, and the queue that carries it to the incidents."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from falldet.live.lying import LyingPlace
from falldet.types import Event, People

QUEUE_SIZE = 256


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a camera shows at one time.

    Attributes:
        camera: name of the camera.
        time_s: time of the frame, steady seconds.
        people: tracked people; no joints where poses were dropped.
        lying: (N,) lying degrees.
        image_hw: height and width of the frame in pixels.
        events: fall events that began or changed.
        active: events in progress, with the track that each follows now.
        places: where people lie.
        upright_tracks: tracks that were seen upright, now or before.
        interrupted: whether tracks and events end here, because no frame arrives or the service stops.
        scores: latest fall score of each track.
    """

    camera: str
    time_s: float
    people: People
    lying: np.ndarray
    image_hw: tuple[int, int]
    events: tuple[Event, ...] = ()
    active: tuple[tuple[int, Event], ...] = ()
    places: tuple[LyingPlace, ...] = ()
    upright_tracks: frozenset[int] = frozenset()
    interrupted: bool = False
    scores: dict[int, float] = field(default_factory=dict)


class Inbox:
    """A bounded queue of sightings and other messages for one thread.

    Where it is full, a sighting is merged into the last one of its camera: its events are kept, poses are dropped.

    Args:
        size: messages at most before sightings are merged.
    """

    def __init__(self, size: int = QUEUE_SIZE) -> None:
        self._size = size
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()
        self.merged = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Any) -> None:
        """Append a message; never waits, never drops an event."""
        with self._changed:
            if len(self._items) < self._size or not isinstance(item, Sighting) or not self._merge(item):
                self._items.append(item)
            self._changed.notify()

    def get(self, timeout_s: float) -> Any | None:
        """Return the oldest message, or None where none comes within `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items), timeout_s)
            return self._items.popleft() if self._items else None

    def _merge(self, newer: Sighting) -> bool:
        for position in range(len(self._items) - 1, -1, -1):
            older = self._items[position]
            if isinstance(older, Sighting) and older.camera == newer.camera and not older.interrupted:
                self._items[position] = replace(newer, events=(*older.events, *newer.events))
                self.merged += 1
                return True
        return False
