"""Event rule: fused scores and postures in, fall events out; one alert per fall.

Each track is in one of three states:

    IDLE --score reaches alert_threshold--> CANDIDATE --lying, or score reaches immediate_threshold--> ACTIVE
    CANDIDATE --not confirmed within confirm_s--> IDLE
    ACTIVE --upright for recover_s--> IDLE    (the event's last state is RECOVERED)
    IDLE, recovered --falls again there within cool_down_s--> ACTIVE    (the same event, `falls` one more)
    ACTIVE --out of sight for cool_down_s--> track deleted    (the event's last state is LOST)

Hand-over: an active event passes from a track out of sight to a newer track that lies at the same place, and keeps its
id. It is `handed_over` if that track was upright before, for it may be a helper's. Two tracks in sight at the same time
are two people, however close they fall. A candidate is not confirmed while the hips are in an ignore zone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from falldet.geometry import Polygon, checked_polygons, point_in_polygon
from falldet.stages.fall_track import FallTrack, TrackState
from falldet.stages.posture import Postures
from falldet.types import NO_TRACK, Event, EventState, People, PersonScore


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Thresholds and times of the event rule.

    Attributes:
        alert_threshold: fused score [0, 1] that makes a track a candidate. Higher: fewer false alarms, more misses.
        low_threshold: fused score [0, 1] below which a descent ends. Higher: later onset, earlier state "fallen".
        immediate_threshold: fused score [0, 1] that needs no lying posture to raise an alert, unless the image border
            truncates the person. Higher: fewer and later alerts.
        lying_threshold: lying degree [0, 1] from which a person is lying. Higher: fewer candidates are confirmed.
        lying_hold_s: seconds that a lying posture must last to confirm a candidate. Higher: bending down alerts less.
        upright_threshold: lying degree [0, 1] up to which a person is upright. Higher: earlier recoveries.
        confirm_s: seconds after its peak in which a candidate is confirmed or dropped; a person unobserved for the last
            half of them is taken for fallen, unless truncated. Higher: fewer misses, more false alarms.
        recover_s: seconds that a fallen person must be upright to have recovered. Higher: events end later.
        cool_down_s: seconds out of sight after which an event is lost; until then its place raises no second alert.
            Higher: fewer repeated alerts, later state "lost".
        long_lie_s: seconds on the floor from which an event is a long lie. Higher: fewer and later long lies.
        ignore_zones: polygons of [x, y] in normalized image coordinates where falls raise no alert, such as a bed.
    """

    alert_threshold: float = 0.97
    low_threshold: float = 0.3
    immediate_threshold: float = 0.99
    lying_threshold: float = 0.6
    lying_hold_s: float = 0.15
    upright_threshold: float = 0.4
    confirm_s: float = 1.0
    recover_s: float = 1.0
    cool_down_s: float = 5.0
    long_lie_s: float = 60.0
    ignore_zones: tuple[Polygon, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError if the thresholds are out of order or a zone is not a polygon."""
        object.__setattr__(self, "ignore_zones", checked_polygons(self.ignore_zones))
        if not 0 <= self.low_threshold <= self.alert_threshold <= self.immediate_threshold:
            raise ValueError("low_threshold <= alert_threshold <= immediate_threshold must hold")
        if self.upright_threshold > self.lying_threshold:
            raise ValueError("upright_threshold must not exceed lying_threshold")

    @property
    def out_of_sight_s(self) -> float:
        """Time without observation after which a person is out of sight: half the time that a candidate waits."""
        return self.confirm_s / 2


@dataclass(frozen=True, slots=True)
class _Fallen:
    """When and where a person was last observed fallen: seconds, box (4,), and the event at that time."""

    last_s: float
    box: np.ndarray
    event: Event


class EventDecoder:
    """Finds, updates and ends the fall events of all tracks of one source; memory is bounded by the tracks in sight.

    Example:
        >>> decoder = EventDecoder(source="hall")
        >>> events = decoder.push(scores, people, read_postures(people.keypoints, people.scores, image_hw), time_s)

    Args:
        settings: see `EventSettings`.
        source: name of the video or camera, stored in the events.
        started: UTC time at 0 s of the source; None for a source without a wall clock.
    """

    def __init__(
        self, settings: EventSettings | None = None, source: str = "", started: datetime | None = None
    ) -> None:
        self.settings = settings or EventSettings()
        self._source, self._started = source, started
        self.reset()

    def reset(self) -> None:
        """Forget all tracks and events."""
        self._tracks: dict[int, FallTrack] = {}
        self._fallen_at: dict[int, _Fallen] = {}  # by track id

    @property
    def active_events(self) -> dict[int, Event]:
        """The events in progress, by track id."""
        return {track_id: track.event for track_id, track in self._tracks.items() if track.event}

    def push(self, scores: list[PersonScore], people: People, postures: Postures, time_s: float) -> list[Event]:
        """Take one processed frame.

        Args:
            scores: fused scores finalized by now.
            people: the N people of the frame, with track ids.
            postures: their postures.
            time_s: time of the frame, seconds.

        Returns:
            The events that began or changed, in their present state. A growing `lying_s` alone is no change.
        """
        earlier = {event.id: event for event in self.active_events.values()}
        self._observe(people, postures, time_s)
        self._hand_over(time_s)
        self._take_scores(scores)
        changed = []
        for track_id, track in list(self._tracks.items()):
            self._advance(track_id, track, time_s)
            if track.event is not None:
                before = earlier.get(track.event.id)
                if before is None or replace(track.event, lying_s=before.lying_s) != before:
                    changed.append(track.event)
            if track.event is not None and track.event.state is EventState.RECOVERED:
                track.event = None
            elif time_s - track.last_s > self.settings.cool_down_s:
                del self._tracks[track_id]
        kept_s = self.settings.cool_down_s
        self._fallen_at = {i: fallen for i, fallen in self._fallen_at.items() if time_s - fallen.last_s <= kept_s}
        return changed

    def flush(self, scores: list[PersonScore], time_s: float) -> list[Event]:
        """Take the last scores, decide every candidate, return the new events, and forget everything.

        Events in progress end without a further update.
        """
        self._take_scores(scores)
        began: list[Event] = []
        for track_id, track in self._tracks.items():
            if track.state is TrackState.CANDIDATE:
                self._decide(track_id, track, time_s, last=True)
                if track.event is not None:
                    began.append(track.event)
        self.reset()
        return began

    def _observe(self, people: People, postures: Postures, time_s: float) -> None:
        settings = self.settings
        for row in np.flatnonzero(people.track_ids != NO_TRACK):
            box, lying = people.boxes[row], float(postures.lying[row])
            track = self._tracks.setdefault(int(people.track_ids[row]), FallTrack(time_s, time_s, box))
            is_lying, is_upright = lying >= settings.lying_threshold, lying <= settings.upright_threshold
            track.observe(time_s, box, is_lying, is_upright, settings.lying_hold_s)
            track.truncated = bool(postures.truncated[row])
            track.in_ignore_zone = any(
                point_in_polygon(postures.positions[row], zone) for zone in settings.ignore_zones
            )

    def _take_scores(self, scores: list[PersonScore]) -> None:
        for score in scores:
            if score.track_id in self._tracks:
                self._tracks[score.track_id].take_score(
                    score, self.settings.low_threshold, self.settings.alert_threshold
                )

    def _hand_over(self, time_s: float) -> None:
        """Pass each event of a track out of sight to a newer track that lies at its place, if there is one."""
        for lost_id, lost in list(self._tracks.items()):
            if lost.state is not TrackState.ACTIVE or time_s - lost.last_s <= self.settings.out_of_sight_s:
                continue
            for track in self._tracks.values():
                newer = track.event is None and track.first_s > lost.last_s and track.last_s == time_s
                if newer and track.lying_since_s is not None and track.is_at(lost.box):
                    track.take_over_event(lost)
                    del self._tracks[lost_id]
                    self._fallen_at.pop(lost_id, None)
                    break

    def _advance(self, track_id: int, track: FallTrack, time_s: float) -> None:
        """Move a track to its next state."""
        if track.state is TrackState.CANDIDATE:
            self._decide(track_id, track, time_s)
        elif track.state is TrackState.ACTIVE:
            track.event = self._updated(track, time_s)
            self._fallen_at[track_id] = _Fallen(track.last_s, track.box, track.event)

    def _decide(self, track_id: int, track: FallTrack, time_s: float, last: bool = False) -> None:
        """Turn a candidate into an event, drop it, or let it wait; the `last` decision lets none wait."""
        assert track.peak is not None  # noqa: S101
        waited = last or time_s - track.peak.time_s > self.settings.confirm_s
        if self._is_confirmed(track, time_s, waited) and not track.in_ignore_zone:
            reported = self._reported(track_id, track, time_s)
            recovered = reported is not None and reported.state is EventState.RECOVERED
            lying = track.lying_since_s is not None
            if recovered and not lying and not waited:
                return  # the scores of getting up may be high
            if reported is not None and not (recovered and lying):
                track.candidate_onset_s = None
            else:
                event = _continued(reported) if reported else self._event(track_id, track, time_s)
                track.start_event(event)
                self._fallen_at[track_id] = _Fallen(time_s, track.box, event)
        elif waited:
            track.drop_candidate()

    def _is_confirmed(self, track: FallTrack, time_s: float, waited: bool) -> bool:
        """Return whether a candidate lies, has an immediate score, or went out of sight inside the image."""
        settings = self.settings
        if track.lying_since_s is not None and track.last_s - track.lying_since_s >= settings.lying_hold_s:
            return True
        out_of_sight = waited and time_s - track.last_s > settings.out_of_sight_s
        immediate = track.peak is not None and track.peak.score >= settings.immediate_threshold
        return not track.truncated and (out_of_sight or immediate)

    def _reported(self, track_id: int, track: FallTrack, time_s: float) -> Event | None:
        """Return the event that this fall has already, of this track or of another track of the same person."""
        for other_id, fallen in self._fallen_at.items():
            other = self._tracks.get(other_id)
            two_people = other_id != track_id and other is not None and self._are_two_people(other, track, time_s)
            if not two_people and track.is_at(fallen.box):
                return fallen.event
        return None

    def _are_two_people(self, fallen: FallTrack, track: FallTrack, time_s: float) -> bool:
        """Return whether two tracks are two people: both in sight, and observed during the same time."""
        in_sight = time_s - min(fallen.last_s, track.last_s) <= self.settings.out_of_sight_s
        return in_sight and fallen.last_s >= track.first_s and track.last_s >= fallen.first_s

    def _event(self, track_id: int, track: FallTrack, time_s: float) -> Event:
        """Return the new event of a confirmed candidate."""
        assert track.peak is not None  # noqa: S101
        assert track.candidate_onset_s is not None  # noqa: S101
        wall_time = None if self._started is None else self._started + timedelta(seconds=time_s)
        when = f"{time_s:.3f}" if wall_time is None else f"{wall_time:%Y%m%dT%H%M%S}{wall_time.microsecond // 1000:03}"
        return Event(
            id="-".join(part for part in (when, self._source, str(track_id)) if part),
            source=self._source,
            track_id=track_id,
            start_s=track.candidate_onset_s,
            alert_s=time_s,
            end_s=None,
            peak_s=track.peak.time_s,
            score=track.peak.score,
            state=EventState.FALLING,
            box=tuple(float(side) for side in track.box),
            wall_time=wall_time,
        )

    def _updated(self, track: FallTrack, time_s: float) -> Event:
        """Return the event of an active track in its state at `time_s`."""
        event, settings = track.event, self.settings
        assert event is not None  # noqa: S101
        if track.peak is not None and track.peak.score > event.score:
            event = replace(event, score=track.peak.score, peak_s=track.peak.time_s)
        if event.state is EventState.FALLING and track.onset_s is None:
            event = replace(event, state=EventState.FALLEN)
        if track.lay_down_s is None and track.lying_since_s is not None:
            track.lay_down_s = max(track.lying_since_s, event.start_s)
        upright_s = track.upright_since_s
        if upright_s is not None and time_s - upright_s >= settings.recover_s:
            event = replace(event, state=EventState.RECOVERED, end_s=upright_s)
            track.peak = None
        elif time_s - track.last_s > settings.cool_down_s:
            event = replace(event, state=EventState.LOST)
        if track.lay_down_s is not None:
            lying_s = max(0.0, (track.last_s if upright_s is None else upright_s) - track.lay_down_s)
            event = replace(event, lying_s=lying_s, long_lie=event.long_lie or lying_s >= settings.long_lie_s)
        return event


def _continued(event: Event) -> Event:
    """Return the event of a person who recovered and falls again at the same place."""
    return replace(event, state=EventState.FALLING, end_s=None, lying_s=0.0, falls=event.falls + 1)
