"""An incident as JSON, in UTC, and back into steady seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from falldet.live.clock import WallClock
from falldet.live.config import CameraConfig
from falldet.live.incident import Incident, IncidentKind, Told


def record_of(
    incident: Incident, camera: CameraConfig | None, number: int, told: Told, time_s: float, wall: WallClock
) -> dict[str, Any]:
    """Return what is stored and told of an incident after a change.

    Args:
        incident: after the change.
        camera: its camera; None where the configuration names it no more.
        number: of the change, from 1.
        told: the change.
        time_s: when, steady seconds.
        wall: steady seconds to UTC.
    """
    up_s = incident.up_since_s
    return {
        "incident": incident.id,
        "change": number,
        "event": told.kind.value,
        "detail": told.detail,
        "time": _text(wall.at(time_s)),
        "camera": incident.camera,
        "title": (camera.title if camera else "") or incident.camera,
        "note": camera.note if camera else "",
        "kind": incident.kind.value,
        "state": incident.state.value,
        "opened": _text(wall.at(incident.opened_s)),
        "down_since": _text(wall.at(incident.down_since_s)),
        "not_up_s": round(time_s - incident.down_since_s, 1) if incident.is_down else 0.0,
        "up_s": None if up_s is None else round(time_s - up_s, 1),
        "lying_s": round(incident.lying_s, 1),
        "score": round(incident.score, 4),
        "falls": incident.falls,
        "long_lie": incident.long_lie,
        "in_sight": incident.in_sight,
        "box": [round(side) for side in incident.box],
        "acknowledged_by": incident.acknowledged_by,
        "outcome": incident.outcome.value if incident.outcome else None,
        "closed_by": incident.closed_by,
    }


def incident_of(record: Mapping[str, Any], now_s: float, wall: WallClock) -> Incident:
    """Return a stored incident; its durations go on by UTC, and are never below what was stored.

    Args:
        record: as made by `record_of`.
        now_s: now, steady seconds.
        wall: UTC to steady seconds.
    """

    def since(key: str, at_least_s: float = 0.0) -> float:
        return min(wall.seconds(datetime.fromisoformat(record[key])), now_s - at_least_s)

    up_s = record["up_s"]
    return Incident(
        id=record["incident"],
        camera=record["camera"],
        kind=IncidentKind(record["kind"]),
        opened_s=since("opened"),
        down_since_s=since("down_since", record["not_up_s"]),
        score=record["score"],
        box=tuple(record["box"]),
        falls=record["falls"],
        lying_s=record["lying_s"],
        long_lie=record["long_lie"],
        in_sight=record["in_sight"],
        up_since_s=None if up_s is None else since("time") - up_s,
        acknowledged_by=record["acknowledged_by"],
        changes=record["change"],
    )


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")
