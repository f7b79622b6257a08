"""Event rule: evidence and postures in, fall events out; one alert per fall.

Each track is in one of three states:

    IDLE --evidence reaches the alert threshold--> CANDIDATE --hips in no ignore zone--> ACTIVE
    CANDIDATE --in an ignore zone until zone_hold_s after high evidence, or the fall has an event--> IDLE
    ACTIVE --upright for recover_s--> IDLE    (the event's last state is RECOVERED)
    IDLE, recovered or a new track of that person --falls there within cool_down_s--> ACTIVE    (`falls` one more)
    ACTIVE --out of sight for cool_down_s--> track deleted    (the event's last state is LOST)

The evidence alone decides about an alert; a track passes through CANDIDATE within one frame unless its hips are in an
ignore zone. After an alert, the track raises no other within cool_down_s, nor before its evidence has fallen below the
low threshold. Postures decide about the event's further states.

Hand-over: an active event passes from a track out of sight to a newer track that lies at the same place, and keeps its
id. It is `handed_over` if that track was upright before, for it may be a helper's. Two tracks in sight at the same time
are two people, however close they fall.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from falldet.geometry import Polygon, checked_polygons, point_in_polygon
from falldet.stages.fall_track import FallTrack, TrackState
from falldet.stages.posture import Postures
from falldet.types import NO_TRACK, Event, EventState, People, PersonScore

Sensitivity = Literal["high", "balanced", "low"]

ALERT_THRESHOLDS: dict[Sensitivity, float] = {"high": 0.5, "balanced": 0.6, "low": 0.8}
"""The operating points: evidence that raises an alert, by sensitivity; checkpoints/README.md has their figures."""

ONSET_LAG_S = 0.6
"""Time from the start of a descent to the onset of its evidence, seconds: the median over the labeled falls."""

UPRIGHT_HOLD_S = 0.15
"""Duration of an upright posture that is no error of a single frame."""

OUT_OF_SIGHT_S = 0.5
"""Time without observation after which a person is out of sight, seconds."""


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Thresholds and times of the event rule.

    Attributes:
        sensitivity: operating point, "high", "balanced" or "low": more or fewer alerts, true and false ones.
        alert_threshold: evidence [0, 1] that raises an alert; 0 takes that of `sensitivity`. Higher: fewer false
            alarms, more misses.
        low_share: share [0, 1] of the alert threshold below which a run of evidence ends. Higher: later onset, earlier
            state "fallen".
        lying_threshold: lying degree [0, 1] from which a person is lying. Higher: shorter times on the floor.
        upright_threshold: lying degree [0, 1] up to which a person is upright. Higher: earlier recoveries.
        zone_hold_s: seconds after high evidence within which leaving an ignore zone raises the alert. Higher: more
            alerts of people who roll out of bed, more false ones of people who get up.
        recover_s: seconds that a fallen person must be upright to have recovered. Higher: events end later.
        cool_down_s: seconds after an alert without another one of the same track, and out of sight after which an event
            is lost; until then its place raises no second alert. Higher: fewer repeated alerts, later state "lost".
        long_lie_s: seconds on the floor from which an event is a long lie. Higher: fewer and later long lies.
        ignore_zones: polygons of [x, y] in normalized image coordinates where falls raise no alert, such as a bed.
    """

    sensitivity: Sensitivity = "balanced"
    alert_threshold: float = 0.0
    low_share: float = 0.5
    lying_threshold: float = 0.6
    upright_threshold: float = 0.4
    zone_hold_s: float = 1.5
    recover_s: float = 1.0
    cool_down_s: float = 5.0
    long_lie_s: float = 60.0
    ignore_zones: tuple[Polygon, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError if a value is out of range, the thresholds are out of order or a zone is not a polygon."""
        object.__setattr__(self, "ignore_zones", checked_polygons(self.ignore_zones))
        if self.sensitivity not in ALERT_THRESHOLDS:
            raise ValueError(f"sensitivity = {self.sensitivity!r} must be one of {', '.join(ALERT_THRESHOLDS)}")
        for name in ("alert_threshold", "low_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} must lie between 0 and 1")
        if self.upright_threshold > self.lying_threshold:
            raise ValueError("upright_threshold must not exceed lying_threshold")

    @property
    def threshold(self) -> float:
        """Evidence that raises an alert: `alert_threshold`, or that of `sensitivity`."""
        return self.alert_threshold or ALERT_THRESHOLDS[self.sensitivity]

    @property
    def low_threshold(self) -> float:
        """Evidence below which a run of evidence ends."""
        return self.low_share * self.threshold


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
        >>> events = decoder.push(evidence, people, read_postures(people.keypoints, people.scores, image_hw), time_s)

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

    def push(self, evidence: list[PersonScore], people: People, postures: Postures, time_s: float) -> list[Event]:
        """Take one processed frame.

        Args:
            evidence: evidence of the tracks whose windows ended by now.
            people: the N people of the frame, with track ids.
            postures: their postures.
            time_s: time of the frame, seconds.

        Returns:
            The events that began or changed, in their present state. A growing `lying_s` alone is no change.
        """
        earlier = {event.id: event for event in self.active_events.values()}
        self._observe(people, postures, time_s)
        self._hand_over(time_s)
        self._take_evidence(evidence)
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

    def flush(self, evidence: list[PersonScore], time_s: float) -> list[Event]:
        """Take the last evidence, decide every candidate, return the new events, and forget everything.

        Events in progress end without a further update.
        """
        self._take_evidence(evidence)
        began: list[Event] = []
        for track_id, track in self._tracks.items():
            if track.state is TrackState.CANDIDATE:
                self._decide(track_id, track, time_s)
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
            track.observe(time_s, box, is_lying, is_upright, UPRIGHT_HOLD_S)
            track.in_ignore_zone = any(
                point_in_polygon(postures.positions[row], zone) for zone in settings.ignore_zones
            )

    def _take_evidence(self, evidence: list[PersonScore]) -> None:
        for each in evidence:
            if each.track_id in self._tracks:
                self._tracks[each.track_id].take_evidence(each, self.settings.low_threshold, self.settings.threshold)

    def _hand_over(self, time_s: float) -> None:
        """Pass each event of a track out of sight to a newer track that lies at its place, if there is one."""
        for lost_id, lost in list(self._tracks.items()):
            if lost.state is not TrackState.ACTIVE or time_s - lost.last_s <= OUT_OF_SIGHT_S:
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

    def _decide(self, track_id: int, track: FallTrack, time_s: float) -> None:
        """Turn a candidate into an event, drop it, or let it wait in its ignore zone."""
        if track.in_ignore_zone:
            if time_s - track.high_s > self.settings.zone_hold_s:
                track.drop_candidate(reported=False)
            return
        reported = self._reported(track_id, track, time_s)
        if reported is not None and reported.state is not EventState.RECOVERED:
            track.drop_candidate(reported=True)
            return
        event = _continued(reported) if reported else self._event(track_id, track, time_s)
        track.start_event(event, time_s + self.settings.cool_down_s)
        self._fallen_at[track_id] = _Fallen(time_s, track.box, event)

    def _reported(self, track_id: int, track: FallTrack, time_s: float) -> Event | None:
        """Return the event that this fall has already, of another track of the same person."""
        for other_id, fallen in self._fallen_at.items():
            other = self._tracks.get(other_id)
            two_people = other is not None and self._are_two_people(other, track, time_s)
            if other_id != track_id and not two_people and track.is_at(fallen.box):
                return fallen.event
        return None

    def _are_two_people(self, fallen: FallTrack, track: FallTrack, time_s: float) -> bool:
        """Return whether two tracks are two people: both in sight, and observed during the same time."""
        in_sight = time_s - min(fallen.last_s, track.last_s) <= OUT_OF_SIGHT_S
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
            start_s=max(track.first_s, track.candidate_onset_s - ONSET_LAG_S),
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
        if upright_s is not None and track.last_s - upright_s >= settings.recover_s:
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
