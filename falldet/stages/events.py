"""Fused scores in, fall events out: one alert per fall, with onset, peak, end and state.

Each track is in one of three states:

    IDLE --score reaches alert_threshold--> CANDIDATE --lying, or score reaches immediate_threshold--> ACTIVE
    CANDIDATE --not confirmed within confirm_s--> IDLE
    ACTIVE --upright for recover_s--> IDLE    (the event is told as RECOVERED)
    IDLE, recovered --falls again there within cool_down_s--> ACTIVE    (the same event, `falls` one more)
    ACTIVE --out of sight for cool_down_s--> forgotten    (the event is told as LOST)

An active event is handed over to a new track that turns up lying at the place of a lost one, and keeps its id. It is told as
`handed_over` where that track was upright before, for it may be a helper's. Two
tracks in sight at once are two people, however near they fall. A track whose hips lie in an ignore zone stays a
candidate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

import numpy as np

from falldet.geometry import Polygon, box_iou, checked_polygons, point_in_polygon, square_boxes
from falldet.stages.posture import Postures
from falldet.types import NO_TRACK, Event, EventState, People, PersonScore


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Thresholds and times of the event rule; scores and lying degrees in [0, 1], times in seconds.

    Attributes:
        alert_threshold: fused score at which a track becomes a fall candidate (upper threshold of the hysteresis).
            Higher: fewer false alarms, more missed falls.
        low_threshold: the fall phase starts when the score rises above it and ends when it drops below (lower threshold
            of the hysteresis).
        immediate_threshold: score that raises an alert without confirmation by lying; not used for a person truncated
            by the image border.
        lying_threshold: lying degree (`falldet.stages.posture`) from which a person counts as lying.
        lying_hold_s: minimum duration of a lying posture that confirms a candidate; rejects bending down.
        upright_threshold: lying degree up to which a person counts as upright.
        confirm_s: how long a candidate waits for confirmation. A candidate that is out of sight by then is confirmed,
            unless it left through the image border.
        recover_s: how long a fallen person must be upright to count as recovered.
        cool_down_s: minimum time between two alerts of one track, and of one place whose fallen person is out of sight;
            an active event ends as lost after this time out of sight.
        long_lie_s: time on the floor after a fall that is told as a long lie.
        ignore_zones: polygons, corners as [x, y] in normalized image coordinates, where falls raise no alert, such as a
            bed: a candidate whose hips are inside waits until they are outside.
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
        """Raise ValueError where the thresholds are out of order or a zone is not a polygon."""
        object.__setattr__(self, "ignore_zones", checked_polygons(self.ignore_zones))
        if not 0 <= self.low_threshold <= self.alert_threshold <= self.immediate_threshold:
            raise ValueError("low_threshold <= alert_threshold <= immediate_threshold must hold")
        if self.upright_threshold > self.lying_threshold:
            raise ValueError("upright_threshold must not exceed lying_threshold")

    @property
    def out_of_sight_s(self) -> float:
        """A person not observed for longer than this is out of sight: half the time a candidate may wait."""
        return self.confirm_s / 2


class TrackState(Enum):
    """What the decoder takes a track for; see the module."""

    IDLE = auto()
    CANDIDATE = auto()
    ACTIVE = auto()


@dataclass(slots=True)
class _Track:
    first_s: float
    seen_s: float
    box: np.ndarray
    truncated: bool = False
    in_ignore_zone: bool = False
    was_upright: bool = False
    lying_since_s: float | None = None
    upright_since_s: float | None = None
    onset_s: float | None = None  # since when the score is above low_threshold
    candidate_onset_s: float | None = None
    peak: PersonScore | None = None
    event: Event | None = None
    lay_down_s: float | None = None

    @property
    def state(self) -> TrackState:
        if self.event is not None:
            return TrackState.ACTIVE
        return TrackState.IDLE if self.candidate_onset_s is None else TrackState.CANDIDATE

    def observe(self, time_s: float, box: np.ndarray, lying: float, settings: EventSettings) -> None:
        """Take the person's box (4,) and lying degree at `time_s`."""
        self.seen_s, self.box = time_s, box
        self.upright_since_s = _since(self.upright_since_s, lying <= settings.upright_threshold, time_s)
        self.lying_since_s = _since(self.lying_since_s, lying >= settings.lying_threshold, time_s)
        if self.upright_since_s is not None and time_s - self.upright_since_s >= settings.lying_hold_s:
            self.was_upright = True

    def score(self, score: PersonScore, settings: EventSettings) -> None:
        """Take a fused score: follow onset and peak, and become a candidate at the alert threshold."""
        if score.score < settings.low_threshold:
            self.onset_s = None
            if self.state is not TrackState.CANDIDATE:
                self.peak = None
            return
        if self.onset_s is None:
            self.onset_s = score.time_s
        if self.peak is None or score.score > self.peak.score:
            self.peak = score
        if score.score >= settings.alert_threshold and self.state is TrackState.IDLE:
            self.candidate_onset_s = self.onset_s


