"""Sightings and answers in, incidents out: opens, joins and follows them, and stores each change before it is told.

For one thread. Durations are steady seconds; UTC stands only in what is stored and told.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from falldet.live.clock import WallClock
from falldet.live.config import CameraConfig
from falldet.live.incident import (
    Acknowledge,
    ChangeKind,
    Close,
    Fell,
    Happening,
    Incident,
    IncidentKind,
    IncidentSettings,
    Outcome,
    OutOfSight,
    Passed,
    SeenDown,
    SeenUp,
    Told,
    advance,
)
from falldet.live.incident_record import incident_of, record_of
from falldet.live.lying import LyingPlace, is_same_place
from falldet.live.reader_state import ReaderState, ReaderStatus
from falldet.live.sighting import Sighting
from falldet.live.store import Change, Message, Store
from falldet.types import Event, EventState

logger = logging.getLogger(__name__)

KNOWN_EVENTS = 1000
MAX_UNSAVED = 10_000
LYING_SHARE = 0.5
"""Share of the time since lying down that a person must be seen lying to count as found lying."""
SEEN_LYING_S = 1.0
BLIND_STATES = {ReaderState.CONNECTING, ReaderState.STALE, ReaderState.AWAY, ReaderState.FROZEN}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person says of an incident."""

    incident: str
    happening: Acknowledge | Close


