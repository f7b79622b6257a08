"""The incident's state machine: tables of happenings, and what holds whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falldet.live.incident import (
    Acknowledge,
    Close,
    Fell,
    Happening,
    Incident,
    IncidentKind,
    IncidentSettings,
    IncidentState,
    Outcome,
    OutOfSight,
    Passed,
    SeenDown,
    SeenUp,
    advance,
)

BOX = (0.0, 0.0, 100.0, 40.0)
SETTINGS = IncidentSettings()
DOWN, GONE, PASSED = SeenDown(1, BOX, 1.0), OutOfSight("gone"), Passed()
UP, PERHAPS_UP = SeenUp(0.0, certain=True), SeenUp(0.0, certain=False)
AGAIN = Fell("e2", 2, BOX, 0.99, 40.0)
ACKNOWLEDGE, CLOSE = Acknowledge("Anna", "page"), Close("Anna", Outcome.HELPED)


def opened() -> Incident:
    return Incident("i", "cam", IncidentKind.FALL, 0.0, 0.0, box=BOX, track_id=1, changes=1)


def live(*happenings: tuple[float, Happening]) -> tuple[Incident, list[str]]:
    incident, told = opened(), []
    for time_s, happening in happenings:
        incident, changes = advance(incident, happening, time_s, SETTINGS)
        told += [change.kind.value for change in changes]
    return incident, told


@pytest.mark.parametrize(
    ("happenings", "told", "state"),
    [
        ([(59, PASSED)], [], IncidentState.OPEN),
        ([(30, DOWN), (60, DOWN), (90, DOWN)], ["long_lie"], IncidentState.LONG_LIE),
        ([(12, GONE), (13, GONE)], ["lost_sight"], IncidentState.LOST_SIGHT),
        ([(12, GONE), (60, PASSED)], ["lost_sight", "long_lie"], IncidentState.LONG_LIE),
        ([(12, GONE), (50, DOWN)], ["lost_sight", "seen_again"], IncidentState.OPEN),
        ([(12, GONE), (20, DOWN), (30, DOWN)], ["lost_sight"], IncidentState.LOST_SIGHT),
        ([(10, UP)], ["recovered"], IncidentState.RECOVERED),
        ([(10, UP), (12, GONE), (100, PASSED)], ["recovered"], IncidentState.RECOVERED),
        ([(10, UP), (300, PASSED)], ["recovered", "closed"], IncidentState.CLOSED),
        ([(10, PERHAPS_UP), (59, PASSED)], ["perhaps_up"], IncidentState.LOST_SIGHT),
        ([(10, PERHAPS_UP), (9999, PASSED)], ["perhaps_up", "long_lie"], IncidentState.LONG_LIE),
        ([(10, UP), (40, AGAIN), (99, PASSED)], ["recovered", "again"], IncidentState.OPEN),
        ([(10, UP), (40, AGAIN), (100, PASSED)], ["recovered", "again", "long_lie"], IncidentState.LONG_LIE),
        ([(40, AGAIN), (60, PASSED)], ["again", "long_lie"], IncidentState.LONG_LIE),
        ([(5, ACKNOWLEDGE), (60, DOWN)], ["acknowledged", "long_lie"], IncidentState.ACKNOWLEDGED),
        ([(5, ACKNOWLEDGE), (6, ACKNOWLEDGE)], ["acknowledged"], IncidentState.ACKNOWLEDGED),
        ([(5, ACKNOWLEDGE), (6, UP), (40, AGAIN)], ["acknowledged", "recovered", "again"], IncidentState.OPEN),
        ([(5, CLOSE), (6, UP), (7, AGAIN), (70, PASSED)], ["closed"], IncidentState.CLOSED),
    ],
)
def test_advance_tells_each_change_once(
    happenings: list[tuple[float, Happening]], told: list[str], state: IncidentState
) -> None:
    incident, changes = live(*happenings)
    assert changes == told
    assert incident.state is state
    assert incident.changes == 1 + len(told)


SEEN = st.sampled_from([DOWN, GONE, PASSED, PERHAPS_UP, AGAIN, ACKNOWLEDGE])


@given(st.lists(st.tuples(st.floats(0, 5000), SEEN), max_size=40))
def test_advance_never_closes_without_a_person_or_a_certain_recovery(happenings: list[tuple[float, Happening]]) -> None:
    incident, told = live(*sorted(happenings, key=lambda pair: pair[0]))
    assert incident.outcome is None
    assert "closed" not in told
    assert told.count("long_lie") <= 1


def test_incident_settings_refuse_negative_times() -> None:
    with pytest.raises(ValueError, match="long_lie_s"):
        IncidentSettings(long_lie_s=-1)