@dataclass(frozen=True, slots=True)
class _Fallen:
    """When and where a person was last seen fallen, and the event as it stood."""

    seen_s: float
    box: np.ndarray
    event: Event


class EventDecoder:
    """Follows the score and the posture of every track and gives events when they begin, change and end.

    Args:
        settings: see `EventSettings`.
        source: name of the video or camera, kept in the events.
        started: UTC time at 0 s of the source; None where the source has no wall clock.
    """

    def __init__(
        self, settings: EventSettings | None = None, source: str = "", started: datetime | None = None
    ) -> None:
        self.settings = settings or EventSettings()
        self._source, self._started = source, started
        self.reset()

    def reset(self) -> None:
        """Forget all tracks and events."""
        self._tracks: dict[int, _Track] = {}
        self._fallen_at: dict[int, _Fallen] = {}  # by track id

    @property
    def active_events(self) -> dict[int, Event]:
        """The events in progress, by track id."""
        return {track_id: track.event for track_id, track in self._tracks.items() if track.event}

    def push(self, scores: list[PersonScore], people: People, postures: Postures, time_s: float) -> list[Event]:
        """Take the scores that have just been finalized, and the people of the frame at `time_s` and their postures.

        Returns:
            The events that began or changed, each as it is now. A growing `lying_s` alone is no change.
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
            elif time_s - track.seen_s > self.settings.cool_down_s:
                del self._tracks[track_id]
        kept_s = self.settings.cool_down_s
        self._fallen_at = {i: fallen for i, fallen in self._fallen_at.items() if time_s - fallen.seen_s <= kept_s}
        return changed

    def flush(self, scores: list[PersonScore], time_s: float) -> list[Event]:
        """Take the last scores, decide every candidate, return new events, and forget everything.

        The events in progress stay as they were told last, with `end_s` None.
        """
        self._take_scores(scores)
        began: list[Event] = []
        for track_id, track in self._tracks.items():
            if track.state is TrackState.CANDIDATE:
                self._decide(track_id, track, time_s, closing=True)
                if track.event is not None:
                    began.append(track.event)
        self.reset()
        return began

    def _observe(self, people: People, postures: Postures, time_s: float) -> None:
        for row in np.flatnonzero(people.track_ids != NO_TRACK):
            box = people.boxes[row]
            track = self._tracks.setdefault(int(people.track_ids[row]), _Track(time_s, time_s, box))
            track.observe(time_s, box, float(postures.lying[row]), self.settings)
            track.truncated = bool(postures.truncated[row])
            track.in_ignore_zone = any(
                point_in_polygon(postures.positions[row], zone) for zone in self.settings.ignore_zones
            )

    def _take_scores(self, scores: list[PersonScore]) -> None:
        for score in scores:
            if score.track_id in self._tracks:
                self._tracks[score.track_id].score(score, self.settings)

    def _hand_over(self, time_s: float) -> None:
        """Pass the event of a track out of sight to a newer one that lies at its place; the event stays the same."""
        for lost_id, lost in list(self._tracks.items()):
            if lost.state is not TrackState.ACTIVE or time_s - lost.seen_s <= self.settings.out_of_sight_s:
                continue
            for track in self._tracks.values():
                newer = track.event is None and track.first_s > lost.seen_s and track.seen_s == time_s
                if newer and track.lying_since_s is not None and _same_place(track.box, lost.box):
                    assert lost.event is not None  # noqa: S101
                    doubtful = lost.event.handed_over or track.was_upright
                    track.event = replace(lost.event, handed_over=doubtful)
                    track.lay_down_s, track.candidate_onset_s = lost.lay_down_s, None
                    del self._tracks[lost_id]
                    self._fallen_at.pop(lost_id, None)
                    break

    def _advance(self, track_id: int, track: _Track, time_s: float) -> None:
        """Move a track to its next state."""
        if track.state is TrackState.CANDIDATE:
            self._decide(track_id, track, time_s)
        elif track.state is TrackState.ACTIVE:
            track.event = self._updated(track, time_s)
            self._fallen_at[track_id] = _Fallen(track.seen_s, track.box, track.event)

    def _decide(self, track_id: int, track: _Track, time_s: float, closing: bool = False) -> None:
        """Turn a candidate into an event, drop it, or let it wait."""
        assert track.peak is not None  # noqa: S101
        waited = closing or time_s - track.peak.time_s > self.settings.confirm_s
        if self._is_confirmed(track, time_s, waited) and not track.in_ignore_zone:
            known = self._known(track_id, track, time_s)
            got_up = known is not None and known.state is EventState.RECOVERED
            lies = track.lying_since_s is not None
            if got_up and not lies and not waited:
                return  # the scores of getting up may be high
            if known is None or (got_up and lies):
                track.event = self._event(track_id, track, time_s) if known is None else _again(known)
                track.upright_since_s = None  # standing before the alert is no recovery
                track.lay_down_s = None
                self._fallen_at[track_id] = _Fallen(time_s, track.box, track.event)
            track.candidate_onset_s = None
        elif waited:
            track.candidate_onset_s = track.peak = None

    def _is_confirmed(self, track: _Track, time_s: float, waited: bool) -> bool:
        """Whether a candidate lies, has an immediate score, or went out of sight inside the image."""
        settings = self.settings
        if track.lying_since_s is not None and track.seen_s - track.lying_since_s >= settings.lying_hold_s:
            return True
        gone = waited and time_s - track.seen_s > settings.out_of_sight_s
        immediate = track.peak is not None and track.peak.score >= settings.immediate_threshold
        return not track.truncated and (gone or immediate)

    def _known(self, track_id: int, track: _Track, time_s: float) -> Event | None:
        """Return the event that this fall belongs to, of this track or, unless both are in sight, of another."""
        for known_id, fallen in self._fallen_at.items():
            known = self._tracks.get(known_id)
            two = known_id != track_id and known is not None and self._are_two(known, track, time_s)
            if not two and _same_place(track.box, fallen.box):
                return fallen.event
        return None

    def _are_two(self, known: _Track, track: _Track, time_s: float) -> bool:
        """Whether two tracks are two people: both in sight, and not the second only since the first was lost."""
        in_sight = time_s - min(known.seen_s, track.seen_s) <= self.settings.out_of_sight_s
        return in_sight and known.seen_s >= track.first_s and track.seen_s >= known.first_s

    def _event(self, track_id: int, track: _Track, time_s: float) -> Event:
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

    def _updated(self, track: _Track, time_s: float) -> Event:
        """Return the event of an active track as it is at `time_s`."""
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
        elif time_s - track.seen_s > settings.cool_down_s:
            event = replace(event, state=EventState.LOST)
        if track.lay_down_s is not None:
            lying_s = max(0.0, (track.seen_s if upright_s is None else upright_s) - track.lay_down_s)
            event = replace(event, lying_s=lying_s, long_lie=event.long_lie or lying_s >= settings.long_lie_s)
        return event


def _again(event: Event) -> Event:
    """Return the event of a person who got up and fell again at the same place."""
    return replace(event, state=EventState.FALLING, end_s=None, lying_s=0.0, falls=event.falls + 1)


def _since(since_s: float | None, holds: bool, time_s: float) -> float | None:
    """Return since when a condition holds without a break, None where it doesn't."""
    if not holds:
        return None
    return time_s if since_s is None else since_s


def _same_place(box_a: np.ndarray, box_b: np.ndarray) -> bool:
    """Whether the squares around two people (4,) overlap."""
    return bool(box_iou(square_boxes(box_a[None]), square_boxes(box_b[None]))[0, 0] > 0)
