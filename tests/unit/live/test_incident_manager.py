"""Incidents of composed scenes: cuts, helpers, two people, further falls, restarts; the real recognizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from live_scenes import ScriptedCamera

from falldet.live.incident import Acknowledge, Close, IncidentSettings, IncidentState, Outcome
from falldet.live.incident_manager import Answer, IncidentManager
from falldet.live.reader_state import ReaderState, ReaderStatus
from falldet.live.store import connect_read_only
from falldet.synthetic.body import Body
from falldet.synthetic.camera import Camera
from falldet.synthetic.motion import Walk, fall, get_up, lie, lie_down, pick_up, stand
from falldet.synthetic.scene import Person, Scene

SHELF = Camera(position=(0.0, -3.7, 2.1), pitch_deg=20.0)
LYING = Person((lie(200.0, "prone"),), (-0.4, 0.0))
NO_ALERTS = {"events": {"alert_threshold": 1.0}}
HELPER = Person((Walk((0.0, 0.3), 2.0), stand(0.5), pick_up(2.5), stand(2.0), Walk((2.6, 0.3), 3.0)), (2.6, 0.3), 180.0)


def scene(*people: Person, duration_s: float) -> Scene:
    return Scene(people, duration_s, SHELF)


def falls_and_lies(lies_s: float = 6.0) -> Scene:
    """One person who walks in, falls at 2.8 s and lies."""
    return scene(
        Person((Walk((-0.4, 0.0), 1.6), stand(1.2), fall("forward"), lie(lies_s, "prone")), (-1.7, 0.0)),
        duration_s=3.7 + lies_s,
    )


BEFORE_LYING = [(0, 0.0, 1.0)]
"""A scene's person stands at its very start: hidden, until lying."""


def lying(duration_s: float) -> Scene:
    person = Person((lie(duration_s, "prone"),), (-0.2, 0.0))
    return scene(person, duration_s=duration_s)


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Callable[..., ScriptedCamera]]:
    made: list[ScriptedCamera] = []

    def make(*arguments: object, **values: object) -> ScriptedCamera:
        made.append(ScriptedCamera(tmp_path / "state", *arguments, **values))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def test_manager_keeps_an_incident_open_when_the_stream_is_cut_after_a_fall(
    camera: Callable[..., ScriptedCamera],
) -> None:
    cam = camera()
    cam.play(falls_and_lies(8.0))
    assert cam.told == ["alert"]
    cam.cut(70.0)
    assert cam.told == ["alert", "lost_sight", "long_lie"]
    assert cam.changes[1].record["detail"] == "the camera is away: connection refused"
    assert cam.changes[2].record["detail"] == "not seen to get up since"
    cam.play(lying(5.0), BEFORE_LYING)
    assert cam.told == ["alert", "lost_sight", "long_lie", "seen_again"]
    (incident,) = cam.manager.incidents
    assert incident.state is IncidentState.LONG_LIE


def test_manager_finds_a_person_lying_after_a_cut_within_the_fall(camera: Callable[..., ScriptedCamera]) -> None:
    cam = camera(found_lying_s=10.0, detect=NO_ALERTS)
    whole = falls_and_lies()
    cam.play(replace(whole, duration_s=2.9))
    cam.cut(5.0)
    assert cam.told == []
    cam.play(lying(15.0), BEFORE_LYING)
    assert cam.told == ["alert"]
    assert cam.changes[0].record["kind"] == "found_lying"


def test_manager_does_not_look_for_lying_people_by_default(camera: Callable[..., ScriptedCamera]) -> None:
    cam = camera(detect=NO_ALERTS)
    cam.play(lying(40.0), BEFORE_LYING)
    assert cam.told == []


def test_manager_does_not_take_a_helper_who_straightens_up_for_a_recovery(
    camera: Callable[..., ScriptedCamera],
) -> None:
    cam = camera()
    cam.play(falls_and_lies(3.0))
    hidden = [(0, 0.0, 30.0)]
    cam.play(scene(LYING, HELPER, duration_s=12.0), hidden)
    assert cam.told == ["alert", "perhaps_up"]
    cam.cut(60.0)
    assert cam.told == ["alert", "perhaps_up", "long_lie"]
    assert cam.manager.incidents[0].is_down


def test_manager_joins_a_further_fall_after_getting_up(camera: Callable[..., ScriptedCamera]) -> None:
    cam = camera()
    acts = (
        Walk((-0.4, 0.0), 1.6), stand(1.2), fall("forward"), lie(2.5, "prone"), get_up(3.0, "prone"), stand(2.5),
        fall("forward"), lie(4.0, "prone"),
    )  # fmt: skip
    cam.play(scene(Person(acts, (-1.7, 0.0)), duration_s=16.6))
    assert cam.told == ["alert", "recovered", "again"]
    (incident,) = cam.manager.incidents
    assert incident.falls == 2
    assert cam.now_s - incident.down_since_s < 7.0  # the clock of the long lie runs anew
    assert incident.is_down


def test_manager_closes_after_a_seen_recovery_only(camera: Callable[..., ScriptedCamera]) -> None:
    cam = camera(IncidentSettings(close_after_recovery_s=20.0))
    acts = (stand(1.0), fall("forward"), lie(2.1, "prone"), get_up(3.0, "prone"), Walk((1.5, -0.2), 1.8), stand(30.0))
    cam.play(scene(Person(acts, (-0.8, 0.0)), duration_s=34.0))
    assert cam.told == ["alert", "recovered", "closed"]
    assert cam.changes[-1].record["outcome"] == "got_up"


