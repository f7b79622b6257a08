"""The life of an incident, as a pure function: incident, happening and time in, incident and changes out.

            +--> RECOVERED --close_after_recovery_s without a further fall--> CLOSED (got_up)
    OPEN ---+--> LONG_LIE (not seen to get up for long_lie_s, in sight or not)
      |     +--> LOST_SIGHT (out of the image, or the camera sees nothing) --seen lying there--> OPEN
      +--a person answers--> ACKNOWLEDGED --> CLOSED (helped, false_alarm, got_up)
    any --a further fall--> OPEN          any --a person closes it--> CLOSED

Silence never closes an incident, and neither does another person who straightens up at the fallen person's place: that
is told as "perhaps up". Happenings of sight may be repeated at will; a change is told once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum


class IncidentKind(StrEnum):
    """What an incident is about."""

    FALL = "fall"
    FOUND_LYING = "found_lying"
    BLIND = "blind"
    TEST = "test"


class IncidentState(StrEnum):
    """Where an incident stands; see the module."""

    OPEN = "open"
    LONG_LIE = "long_lie"
    LOST_SIGHT = "lost_sight"
    RECOVERED = "recovered"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How an incident was closed; BACK is a camera's that sees again."""

    GOT_UP = "got_up"
    HELPED = "helped"
    FALSE_ALARM = "false_alarm"
    BACK = "back"


class ChangeKind(StrEnum):
    """What happened to an incident."""

    ALERT = "alert"
    AGAIN = "again"
    LONG_LIE = "long_lie"
    LOST_SIGHT = "lost_sight"
    SEEN_AGAIN = "seen_again"
    PERHAPS_UP = "perhaps_up"
    RECOVERED = "recovered"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class IncidentSettings:
    """Times of incidents, in seconds.

    Attributes:
        long_lie_s: time since the fall without being seen upright that is told as a long lie. Higher: told later.
        close_after_recovery_s: time after a seen recovery that closes an incident. Falls at its place join it until
            then.
        out_of_sight_s: time without being seen that counts as out of sight.
        sight_hold_s: least time between two changes of sight of one incident, from the second on. Higher: fewer changes
            of a person whose pose comes and goes.
    """

    long_lie_s: float = 60.0
    close_after_recovery_s: float = 300.0
    out_of_sight_s: float = 5.0
    sight_hold_s: float = 30.0

    def __post_init__(self) -> None:
        """Raise ValueError where a time is negative."""
        for key in ("long_lie_s", "close_after_recovery_s", "out_of_sight_s", "sight_hold_s"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} = {getattr(self, key)} must not be negative")


@dataclass(frozen=True, slots=True)
class Incident:
    """One fall of one person, or one blind camera, until a person or a seen recovery closes it.

    Attributes:
        id: unique for ever.
        camera: name of the camera.
        kind: see `IncidentKind`.
        opened_s: when it was opened, steady seconds.
        down_since_s: since when the person is down, steady seconds: the start of the descent.
        score: highest fall score in [0, 1]; 0 where none was given.
        box: where the person was last seen down, x0 y0 x1 y1 in pixels; empty for a blind camera.
        track_id: track that is followed; None where the person is not in sight.
        event_id: latest event that belongs to it; empty for none.
        falls: falls joined in it.
        lying_s: how long the person was seen lying after the latest fall, seconds.
        long_lie: whether a long lie was told since the latest fall.
        in_sight: whether the person is seen.
        seen_s: when the person was last seen down, steady seconds.
        sight_changed_s: when `in_sight` last changed; minus infinity before the first time.
        up_since_s: when the person got up; None while down or unknown.
        acknowledged_by: who answered; empty before an answer.
        outcome: how it was closed; None while it is not.
        closed_by: who closed it; empty while it is not.
        changes: changes told so far.
    """

    id: str
    camera: str
    kind: IncidentKind
    opened_s: float
    down_since_s: float
    score: float = 0.0
    box: tuple[float, ...] = ()
    track_id: int | None = None
    event_id: str = ""
    falls: int = 1
    lying_s: float = 0.0
    long_lie: bool = False
    in_sight: bool = True
    seen_s: float = -math.inf
    sight_changed_s: float = -math.inf
    up_since_s: float | None = None
    acknowledged_by: str = ""
    outcome: Outcome | None = None
    closed_by: str = ""
    changes: int = 0

    @property
    def state(self) -> IncidentState:
        """Where it stands; the answer of a person goes before what is seen, a long lie before lost sight."""
        if self.outcome is not None:
            return IncidentState.CLOSED
        if self.acknowledged_by:
            return IncidentState.ACKNOWLEDGED
        if self.up_since_s is not None:
            return IncidentState.RECOVERED
        if self.long_lie:
            return IncidentState.LONG_LIE
        return IncidentState.OPEN if self.in_sight else IncidentState.LOST_SIGHT

    @property
    def is_down(self) -> bool:
        """Whether a person may lie there still."""
        return self.outcome is None and self.up_since_s is None and self.kind is not IncidentKind.BLIND


@dataclass(frozen=True, slots=True)
class Fell:
    """A further fall at this place: of a person who had got up, or found by another event."""

    event_id: str
    track_id: int | None
    box: tuple[float, ...]
    score: float
    down_since_s: float


