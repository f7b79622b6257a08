"""Where people lie: places that outlast a broken track, for incidents that lost sight and for people found lying.

A place begins when a track lies for `LYING_HOLD_S`. A track that was never seen upright continues the place where it
lies; one that was seen upright before begins a place of its own, for it may be a helper who bends down. A place ends
when its person is upright for `RECOVER_S`, or is not seen for `MEMORY_S`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from falldet.geometry import Polygon, box_iou, point_in_polygon, square_boxes
from falldet.stages.events import EventSettings
from falldet.stages.posture import Postures
from falldet.types import NO_TRACK, People

LYING_HOLD_S = 0.3
UPRIGHT_HOLD_S = 0.3
RECOVER_S = 1.0
MEMORY_S = 30.0
TRACK_MEMORY_S = 5.0
MAX_STEP_S = 1.0
"""A person not seen for longer is not taken to have lain all the while."""


_ids = count(1)


@dataclass(frozen=True, slots=True)
class LyingPlace:
    """A place where a person lies.

    Attributes:
        id: number of the place, unique in this process.
        track_id: track that lies there, or did last; None after the tracks were reset.
        box: the person, x0 y0 x1 y1 in pixels.
        position: middle of the hips in normalized image coordinates.
        since_s: since when the person lies, seconds.
        seen_s: when the person was last seen, seconds.
        lying_s: how long the person was seen lying since then, seconds.
        from_upright: whether the person was seen upright before lying down.
        in_ignore_zone: whether the hips are in an ignore zone.
        up_since_s: since when the person is up again; None while lying.
    """

    id: int
    track_id: int | None
    box: tuple[float, ...]
    position: tuple[float, float]
    since_s: float
    seen_s: float
    from_upright: bool
    in_ignore_zone: bool
    lying_s: float = 0.0
    up_since_s: float | None = None


@dataclass(slots=True)
class _Track:
    seen_s: float
    lying_since_s: float | None = None
    upright_since_s: float | None = None
    was_upright: bool = False


class LyingWatch:
    """Follows the places where people lie before one camera.

    Args:
        settings: thresholds of lying and upright, and the ignore zones.
    """

    def __init__(self, settings: EventSettings) -> None:
        self._settings = settings
        self._zones: tuple[Polygon, ...] = settings.ignore_zones
        self._tracks: dict[int, _Track] = {}
        self._places: dict[int, LyingPlace] = {}

    def reset_tracks(self) -> None:
        """Forget the tracks: their ids start anew. Places are kept for `MEMORY_S`."""
        self._tracks = {}
        self._places = {i: replace(place, track_id=None) for i, place in self._places.items()}

    @property
    def upright_tracks(self) -> frozenset[int]:
        """The tracks that were seen upright."""
        return frozenset(i for i, track in self._tracks.items() if track.was_upright)

    def update(self, time_s: float, people: People, postures: Postures) -> tuple[LyingPlace, ...]:
        """Take the tracked people of one frame and their postures.

        Returns:
            The places, also those of people just out of sight; one whose person has got up is given a last time.
        """
        for row in np.flatnonzero(people.track_ids != NO_TRACK):
            self._observe(int(people.track_ids[row]), float(postures.lying[row]), time_s)
        taken: set[int] = set()
        for row in np.flatnonzero(people.track_ids != NO_TRACK):
            place = self._place_of(int(people.track_ids[row]), people.boxes[row], taken, time_s)
            if place is not None:
                taken.add(place.id)
                position = postures.positions[row]
                step_s = min(time_s - place.seen_s, MAX_STEP_S)
                lies = postures.lying[row] >= self._settings.lying_threshold
                self._places[place.id] = replace(
                    place,
                    box=tuple(float(side) for side in people.boxes[row]),
                    position=(float(position[0]), float(position[1])),
                    seen_s=time_s,
                    lying_s=place.lying_s + (step_s if lies else 0.0),
                    in_ignore_zone=any(point_in_polygon(position, zone) for zone in self._zones),
                    up_since_s=self._up_since(int(people.track_ids[row]), time_s),
                )
        places = tuple(place for place in self._places.values() if time_s - place.seen_s <= MEMORY_S)
        self._places = {place.id: place for place in places if place.up_since_s is None}
        self._tracks = {i: track for i, track in self._tracks.items() if time_s - track.seen_s <= TRACK_MEMORY_S}
        return places

    def _observe(self, track_id: int, lying: float, time_s: float) -> None:
        track = self._tracks.setdefault(track_id, _Track(time_s))
        track.seen_s = time_s
        track.lying_since_s = _since(track.lying_since_s, lying >= self._settings.lying_threshold, time_s)
        track.upright_since_s = _since(track.upright_since_s, lying <= self._settings.upright_threshold, time_s)
        if track.upright_since_s is not None and time_s - track.upright_since_s >= UPRIGHT_HOLD_S:
            track.was_upright = True

    def _place_of(self, track_id: int, box: np.ndarray, taken: set[int], time_s: float) -> LyingPlace | None:
        """Return the place that a track is at: its own, one that it continues, or a new one where it lies."""
        for place in self._places.values():
            if place.track_id == track_id:
                return place
        track = self._tracks[track_id]
        if track.lying_since_s is None or time_s - track.lying_since_s < LYING_HOLD_S:
            return None
        if not track.was_upright:
            for place in self._places.values():
                if place.id not in taken and place.seen_s < time_s and is_same_place(place.box, box):
                    return replace(place, track_id=track_id)
        place = LyingPlace(next(_ids), track_id, (), (0.0, 0.0), track.lying_since_s, time_s, track.was_upright, False)
        return place

    def _up_since(self, track_id: int, time_s: float) -> float | None:
        upright_s = self._tracks[track_id].upright_since_s
        return upright_s if upright_s is not None and time_s - upright_s >= RECOVER_S else None


def is_same_place(box_a: tuple[float, ...] | np.ndarray, box_b: tuple[float, ...] | np.ndarray) -> bool:
    """Return whether the squares around two boxes (4,) overlap."""
    a, b = np.asarray(box_a, dtype=float)[None], np.asarray(box_b, dtype=float)[None]
    return bool(box_iou(square_boxes(a), square_boxes(b))[0, 0] > 0)


def _since(since_s: float | None, holds: bool, time_s: float) -> float | None:
    if not holds:
        return None
    return time_s if since_s is None else since_s