class IncidentManager:
    """Keeps the incidents of all cameras.

    Args:
        cameras: by name.
        settings: see `IncidentSettings`.
        store: every change goes there in one transaction with its messages.
        wall: steady seconds to UTC.
        listeners: called with each change once it is stored, or could not be.
        messages_for: returns the messages that a change causes, for the outbox.
    """

    def __init__(
        self,
        cameras: Mapping[str, CameraConfig],
        settings: IncidentSettings,
        store: Store,
        wall: WallClock,
        listeners: Sequence[Callable[[Change], None]] = (),
        messages_for: Callable[[Change], Iterable[Message]] = lambda change: (),
    ) -> None:
        self._cameras, self._settings, self._store, self._wall = cameras, settings, store, wall
        self._listeners, self._messages_for = listeners, messages_for
        self._incidents: dict[str, Incident] = {}  # not closed
        self._by_event: OrderedDict[str, tuple[str, int]] = OrderedDict()  # event -> incident and falls
        self._followed: dict[str, int] = {}  # incident -> place
        self._told_places: dict[str, set[int]] = {name: set() for name in cameras}
        self._blind_since: dict[str, float] = {}
        self._blind_reason: dict[str, str] = {}
        self._unsaved: list[tuple[Change, list[Message]]] = []
        self.is_storing = True

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """The incidents that are not closed, the oldest first."""
        return tuple(self._incidents.values())

    def load(self, now_s: float) -> None:
        """Take up the incidents that the last run left open; their people are out of sight until seen again."""
        for record in self._store.open_incidents():
            incident = incident_of(record, now_s, self._wall)
            self._incidents[incident.id] = incident
            if incident.camera in self._cameras:
                self._step(incident.id, OutOfSight("falldet was started anew"), now_s)

    def take(self, sighting: Sighting) -> None:
        """Take what a camera shows."""
        for event in sighting.events:
            self._take_event(sighting, event)
        if sighting.interrupted:
            self._lose_all(sighting.camera, "the camera gives no frame", sighting.time_s)
        else:
            self._follow(sighting)
            self._find_lying(sighting)

    def camera_changed(self, camera: str, status: ReaderStatus) -> None:
        """Take the new state of a camera."""
        now = self._wall.at(status.since_s)
        if status.state in BLIND_STATES:
            self._blind_since.setdefault(camera, status.since_s)
            self._blind_reason[camera] = f"{status.state.value}: {status.reason}"
            self._lose_all(camera, f"the camera is {self._blind_reason[camera]}", status.since_s)
            self._save(lambda: self._store.outage(camera, now, status.state.value, status.reason))
            return
        self._blind_since.pop(camera, None)
        self._save(lambda: self._store.outage(camera, now, "", ""))
        for incident in self._of(camera):
            if incident.kind is IncidentKind.BLIND:
                self._step(incident.id, Close("falldet", Outcome.BACK), status.since_s)

    def answer(self, answer: Answer, now_s: float) -> bool:
        """Take what a person says of an incident; return False where it is not open."""
        if answer.incident not in self._incidents:
            return False
        self._step(answer.incident, answer.happening, now_s)
        return True

    def tick(self, now_s: float) -> None:
        """Let time pass: long lies, closing after recovery, blind cameras, and what could not be stored."""
        for incident in self.incidents:
            self._step(incident.id, Passed(), now_s)
        for camera, since_s in self._blind_since.items():
            after_s = self._cameras[camera].blind_after_s
            known = any(incident.kind is IncidentKind.BLIND for incident in self._of(camera))
            if after_s and now_s - since_s >= after_s and not known:
                self._open(camera, IncidentKind.BLIND, now_s, since_s, self._blind_reason[camera])
        self._flush()

    def _of(self, camera: str) -> list[Incident]:
        return [incident for incident in self._incidents.values() if incident.camera == camera]

    def _take_event(self, sighting: Sighting, event: Event) -> None:
        known = self._by_event.get(event.id)
        incident = self._incidents.get(known[0]) if known else None
        if known is None or event.falls > known[1]:
            self._take_fall(sighting, event, incident)
        elif incident is None:
            return  # closed since
        elif event.state is EventState.RECOVERED:
            up_s = sighting.time_s if event.end_s is None else event.end_s
            self._step(incident.id, SeenUp(up_s, certain=not event.handed_over), sighting.time_s)
        elif event.state is EventState.LOST:
            self._step(incident.id, OutOfSight("the person is out of sight"), sighting.time_s)

    def _take_fall(self, sighting: Sighting, event: Event, incident: Incident | None) -> None:
        start_s = event.start_s if event.falls == 1 else sighting.time_s
        box = self._box(sighting, event.track_id) or event.box
        incident = incident or self._joined(sighting, event, box)
        if incident is None:
            incident = self._open(
                sighting.camera,
                IncidentKind.FALL,
                sighting.time_s,
                start_s,
                score=event.score,
                box=box,
                track_id=event.track_id,
                event_id=event.id,
                seen_s=sighting.time_s,
            )
        elif incident.is_down and event.track_id not in sighting.upright_tracks:
            seen = SeenDown(event.track_id, box, event.lying_s, event.score)  # the same fall, by a new track
            self._step(incident.id, seen, sighting.time_s)
        else:
            fell = Fell(event.id, event.track_id, box, event.score, start_s)
            self._step(incident.id, fell, sighting.time_s)
        self._by_event[event.id] = incident.id, event.falls
        while len(self._by_event) > KNOWN_EVENTS:
            self._by_event.popitem(last=False)

    def _joined(self, sighting: Sighting, event: Event, box: tuple[float, ...]) -> Incident | None:
        """Return the incident at the place of a new event, unless its person and the one who fell are two in sight."""
        present = set(sighting.people.track_ids.tolist())
        for incident in self._of(sighting.camera):
            if incident.kind is IncidentKind.BLIND or not incident.box or not is_same_place(incident.box, box):
                continue
            two = incident.in_sight and incident.track_id in present and incident.track_id != event.track_id
            if not two:
                return incident
        return None

    def _follow(self, sighting: Sighting) -> None:
        """Tell every open incident of the camera whether its person is seen, by its event or by the place."""
        tracks = {
            self._by_event[event.id][0]: (track, event)
            for track, event in sighting.active
            if event.id in self._by_event
        }
        taken: set[int] = set()
        for incident in self._of(sighting.camera):
            if not incident.is_down:
                continue
            happening = self._by_active_event(sighting, tracks.get(incident.id))
            if happening is None and incident.id not in tracks:
                happening = self._by_place(sighting, incident, taken)
            if happening is None and sighting.time_s - incident.seen_s > self._settings.out_of_sight_s:
                happening = OutOfSight("the person is out of sight")
            if happening is not None:
                self._step(incident.id, happening, sighting.time_s)

    def _by_active_event(self, sighting: Sighting, active: tuple[int, Event] | None) -> Happening | None:
        if active is None:
            return None
        track_id, event = active
        box = self._box(sighting, track_id)
        return SeenDown(track_id, box, event.lying_s, event.score) if box else None

    def _by_place(self, sighting: Sighting, incident: Incident, taken: set[int]) -> Happening | None:
        """Return what the place where a person lies says of an incident without an event in progress."""
        for place in sighting.places:
            if place.seen_s < sighting.time_s or place.id in taken or place.track_id is None:
                continue
            followed = self._followed.get(incident.id) == place.id
            if not followed and (place.from_upright or place.lying_s < SEEN_LYING_S):
                continue  # one who was upright before is another person, such as a helper
            if not followed and not (incident.box and is_same_place(incident.box, place.box)):
                continue
            taken.add(place.id)
            self._followed[incident.id] = place.id
            self._told_places[sighting.camera].add(place.id)
            if place.up_since_s is not None:
                return SeenUp(place.up_since_s, certain=True)
            return SeenDown(place.track_id, place.box, place.lying_s)
        return None

    def _find_lying(self, sighting: Sighting) -> None:
        """Open an incident for a person who lies although no fall was seen."""
        camera = self._cameras[sighting.camera]
        told = self._told_places[sighting.camera]
        told &= {place.id for place in sighting.places}
        if not camera.found_lying_s:
            return
        for place in sighting.places:
            if place.id in told or not is_found_lying(place, sighting.time_s, camera):
                continue
            told.add(place.id)
            fallen = {
                self._by_event[event.id][0]
                for track, event in sighting.active
                if track == place.track_id and event.id in self._by_event
            }
            at_place = [
                i for i in self._of(sighting.camera) if i.box and (i.id in fallen or is_same_place(i.box, place.box))
            ]
            if not at_place:
                incident = self._open(
                    sighting.camera,
                    IncidentKind.FOUND_LYING,
                    sighting.time_s,
                    place.since_s,
                    box=place.box,
                    track_id=place.track_id,
                    seen_s=sighting.time_s,
                    lying_s=place.lying_s,
                )
                self._followed[incident.id] = place.id
            elif at_place[0].up_since_s is not None:
                fell = Fell("", place.track_id, place.box, 0.0, place.since_s)
                self._step(at_place[0].id, fell, sighting.time_s)
                self._followed[at_place[0].id] = place.id

    def _lose_all(self, camera: str, reason: str, time_s: float) -> None:
        for incident in self._of(camera):
            self._step(incident.id, OutOfSight(reason), time_s)
            self._followed.pop(incident.id, None)

    def _open(
        self, camera: str, kind: IncidentKind, time_s: float, down_since_s: float, detail: str = "", **about: Any
    ) -> Incident:
        stamp = self._wall.at(time_s)
        name = f"{stamp:%Y%m%dT%H%M%S}{stamp.microsecond // 1000:03}-{camera}-{secrets.token_hex(2)}"
        incident = Incident(name, camera, kind, time_s, down_since_s, changes=1, **about)
        self._incidents[name] = incident
        self._tell(incident, [Told(ChangeKind.ALERT, detail)], time_s)
        return incident

    def _step(self, name: str, happening: Happening, time_s: float) -> None:
        incident, told = advance(self._incidents[name], happening, time_s, self._settings)
        self._incidents[name] = incident
        if told:
            self._tell(incident, told, time_s)
        if incident.outcome is not None:
            del self._incidents[name]
            self._followed.pop(name, None)

    def _tell(self, incident: Incident, told: Sequence[Told], time_s: float) -> None:
        """Store the changes in one transaction with their messages, then give them to the listeners."""
        now = self._wall.at(time_s)
        first = incident.changes - len(told) + 1
        changes = [
            Change(
                incident.id,
                number,
                item.kind.value,
                now,
                record_of(incident, self._cameras.get(incident.camera), number, item, time_s, self._wall),
            )
            for number, item in enumerate(told, first)
        ]
        self._unsaved += [(change, list(self._messages_for(change))) for change in changes]
        self._flush()
        for change in changes:
            for listener in self._listeners:
                try:
                    listener(change)
                except Exception:  # a listener that fails must not stop the incidents
                    logger.exception("a change of incident %s could not be told", change.incident)

    def _flush(self) -> None:
        unsaved = self._unsaved
        if unsaved:
            messages = [message for _, several in unsaved for message in several]
            if self._save(lambda: self._store.write([change for change, _ in unsaved], messages)):
                self._unsaved = []
        del self._unsaved[:-MAX_UNSAVED]

    def _save(self, write: Callable[[], None]) -> bool:
        """Write into the store; where that fails, say so once and go on."""
        try:
            write()
        except sqlite3.Error as error:
            if self.is_storing:
                logger.error("the state can't be stored: %s; incidents are kept in memory and told all the same", error)
            self.is_storing = False
            return False
        if not self.is_storing:
            logger.warning("the state is stored again")
        self.is_storing = True
        return True

    @staticmethod
    def _box(sighting: Sighting, track_id: int) -> tuple[float, ...]:
        rows = np.flatnonzero(sighting.people.track_ids == track_id)
        return tuple(float(side) for side in sighting.people.boxes[rows[0]]) if len(rows) else ()


def is_found_lying(place: LyingPlace, time_s: float, camera: CameraConfig) -> bool:
    """Return whether a person lies on the floor for as long as `camera` asks for.

    Args:
        place: where the person lies.
        time_s: now, seconds.
        camera: names the time, the height below which the hips must be, and the ignore zones.
    """
    return (
        place.up_since_s is None
        and place.seen_s == time_s
        and not place.in_ignore_zone
        and place.position[1] >= camera.found_lying_min_y
        and time_s - place.since_s >= camera.found_lying_s
        and place.lying_s >= LYING_SHARE * camera.found_lying_s
    )