def test_manager_keeps_two_people_apart_and_closes_the_one_who_gets_up(camera: Callable[..., ScriptedCamera]) -> None:
    cam = camera()
    one = Person((Walk((-1.0, 0.3), 1.6), stand(1.4), fall("forward"), lie(20.0, "prone")), (-2.2, 0.3))
    gets_up = (lie(2.0, "prone"), get_up(3.0, "prone"), stand(6.0))
    two = Person((Walk((1.1, 0.2), 1.6), stand(4.4), fall("forward"), *gets_up), (2.3, 0.2), 180.0, Body(1.66))
    cam.play(scene(one, two, duration_s=18.0))
    assert sorted(cam.told) == ["alert", "alert", "recovered"]
    assert {incident.state for incident in cam.manager.incidents} == {IncidentState.OPEN, IncidentState.RECOVERED}


def test_manager_opens_nothing_for_a_person_who_lies_down_in_an_ignore_zone(
    camera: Callable[..., ScriptedCamera],
) -> None:
    cam = camera(found_lying_s=5.0, ignore_zones=(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),))
    person = Person((stand(0.5), lie_down(3.5), lie(20.0, "supine")), (0.6, 0.0))
    cam.play(scene(person, duration_s=20.0))
    assert cam.told == []


def test_manager_finds_a_person_who_lay_down_without_an_alert_and_sees_the_recovery(
    camera: Callable[..., ScriptedCamera],
) -> None:
    cam = camera(found_lying_s=6.0, detect=NO_ALERTS)
    person = Person((stand(0.5), lie_down(3.5), lie(9.0, "supine"), get_up(3.5, "supine"), stand(5.0)), (0.6, 0.0))
    cam.play(scene(person, duration_s=21.0))
    assert cam.told == ["alert", "recovered"]
    assert cam.changes[0].record["kind"] == "found_lying"


def test_manager_tells_a_blind_camera_once_and_its_return(camera: Callable[..., ScriptedCamera]) -> None:
    cam = camera(blind_after_s=30.0)
    cam.play(scene(duration_s=1.0))
    cam.manager.camera_changed("cam", ReaderStatus(ReaderState.FROZEN, "the image does not change", cam.now_s))
    for _ in range(200):
        cam.now_s += 0.5
        cam.manager.tick(cam.now_s)
    cam.manager.camera_changed("cam", ReaderStatus(ReaderState.LIVE, "", cam.now_s))
    assert cam.told == ["alert", "closed"]
    assert [change.record["kind"] for change in cam.changes] == ["blind", "blind"]
    with connect_read_only(cam.store.folder) as database:
        assert [tuple(row) for row in database.execute("SELECT state, ended IS NOT NULL FROM outages")] == [
            ("frozen", 1)
        ]


def test_manager_takes_up_open_incidents_after_a_restart(camera: Callable[..., ScriptedCamera]) -> None:
    cam = camera()
    cam.play(falls_and_lies(8.0))
    before = cam.manager.incidents[0]
    cam.now_s += 100.0
    again = IncidentManager(
        {"cam": cam.manager._cameras["cam"]}, IncidentSettings(), cam.store, cam.wall, [cam.changes.append]
    )
    again.load(cam.now_s)
    (incident,) = again.incidents
    assert incident.id == before.id
    assert not incident.in_sight
    assert incident.down_since_s == pytest.approx(before.down_since_s, abs=0.01)
    assert cam.told == ["alert", "lost_sight", "long_lie"]


def test_manager_takes_answers_of_people(camera: Callable[..., ScriptedCamera]) -> None:
    cam = camera()
    cam.play(falls_and_lies(4.0))
    (incident,) = cam.manager.incidents
    assert cam.manager.answer(Answer(incident.id, Acknowledge("Anna", "page")), cam.now_s)
    assert cam.manager.incidents[0].state is IncidentState.ACKNOWLEDGED
    assert cam.manager.answer(Answer(incident.id, Close("Anna", Outcome.HELPED)), cam.now_s)
    assert cam.manager.incidents == ()
    assert not cam.manager.answer(Answer(incident.id, Acknowledge("Ben")), cam.now_s)
    with connect_read_only(cam.store.folder) as database:
        kinds = [row["kind"] for row in database.execute("SELECT kind FROM changes ORDER BY number")]
    assert kinds == ["alert", "acknowledged", "closed"]


def test_manager_tells_incidents_although_the_state_can_not_be_stored(camera: Callable[..., ScriptedCamera]) -> None:
    cam = camera()
    cam.store._database.execute("PRAGMA query_only = ON")
    cam.play(falls_and_lies(4.0))
    assert cam.told == ["alert"]
    assert not cam.manager.is_storing
    cam.store._database.execute("PRAGMA query_only = OFF")
    cam.manager.tick(cam.now_s + 1.0)
    assert cam.manager.is_storing
    with connect_read_only(cam.store.folder) as database:
        assert [row["kind"] for row in database.execute("SELECT kind FROM changes")] == ["alert"]
