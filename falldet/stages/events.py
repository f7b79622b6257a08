"""Turns fused scores into fall events: one alert per fall, with onset, peak, end and state.

A person whose score reaches `alert_threshold` is a candidate. The candidate becomes an alert when the person is seen lying
soon after, or at once where the score leaves no doubt; a candidate who gets up or walks on is dropped. One fall gives
one alert, also when the tracker loses the person in the fall and finds them again under another number; two people in
sight are two, however near they fall. Whoever comes to lie in a zone to ignore, a bed or a sofa, raises none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from falldet.geometry import box_iou, square_boxes
from falldet.stages.posture import Postures
from falldet.stages.zones import Zone, checked_zones, in_zones
from falldet.types import NO_TRACK, Event, EventState, People, PersonScore


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Numbers of the event rule; scores and degrees in [0, 1], times in seconds.

    Attributes:
        alert_threshold: a score from here on makes a candidate.
        low_threshold: a score below ends the going down; it also marks the onset.
        immediate_threshold: a candidate with such a score needs no confirmation, unless the picture's edge cuts the person off.
        lying_degree: posture from which a person counts as lying (`falldet.stages.posture`).
        lying_hold_s: how long that posture must last to confirm a fall: who bends down is up again by then.
        upright_threshold: posture up to which a person counts as on their feet again.
        confirm_s: how long a candidate waits to be confirmed; one who is out of sight by then is believed, unless they
            left through the picture's edge.
        recover_s: how long a fallen person must be upright to count as recovered.
        cool_down_s: no second alert within this time for the same person, nor for the same place while whoever fell
            there is out of sight.
        long_lie_s: who has lain so long after a fall lies long, which is told as a change of the event.
        ignore_zones: polygons, corners as [x, y] in shares of the picture's width and height, where falls raise no
            alert: whose hips are in one waits to be confirmed until they are out of it. So a fall onto a bed goes
            unnoticed, and one beside it that the camera sees as on it.
    """

    alert_threshold: float = 0.97
    low_threshold: float = 0.3
    immediate_threshold: float = 0.99
    lying_degree: float = 0.6
    lying_hold_s: float = 0.15
    upright_threshold: float = 0.4
    confirm_s: float = 1.0
    recover_s: float = 1.0
    cool_down_s: float = 5.0
    long_lie_s: float = 60.0
    ignore_zones: tuple[Zone, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where the thresholds are out of order or a zone is none."""
        object.__setattr__(self, "ignore_zones", checked_zones(self.ignore_zones))
        if not 0 <= self.low_threshold <= self.alert_threshold <= self.immediate_threshold:
            raise ValueError("low_threshold <= alert_threshold <= immediate_threshold must hold")
        if self.upright_threshold > self.lying_degree:
            raise ValueError("upright_threshold must not exceed lying_degree")


@dataclass(slots=True)
class _Person:
    first_s: float
    seen_s: float
    box: np.ndarray
    truncated: bool = False
    ignored: bool = False
    lying_since_s: float | None = None
    upright_since_s: float | None = None
    onset_s: float | None = None
    candidate_s: float | None = None
    peak: PersonScore | None = None
    event: Event | None = None
    lay_down_s: float | None = None


class EventDecoder:
    """Follows everybody's score and posture and hands out events when they begin, change state and end.

    Somebody out of sight for `cool_down_s` is forgotten; an event that was on is then off, its `end_s` unknown.
    """

    def __init__(self, settings: EventSettings | None = None) -> None:
        self.settings = settings or EventSettings()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._people: dict[int, _Person] = {}
        self._places: dict[int, tuple[float, np.ndarray]] = {}  # track id -> when and where last seen fallen

    @property
    def current(self) -> dict[int, Event]:
        """The events that are on, by track id."""
        return {track_id: person.event for track_id, person in self._people.items() if person.event}

    def push(self, scores: list[PersonScore], people: People, postures: Postures, time_s: float) -> list[Event]:
        """Take the scores that have just been settled, and the people of the frame at `time_s` and their postures.

        Returns:
            The events that began or changed, each as it is now.
        """
        self._look(people, postures, time_s)
        self._hand_over(time_s)
        for score in scores:
            if score.track_id in self._people:
                self._score(self._people[score.track_id], score)
        changed = []
        for track_id, person in list(self._people.items()):
            before = person.event
            if person.event is None:
                self._decide(track_id, person, time_s)
            else:
                self._follow(person, time_s)
                self._places[track_id] = (person.seen_s, person.box)
            if person.event is not None and (before is None or replace(person.event, lying_s=before.lying_s) != before):
                changed.append(person.event)
            if person.event is not None and person.event.state is EventState.RECOVERED:
                person.event = None
            elif time_s - person.seen_s > self.settings.cool_down_s:
                del self._people[track_id]
        self._places = {i: p for i, p in self._places.items() if time_s - p[0] <= self.settings.cool_down_s}
        return changed

    def flush(self, scores: list[PersonScore], time_s: float) -> list[Event]:
        """Take the last scores, decide every open candidate, return new events, and forget everything.

        Falls from which nobody was seen to recover keep `end_s` None.
        """
        for score in scores:
            if score.track_id in self._people:
                self._score(self._people[score.track_id], score)
        began: list[Event] = []
        for track_id, person in self._people.items():
            if person.event is None and person.candidate_s is not None:
                self._decide(track_id, person, time_s, closing=True)
                if person.event is not None:
                    began.append(person.event)
        self.reset()
        return began

    def _look(self, people: People, postures: Postures, time_s: float) -> None:
        for row in np.flatnonzero(people.track_ids != NO_TRACK):
            track_id, box, lying = int(people.track_ids[row]), people.boxes[row], float(postures.lying[row])
            person = self._people.setdefault(track_id, _Person(time_s, time_s, box))
            person.seen_s, person.box, person.truncated = time_s, box, bool(postures.truncated[row])
            person.ignored = in_zones(postures.places[row], self.settings.ignore_zones)
            if lying > self.settings.upright_threshold:
                person.upright_since_s = None
            elif person.upright_since_s is None:
                person.upright_since_s = time_s
            if lying < self.settings.lying_degree:
                person.lying_since_s = None
            elif person.lying_since_s is None:
                person.lying_since_s = time_s

    def _hand_over(self, time_s: float) -> None:
        """Pass the event of somebody out of sight to who has turned up lying there since; it keeps its track id."""
        for lost_id, lost in list(self._people.items()):
            if lost.event is None or time_s - lost.seen_s <= self.settings.confirm_s / 2:
                continue
            for person in self._people.values():
                new = person.event is None and person.first_s > lost.seen_s and person.seen_s == time_s
                if new and person.lying_since_s is not None and _same_place(person.box, lost.box):
                    person.event, person.lay_down_s, person.candidate_s = lost.event, lost.lay_down_s, None
                    del self._people[lost_id]
                    self._places.pop(lost_id, None)
                    break

    def _score(self, person: _Person, score: PersonScore) -> None:
        if score.fall < self.settings.low_threshold:
            person.onset_s = None
            if person.candidate_s is None:
                person.peak = None
            return
        if person.onset_s is None:
            person.onset_s = score.time_s
        if person.peak is None or score.fall > person.peak.fall:
            person.peak = score
        if score.fall >= self.settings.alert_threshold and person.candidate_s is None and person.event is None:
            person.candidate_s = person.onset_s

    def _decide(self, track_id: int, person: _Person, time_s: float, closing: bool = False) -> None:
        """Turn a candidate into an event, drop it, or let it wait."""
        if person.candidate_s is None or person.peak is None:
            return
        settings = self.settings
        waited = closing or time_s - person.peak.time_s > settings.confirm_s
        lies = person.lying_since_s is not None and person.seen_s - person.lying_since_s >= settings.lying_hold_s
        gone = waited and time_s - person.seen_s > settings.confirm_s / 2
        believed = lies or (not person.truncated and (gone or person.peak.fall >= settings.immediate_threshold))
        if believed and not person.ignored:
            if not self._is_known(track_id, person, time_s):
                person.event = Event(
                    track_id,
                    person.candidate_s,
                    time_s,
                    None,
                    person.peak.time_s,
                    person.peak.fall,
                    EventState.FALLING,
                    tuple(float(side) for side in person.box),
                )
                self._places[track_id] = (time_s, person.box)
                person.upright_since_s = None  # having stood before the alert is no recovery
                person.lay_down_s = None
            person.candidate_s = None
        elif waited:
            person.candidate_s = person.peak = None

    def _is_known(self, track_id: int, person: _Person, time_s: float) -> bool:
        """Whether this fall was already reported, under this number or, unless both are in sight, under another."""
        for known_id, (_, box) in self._places.items():
            known = self._people.get(known_id)
            two = known_id != track_id and known is not None and self._are_two(known, person, time_s)
            if not two and _same_place(person.box, box):
                return True
        return False

    def _are_two(self, known: _Person, person: _Person, time_s: float) -> bool:
        """Whether two numbers are two people: both in sight, and not the second one only since the first was lost."""
        in_sight = time_s - min(known.seen_s, person.seen_s) <= self.settings.confirm_s / 2
        return in_sight and known.seen_s >= person.first_s and person.seen_s >= known.first_s

    def _follow(self, person: _Person, time_s: float) -> None:
        event = person.event
        assert event is not None  # noqa: S101
        if person.peak is not None and person.peak.fall > event.score:
            event = replace(event, score=person.peak.fall, peak_s=person.peak.time_s)
        if event.state is EventState.FALLING and person.onset_s is None:
            event = replace(event, state=EventState.FALLEN)
        if person.lay_down_s is None and person.lying_since_s is not None:
            person.lay_down_s = max(person.lying_since_s, event.start_s)
        upright_s = person.upright_since_s
        if upright_s is not None and time_s - upright_s >= self.settings.recover_s:
            event = replace(event, state=EventState.RECOVERED, end_s=upright_s)
            person.peak = None
        if person.lay_down_s is not None:
            lying_s = max(0.0, (person.seen_s if upright_s is None else upright_s) - person.lay_down_s)
            event = replace(event, lying_s=lying_s, long_lie=event.long_lie or lying_s >= self.settings.long_lie_s)
        person.event = event


def _same_place(box_a: np.ndarray, box_b: np.ndarray) -> bool:
    """Whether the squares around two people (4,) overlap."""
    return bool(box_iou(square_boxes(box_a[None]), square_boxes(box_b[None]))[0, 0] > 0)