@dataclass(frozen=True, slots=True)
class SeenDown:
    """The person is seen, and not up."""

    track_id: int
    box: tuple[float, ...]
    lying_s: float
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class OutOfSight:
    """The person is not seen, for a `reason` in words."""

    reason: str


@dataclass(frozen=True, slots=True)
class SeenUp:
    """A person is up at this place: the one who fell, or perhaps another."""

    up_since_s: float
    certain: bool


@dataclass(frozen=True, slots=True)
class Passed:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """A person answers: who, and by what way."""

    by: str
    way: str = ""


@dataclass(frozen=True, slots=True)
class Close:
    """A person, or a camera that sees again, closes the incident."""

    by: str
    outcome: Outcome
    way: str = ""


Happening = Fell | SeenDown | OutOfSight | SeenUp | Passed | Acknowledge | Close


@dataclass(frozen=True, slots=True)
class Told:
    """One change and its detail in words."""

    kind: ChangeKind
    detail: str = ""


def advance(
    incident: Incident, happening: Happening, time_s: float, settings: IncidentSettings
) -> tuple[Incident, list[Told]]:
    """Return the incident after a happening, and what is to be told of it; a closed incident does not change.

    Args:
        incident: as it was.
        happening: what was seen or done.
        time_s: when, steady seconds.
        settings: see `IncidentSettings`.
    """
    if incident.outcome is not None:
        return incident, []
    after, told = _happened(incident, happening, time_s, settings)
    if after.is_down and not after.long_lie and time_s - after.down_since_s >= settings.long_lie_s:
        after = replace(after, long_lie=True)
        told.append(Told(ChangeKind.LONG_LIE, "lies there" if after.in_sight else "not seen to get up since"))
    if after.up_since_s is not None and time_s - after.up_since_s >= settings.close_after_recovery_s:
        after = replace(after, outcome=Outcome.GOT_UP, closed_by="falldet")
        told.append(Told(ChangeKind.CLOSED, Outcome.GOT_UP.value))
    return replace(after, changes=after.changes + len(told)), told


def _happened(
    incident: Incident, happening: Happening, time_s: float, settings: IncidentSettings
) -> tuple[Incident, list[Told]]:
    match happening:
        case Fell():
            return _fell(incident, happening, time_s)
        case SeenDown():
            return _seen_down(incident, happening, time_s, settings)
        case OutOfSight(reason):
            return _out_of_sight(incident, reason, time_s, settings)
        case SeenUp(up_since_s, certain) if incident.is_down:
            if certain:
                up = replace(incident, up_since_s=up_since_s, in_sight=True)
                return up, [Told(ChangeKind.RECOVERED)]
            doubtful = replace(incident, track_id=None, in_sight=False, sight_changed_s=time_s)
            return doubtful, [Told(ChangeKind.PERHAPS_UP, "a person is up there, perhaps another one")]
        case Acknowledge(by, way) if not incident.acknowledged_by:
            return replace(incident, acknowledged_by=by), [Told(ChangeKind.ACKNOWLEDGED, _by(by, way))]
        case Close(by, outcome, way):
            closed = replace(incident, outcome=outcome, closed_by=by)
            return closed, [Told(ChangeKind.CLOSED, f"{outcome.value} ({_by(by, way)})")]
    return incident, []


def _fell(incident: Incident, fall: Fell, time_s: float) -> tuple[Incident, list[Told]]:
    """A new lying clock starts only where the person had got up."""
    down = replace(
        incident,
        event_id=fall.event_id or incident.event_id,
        track_id=fall.track_id,
        box=fall.box,
        score=max(incident.score, fall.score),
        falls=incident.falls + 1,
        in_sight=True,
        seen_s=time_s,
        acknowledged_by="",
    )
    if incident.up_since_s is not None:
        down = replace(down, up_since_s=None, down_since_s=fall.down_since_s, long_lie=False, lying_s=0.0)
    return down, [Told(ChangeKind.AGAIN, f"fall {down.falls} at this place")]


def _seen_down(
    incident: Incident, seen: SeenDown, time_s: float, settings: IncidentSettings
) -> tuple[Incident, list[Told]]:
    if not incident.is_down:
        return incident, []
    lying_s = max(incident.lying_s, seen.lying_s)
    score = max(incident.score, seen.score)
    after = replace(incident, track_id=seen.track_id, box=seen.box, seen_s=time_s, lying_s=lying_s, score=score)
    if incident.in_sight or time_s - incident.sight_changed_s < settings.sight_hold_s:
        return after, []
    return replace(after, in_sight=True, sight_changed_s=time_s), [Told(ChangeKind.SEEN_AGAIN, "lies there still")]


def _out_of_sight(
    incident: Incident, reason: str, time_s: float, settings: IncidentSettings
) -> tuple[Incident, list[Told]]:
    if not incident.is_down or not incident.in_sight:
        return incident, []
    if time_s - incident.sight_changed_s < settings.sight_hold_s:
        return incident, []
    lost = replace(incident, in_sight=False, track_id=None, sight_changed_s=time_s)
    return lost, [Told(ChangeKind.LOST_SIGHT, reason)]


def _by(by: str, way: str) -> str:
    return f"{by} by {way}" if way else by
