"""The event rule: a table of stories of evidence and posture, one alert per fall, its states, and bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.errors import FalldetError
from falldet.pipeline.config import Config
from falldet.stages.events import ALERT_THRESHOLDS, ONSET_LAG_S, EventDecoder, EventSettings
from falldet.stages.posture import read_postures
from falldet.types import Event, EventState, People, PersonScore

FPS = 12.5
IMAGE_HW = (600, 1000)
UPRIGHT, BENT, LYING = 0.0, 25.0, 90.0  # how far the body is turned, degrees


@dataclass(frozen=True)
class Act:
    """One person over some time: track id, seconds from and to, posture, score, x of the hips in pixels."""

    track_id: int
    start_s: float
    stop_s: float
    posture: float
    score: float
    x: float = 300.0


def body(posture: float, x: float) -> np.ndarray:
    """The joints (17, 2) of a person of 200 pixels, turned around the hips by `posture` degrees."""
    rows = np.array([-0.5] + [-0.52] * 4 + [-0.35] * 2 + [-0.15] * 2 + [0.0] * 4 + [0.25] * 2 + [0.5] * 2)
    sides = np.array([0.0] + [0.03, -0.03, 0.05, -0.05] + [0.12, -0.12] * 6)
    angle = np.radians(posture)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.stack([sides, rows], axis=1) * 200 @ rotation.T + [x, 300.0]


STORY = EventSettings(alert_threshold=0.6, low_share=0.5)
"""The settings of the stories, whatever the defaults are."""


def people_of(acts: list[Act]) -> People:
    if not acts:
        return People.none()
    keypoints = np.stack([body(act.posture, act.x) for act in acts])
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    ones = np.ones(len(acts))
    return People(keypoints, np.ones(keypoints.shape[:2]), boxes, ones, [act.track_id for act in acts])


def push(decoder: EventDecoder, scores: list[PersonScore], people: People, time_s: float) -> list[Event]:
    return decoder.push(scores, people, read_postures(people.keypoints, people.scores, IMAGE_HW), time_s)


def play(
    acts: list[Act], event_settings: EventSettings | None = None, stop_s: float | None = None, fps: float = FPS
) -> tuple[list[Event], list[list[Event]]]:
    """Return the last update of each event, and the updates of each frame; the last item is the flush."""
    decoder = EventDecoder(event_settings or STORY)
    last: dict[str, Event] = {}
    updates = []
    stop_s = stop_s or max(act.stop_s for act in acts)
    for time_s, scores, people in frames_of(acts, stop_s, fps):
        updates.append(push(decoder, scores, people, time_s))
        last |= {event.id: event for event in updates[-1]}
    updates.append(decoder.flush([], stop_s))
    last |= {event.id: event for event in updates[-1]}
    return sorted(last.values(), key=lambda event: event.alert_s), updates


def frames_of(acts: list[Act], stop_s: float, fps: float = FPS) -> Iterator[tuple[float, list[PersonScore], People]]:
    """Yield time, scores and people of each frame of a story."""
    for index in range(round(stop_s * fps)):
        time_s = index / fps
        here = [act for act in acts if act.start_s <= time_s < act.stop_s]
        yield time_s, [PersonScore(act.track_id, index, time_s, act.score) for act in here], people_of(here)


def states_of(updates: list[list[Event]]) -> list[EventState]:
    return [event.state for found in updates for event in found]


def walk(stop_s: float, track_id: int = 1, start_s: float = 0.0, x: float = 300.0) -> Act:
    return Act(track_id, start_s, stop_s, UPRIGHT, 0.05, x)


FALL_AND_LIE = [walk(3), Act(1, 3, 3.6, BENT, 0.5), Act(1, 3.6, 4.4, LYING, 0.8), Act(1, 4.4, 12, LYING, 0.1)]


def test_event_decoder_raises_one_alert_per_fall_with_onset_and_peak() -> None:
    events, updates = play(FALL_AND_LIE)
    assert len(events) == 1
    event = events[0]
    assert (event.track_id, event.end_s, event.state) == (1, None, EventState.FALLEN)
    assert event.start_s == pytest.approx(3.0 - ONSET_LAG_S, abs=1 / FPS)  # before the low threshold
    assert event.alert_s == pytest.approx(3.6, abs=1 / FPS)  # alert_threshold
    assert event.peak_s == pytest.approx(3.6, abs=1 / FPS)
    assert event.score == pytest.approx(0.8)
    x0, y0, x1, y1 = event.box
    assert x1 - x0 > y1 - y0
    assert states_of(updates) == [EventState.FALLING, EventState.FALLEN]


@pytest.mark.parametrize(
    ("acts", "alerts"),
    [
        ([walk(10)], 0),
        ([walk(3), Act(1, 3, 3.3, UPRIGHT, 0.8), walk(9, start_s=3.3)], 1),
        ([walk(3), Act(1, 3, 5, BENT, 0.5), walk(9, start_s=5)], 0),
        ([walk(3), Act(1, 3, 9, LYING, 0.59)], 0),
        ([walk(3), Act(1, 3, 9, LYING, 0.6)], 1),
        ([walk(3, x=980), Act(1, 3, 3.4, UPRIGHT, 0.8, x=980)], 1),
        ([Act(1, 0, 9, LYING, 0.05)], 0),
        ([walk(3), Act(1, 3, 3.4, UPRIGHT, 0.8)], 1),
        ([walk(3), Act(1, 3, 3.4, UPRIGHT, 0.5)], 0),
        (FALL_AND_LIE, 1),
        ([*FALL_AND_LIE, walk(20, start_s=12)], 1),
        ([*FALL_AND_LIE[:3], Act(1, 4.4, 5, LYING, 0.1), Act(1, 5, 5.4, LYING, 0.9), Act(1, 5.4, 9, LYING, 0.1)], 1),
        (FALL_AND_LIE[:3] + [Act(1, 4.4 + i / 5, 4.6 + i / 5, LYING, 0.7 if i % 2 else 0.2) for i in range(20)], 1),
        ([walk(3), Act(1, 3, 3.4, LYING, 0.8), walk(5, start_s=3.4), Act(1, 5, 6, LYING, 0.8), walk(9, start_s=6)], 1),
        ([walk(3), Act(1, 3, 3.4, LYING, 0.8), walk(10, start_s=3.4), Act(1, 10, 10.4, LYING, 0.8)], 2),
        ([walk(3), Act(1, 3, 12, UPRIGHT, 0.8)], 1),
    ],
    ids=[
        "walking",
        "evidence whatever the posture",
        "bending without the evidence",
        "lying, evidence just below",
        "lying, evidence just enough",
        "at the border of the image",
        "lying in bed",
        "out of sight after the evidence",
        "out of sight after low evidence",
        "fall",
        "fall and recovery",
        "second peak while lying",
        "evidence that swings around the threshold",
        "evidence again within the cool-down",
        "evidence again after the cool-down",
        "one run of evidence longer than the cool-down",
    ],
)
def test_event_decoder_alerts_by_evidence_alone(acts: list[Act], alerts: int) -> None:
    events, _ = play(acts, stop_s=max(act.stop_s for act in acts) + 3)
    assert len(events) == alerts


def test_event_decoder_ends_the_event_at_the_recovery() -> None:
    events, updates = play([*FALL_AND_LIE, walk(30, start_s=12)])
    assert [event.state for event in events] == [EventState.RECOVERED]
    assert events[0].end_s == pytest.approx(12.0, abs=1 / FPS)
    assert states_of(updates) == [EventState.FALLING, EventState.FALLEN, EventState.RECOVERED]
    recovered_s = next(i for i, found in enumerate(updates) if found and found[0].state is EventState.RECOVERED) / FPS
    assert recovered_s == pytest.approx(13.0, abs=2 / FPS)  # recover_s later


def test_event_decoder_reports_no_recovered_person_as_lost() -> None:
    _, updates = play([*FALL_AND_LIE, walk(16, start_s=12)], stop_s=30)
    assert states_of(updates) == [EventState.FALLING, EventState.FALLEN, EventState.RECOVERED]


def test_event_decoder_takes_standing_before_the_alert_for_no_recovery() -> None:
    standing = [walk(3), Act(1, 3, 3.2, UPRIGHT, 0.97), Act(1, 3.2, 4, BENT, 0.9), Act(1, 4, 9, LYING, 0.1)]
    out_of_sight = [walk(3), Act(1, 3, 3.2, UPRIGHT, 0.8), Act(1, 6, 9, LYING, 0.1)]
    for acts in (standing, out_of_sight):
        events, _ = play(acts)
        assert [(event.state, event.end_s) for event in events] == [(EventState.FALLEN, None)]


def test_event_decoder_takes_sitting_up_for_a_moment_for_no_recovery() -> None:
    events, _ = play([*FALL_AND_LIE, walk(12.6, start_s=12), Act(1, 12.6, 16, LYING, 0.1)])
    assert [(event.end_s, event.state) for event in events] == [(None, EventState.FALLEN)]


def test_event_decoder_alerts_again_long_after_the_recovery() -> None:
    later = [replace(act, start_s=act.start_s + 22, stop_s=act.stop_s + 22) for act in FALL_AND_LIE]
    events, _ = play([*FALL_AND_LIE, walk(22, start_s=12), *later])
    assert len(events) == 2
    assert events[0].end_s is not None
    assert events[1].alert_s - events[0].alert_s == pytest.approx(22, abs=2 / FPS)


@pytest.mark.parametrize("gap_s", [0.0, 0.4, 2.0])
def test_event_decoder_raises_one_alert_though_the_track_id_changes_after_it(gap_s: float) -> None:
    again_s = 4.2 + gap_s
    events, updates = play(
        [
            walk(3),
            Act(1, 3, 3.6, BENT, 0.5),
            Act(1, 3.6, 4.2, LYING, 0.8),
            Act(2, again_s, again_s + 1, LYING, 0.8, x=310),
            Act(2, again_s + 1, 14, LYING, 0.1, x=310),
        ]
    )
    assert [event.track_id for event in events] == [1]
    assert {event.id for found in updates for event in found} == {events[0].id}


def test_event_decoder_raises_one_alert_though_the_track_id_changes_in_the_descent() -> None:
    events, _ = play([walk(3), Act(1, 3, 3.4, BENT, 0.8), Act(2, 3.5, 4.6, LYING, 0.8), Act(2, 4.6, 10, LYING, 0.1)])
    assert [event.track_id for event in events] == [1]


def test_event_decoder_ends_an_event_by_the_recovery_under_another_track_id() -> None:
    acts = [*FALL_AND_LIE[:3], Act(1, 4.4, 6, LYING, 0.1), Act(2, 6.5, 9, LYING, 0.1), walk(13, 2, 9)]
    events, updates = play(acts)
    assert [(event.track_id, event.state) for event in events] == [(1, EventState.RECOVERED)]
    assert {event.id for found in updates for event in found} == {events[0].id}, "the hand-over keeps the id"
    assert events[0].end_s == pytest.approx(9.0, abs=1 / FPS)


@pytest.mark.parametrize(
    "other",
    [
        [walk(20, 2, x=330)],
        [walk(20, 2, 7.5, x=330)],
        [Act(2, 0, 8, LYING, 0.05, x=330), walk(20, 2, 8, x=330)],
        [Act(2, 7, 8, LYING, 0.05, x=1500), walk(20, 2, 8, x=1500)],
    ],
    ids=["stands by", "comes to help", "lay there all along", "turns up lying elsewhere"],
)
def test_event_decoder_hands_no_event_to_another_person(other: list[Act]) -> None:
    acts = [*FALL_AND_LIE[:3], Act(1, 4.4, 6, LYING, 0.1), *other]
    events, _ = play(acts)
    assert [(event.track_id, event.state, event.end_s) for event in events] == [(1, EventState.LOST, None)]


def test_event_decoder_reports_a_person_out_of_sight_as_lost_once() -> None:
    decoder = EventDecoder(STORY)
    active_s, updates = [], []
    for time_s, scores, people in frames_of([*FALL_AND_LIE[:3], Act(1, 4.4, 6, LYING, 0.1)], 20):
        updates += [(time_s, event) for event in push(decoder, scores, people, time_s)]
        active_s += [time_s] if decoder.active_events else []
    assert [event.state for _, event in updates] == [EventState.FALLING, EventState.FALLEN, EventState.LOST]
    lost_s, lost = updates[-1]
    assert lost_s == pytest.approx(6 + STORY.cool_down_s, abs=2 / FPS)
    assert lost.end_s is None
    assert max(active_s) == pytest.approx(lost_s, abs=1.1 / FPS)
    assert decoder.flush([], 20.0) == []


def test_event_decoder_reports_a_person_lost_while_falling_as_lost() -> None:
    events, updates = play([walk(3), Act(1, 3, 3.4, LYING, 0.9)], stop_s=12)
    assert states_of(updates) == [EventState.FALLING, EventState.LOST]
    assert events[0].end_s is None


def test_event_decoder_gives_each_event_one_id_of_its_own() -> None:
    later = [replace(act, start_s=act.start_s + 22, stop_s=act.stop_s + 22) for act in FALL_AND_LIE]
    other = [replace(act, track_id=2, x=900) for act in FALL_AND_LIE]
    events, updates = play([*FALL_AND_LIE, walk(22, start_s=12), *later, *other], stop_s=45)
    assert len(events) == len({event.id for event in events}) == 3
    identities = {(event.id, event.track_id, event.alert_s, event.start_s) for found in updates for event in found}
    assert len(identities) == 3
    assert len(states_of(updates)) > 6


@pytest.mark.parametrize("started", [None, datetime(2024, 3, 31, 23, 59, 57, tzinfo=UTC)])
def test_event_decoder_stores_source_and_wall_time(started: datetime | None) -> None:
    decoder = EventDecoder(STORY, "hall", started)
    (event, *rest) = [
        event
        for time_s, scores, people in frames_of(FALL_AND_LIE, 12)
        for event in push(decoder, scores, people, time_s)
    ]
    assert event.source == "hall"
    assert event.id.endswith("-hall-1")
    if started is None:
        assert event.wall_time is None
        assert event.id.startswith(f"{event.alert_s:.3f}-")
    else:
        assert event.wall_time == started + timedelta(seconds=event.alert_s)
        assert event.id.startswith("20240401T000000")
    assert {(each.id, each.source, each.wall_time) for each in rest} == {(event.id, "hall", event.wall_time)}


def test_event_decoder_alerts_for_the_person_who_falls() -> None:
    events, _ = play([*FALL_AND_LIE, walk(12, 2, x=900), walk(12, 3, x=1500)])
    assert [event.track_id for event in events] == [1]


def test_event_decoder_raises_two_alerts_for_falls_at_two_places() -> None:
    other = [replace(act, track_id=2, x=1500) for act in FALL_AND_LIE]
    events, _ = play([*FALL_AND_LIE, *other])
    assert sorted(event.track_id for event in events) == [1, 2]


@pytest.mark.parametrize("later_s", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("apart_px", [40.0, 150.0])
def test_event_decoder_raises_two_alerts_for_two_neighbors_who_fall(later_s: float, apart_px: float) -> None:
    first = FALL_AND_LIE
    second = [
        walk(3 + later_s, 2, x=300 + apart_px),
        Act(2, 3 + later_s, 3.6 + later_s, BENT, 0.5, 300 + apart_px),
        Act(2, 3.6 + later_s, 4.4 + later_s, LYING, 0.8, 300 + apart_px),
        Act(2, 4.4 + later_s, 12, LYING, 0.1, 300 + apart_px),
    ]
    events, _ = play([*first, *second])
    assert sorted(event.track_id for event in events) == [1, 2]


def test_event_decoder_raises_a_second_alert_for_a_helper_who_falls_at_the_same_place() -> None:
    helper = [
        walk(6, 2, 4.5, x=330),
        Act(2, 6, 6.6, BENT, 0.5, 330),
        Act(2, 6.6, 7.4, LYING, 0.8, 330),
        Act(2, 7.4, 12, LYING, 0.1, 330),
    ]
    events, _ = play([*FALL_AND_LIE, *helper])
    assert sorted(event.track_id for event in events) == [1, 2]


BED = (((0.2, 0.3), (0.4, 0.3), (0.4, 0.7), (0.2, 0.7)),)
"""A zone around (300, 300) in an image of 1000 x 600 pixels."""


@pytest.mark.parametrize(
    ("acts", "alerts"),
    [
        (FALL_AND_LIE, 0),
        ([walk(3), Act(1, 3, 3.4, UPRIGHT, 0.8)], 0),
        ([replace(act, x=700.0) for act in FALL_AND_LIE], 1),
        ([Act(1, 0, 3, LYING, 0.05), Act(1, 3, 3.4, LYING, 0.8), Act(1, 3.4, 9, LYING, 0.1, x=450)], 1),
        (
            [Act(1, 0, 3, LYING, 0.05), Act(1, 3, 3.4, LYING, 0.8), Act(1, 3.4, 5.5, LYING, 0.1), walk(9, 1, 5.5, 450)],
            0,
        ),
        ([walk(3, x=450), Act(1, 3, 3.2, BENT, 0.5, x=450), Act(1, 3.2, 9, LYING, 0.8)], 0),
    ],
    ids=["inside", "out of sight inside", "outside", "rolls out of it", "gets up long after", "falls into it"],
)
def test_event_decoder_raises_no_alert_in_an_ignore_zone(acts: list[Act], alerts: int) -> None:
    events, _ = play(acts, replace(STORY, ignore_zones=BED), stop_s=12)
    assert len(events) == alerts
    assert len(play(acts, stop_s=12)[0]) == 1


def test_event_decoder_ignores_only_the_person_in_an_ignore_zone() -> None:
    events, _ = play(
        [*FALL_AND_LIE, *[replace(act, track_id=2, x=700) for act in FALL_AND_LIE]], replace(STORY, ignore_zones=BED)
    )
    assert [event.track_id for event in events] == [2]


def test_event_decoder_times_lying_from_the_first_lying_posture_to_the_recovery() -> None:
    events, updates = play([*FALL_AND_LIE, walk(16, start_s=12)])
    assert events[0].lying_s == pytest.approx(12 - 3.6, abs=1 / FPS)
    assert not events[0].long_lie
    states = [EventState.FALLING, EventState.FALLEN, EventState.RECOVERED]
    assert states_of(updates) == states, "a longer time alone is no update"


def test_event_decoder_times_lying_while_it_lasts_also_under_another_track_id() -> None:
    decoder = EventDecoder(STORY)
    acts = [*FALL_AND_LIE[:3], Act(1, 4.4, 6, LYING, 0.1), Act(2, 6.6, 11, LYING, 0.1)]
    times = {}
    for time_s, scores, people in frames_of(acts, 11):
        push(decoder, scores, people, time_s)
        for event in decoder.active_events.values():
            times[time_s] = event.lying_s
    values = list(times.values())
    assert values == sorted(values)
    assert times[5.52] == pytest.approx(5.52 - 3.6, abs=1 / FPS)
    assert times[6.4] == pytest.approx(6.0 - 3.6, abs=2 / FPS), "only observed time counts"
    assert max(values) == pytest.approx(11 - 3.6, abs=2 / FPS)


def test_event_decoder_times_no_lying_without_a_lying_posture() -> None:
    events, _ = play([walk(3), Act(1, 3, 3.2, UPRIGHT, 0.97), walk(9, start_s=3.2)])
    assert [event.lying_s for event in events] == [0.0]


def test_event_decoder_reports_a_long_lie_once() -> None:
    _, updates = play([*FALL_AND_LIE, walk(16, start_s=12)], replace(STORY, long_lie_s=5.0))
    at_s = [index / FPS for index, found in enumerate(updates) if any(event.long_lie for event in found)]
    assert at_s[0] == pytest.approx(3.6 + 5.0, abs=2 / FPS)
    assert states_of(updates) == [
        EventState.FALLING,
        EventState.FALLEN,
        EventState.FALLEN,
        EventState.RECOVERED,
    ]
    assert updates[-1] == []


@given(st.permutations([1, 2, 3]), st.sampled_from([0.0, 0.7, 2.0]))
@settings(max_examples=12, deadline=None)
def test_event_decoder_gives_the_same_events_in_any_order_of_people(order: list[int], later_s: float) -> None:
    acts = {
        1: FALL_AND_LIE,
        2: [
            replace(act, track_id=2, x=360, start_s=act.start_s and act.start_s + later_s, stop_s=act.stop_s + later_s)
            for act in FALL_AND_LIE
        ],
        3: [walk(12, 3, x=420)],
    }
    straight, _ = play([act for track_id in (1, 2, 3) for act in acts[track_id]])
    mixed, _ = play([act for track_id in order for act in acts[track_id]])
    by_id = {event.track_id: event for event in straight}
    assert by_id == {event.track_id: event for event in mixed}
    assert set(by_id) == {1, 2}


@pytest.mark.parametrize("fps", [10.0, 15.0, 25.0, 30.0])
def test_event_decoder_gives_the_same_events_at_every_frame_rate(fps: float) -> None:
    acts = [*FALL_AND_LIE, walk(16, start_s=12), *[replace(act, track_id=2, x=900) for act in FALL_AND_LIE[1:]]]
    events, at_rate = (play(acts, stop_s=16, fps=rate)[0] for rate in (FPS, fps))
    assert [(event.track_id, event.state) for event in events] == [(event.track_id, event.state) for event in at_rate]
    for event, same in zip(events, at_rate, strict=True):
        slack_s = 1 / fps + 1 / FPS
        assert same.alert_s == pytest.approx(event.alert_s, abs=slack_s)
        assert same.start_s == pytest.approx(event.start_s, abs=slack_s)
        assert same.lying_s == pytest.approx(event.lying_s, abs=2 * slack_s)
        assert same.end_s == (None if event.end_s is None else pytest.approx(event.end_s, abs=slack_s))


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_event_decoder_scales_with_all_times_scaled(factor: float) -> None:
    """With every time scaled, also those of the settings, the times of the events are scaled and nothing else."""
    acts = [*FALL_AND_LIE, walk(16, start_s=12)]
    names = ("zone_hold_s", "recover_s", "cool_down_s", "long_lie_s")
    slower = replace(STORY, **{name: getattr(STORY, name) * factor for name in names})
    slow = [replace(act, start_s=act.start_s * factor, stop_s=act.stop_s * factor) for act in acts]
    (event,) = play(acts)[0]
    with patch("falldet.stages.events.ONSET_LAG_S", ONSET_LAG_S * factor):
        (other,) = play(slow, slower, fps=FPS / factor)[0]
    assert (event.state, event.score) == (other.state, other.score)
    for name in ("start_s", "alert_s", "end_s", "peak_s", "lying_s"):
        assert getattr(other, name) == pytest.approx(getattr(event, name) * factor, rel=1e-6), name


@pytest.mark.parametrize("start_s", [0.0, 0.1, 0.5])
def test_event_decoder_alerts_for_a_fall_in_the_first_second_of_a_track(start_s: float) -> None:
    fall = [Act(1, start_s, start_s + 0.4, BENT, 0.7), Act(1, start_s + 0.4, 6, LYING, 0.9)]
    events, _ = play([walk(start_s), *fall] if start_s else fall)
    assert [event.track_id for event in events] == [1]


@given(st.integers(0, 150), st.sampled_from([0.5, 0.8, 0.97]))
@settings(max_examples=40, deadline=None)
def test_event_decoder_keeps_every_alert_when_the_stream_ends(frames: int, peak: float) -> None:
    acts = [walk(3), Act(1, 3, 3.6, BENT, 0.5), Act(1, 3.6, 4.4, LYING, peak), Act(1, 4.4, 12, LYING, 0.1)]
    events, _ = play(acts, stop_s=max(frames, 1) / FPS)
    lain_s = frames / FPS - 3.6
    if lain_s > 2 / FPS and peak >= STORY.alert_threshold:
        assert len(events) == 1
    elif lain_s <= 0:
        assert events == []


def test_event_decoder_active_events_last_from_the_alert_to_the_recovery() -> None:
    decoder = EventDecoder(STORY)
    active_s = []
    for time_s, scores, people in frames_of([*FALL_AND_LIE, walk(16, start_s=12)], 16):
        push(decoder, scores, people, time_s)
        active_s += [time_s] if 1 in decoder.active_events else []
    assert min(active_s) == pytest.approx(3.6, abs=1 / FPS)
    assert max(active_s) == pytest.approx(13.0, abs=2 / FPS)
    np.testing.assert_allclose(np.diff(active_s), 1 / FPS)


@pytest.mark.parametrize(
    ("last", "alerts"),
    [(Act(1, 3, 3.5, LYING, 0.7), 1), (Act(1, 3, 3.3, UPRIGHT, 0.7), 1), (Act(1, 3, 3.3, LYING, 0.4), 0)],
    ids=["lying", "upright", "low evidence"],
)
def test_event_decoder_flush_decides_candidates(last: Act, alerts: int) -> None:
    """At the end of a video the last window is still to be scored."""
    decoder = EventDecoder(STORY)
    for index in range(round(last.stop_s * FPS)):
        time_s = index / FPS
        here = last if time_s >= last.start_s else walk(3)
        scores = [] if here is last else [PersonScore(1, index, time_s, here.score)]
        assert push(decoder, scores, people_of([here]), time_s) == []
    events = decoder.flush([PersonScore(1, 39, 3.1, last.score)], last.stop_s)
    assert len(events) == alerts
    assert all(event.end_s is None and event.alert_s == last.stop_s for event in events)
    assert decoder.flush([], 9.0) == []


def test_event_decoder_raises_no_alert_before_its_evidence() -> None:
    for acts in (FALL_AND_LIE, [walk(3), Act(1, 3, 3.5, UPRIGHT, 0.97), Act(1, 3.5, 9, LYING, 0.1)]):
        for events in play(acts)[1]:
            for event in events:
                assert event.start_s <= event.peak_s
                assert event.start_s <= event.alert_s


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([UPRIGHT, BENT, LYING, None])), min_size=5, max_size=80))
@settings(max_examples=40, deadline=None)
def test_event_decoder_reports_states_in_order_and_keeps_alerts_of_one_place_apart(
    steps: list[tuple[float, float | None]],
) -> None:
    acts = [
        Act(1, i / 2, (i + 1) / 2, posture, score) for i, (score, posture) in enumerate(steps) if posture is not None
    ]
    if not acts:
        return
    events, updates = play(acts, stop_s=len(steps) / 2)
    alerts = [event.alert_s for event in events]
    assert all(b - a >= EventSettings().cool_down_s for a, b in pairwise(alerts))
    order = [EventState.FALLING, EventState.FALLEN, EventState.RECOVERED, EventState.LOST]
    ranks: dict[str, int] = {}
    for event in (event for found in updates for event in found):
        fall = f"{event.id} {event.falls}"  # a further fall begins anew
        assert order.index(event.state) >= ranks.get(fall, 0)
        assert ranks.get(fall, 0) < 2, "recovered and lost are final"
        assert (event.end_s is None) == (event.state is not EventState.RECOVERED)
        assert event.start_s <= event.peak_s
        assert event.start_s <= event.alert_s
        assert event.end_s is None or event.end_s >= event.alert_s
        ranks[fall] = order.index(event.state)


FALLS_AND_GETS_UP = [*FALL_AND_LIE[:3], Act(1, 4.4, 6, LYING, 0.1)]


def falls_again(track_id: int) -> list[Act]:
    return [Act(track_id, 8.5, 9, BENT, 0.5), Act(track_id, 9, 9.6, LYING, 0.8), Act(track_id, 9.6, 16, LYING, 0.1)]


def test_event_decoder_continues_the_event_of_a_person_who_falls_again_as_a_new_track() -> None:
    """Within the cool-down a further fall at the place of a recovered person is no second alert, and not swallowed."""
    up = [walk(7.2, start_s=6), walk(8.5, 2, 7.3)]
    (event,), updates = play([*FALLS_AND_GETS_UP, *up, *falls_again(2)])
    assert event.falls == 2
    assert states_of(updates) == [
        *[EventState.FALLING, EventState.FALLEN, EventState.RECOVERED],
        *[EventState.FALLING, EventState.FALLEN],
    ]
    assert event.end_s is None
    assert event.lying_s < 2.0  # the clock of lying began anew


def test_event_decoder_gives_a_further_fall_of_the_same_track_an_event_of_its_own() -> None:
    events, _ = play([*FALLS_AND_GETS_UP, walk(8.5, start_s=6), *falls_again(1)])
    assert [event.state for event in events] == [EventState.RECOVERED, EventState.FALLEN]


@pytest.mark.parametrize("upright_s", [0.0, 1.0], ids=["lying when first seen", "upright before"])
def test_event_decoder_tells_a_hand_over_to_a_track_that_was_upright(upright_s: float) -> None:
    fallen = [*FALL_AND_LIE[:3], Act(1, 4.4, 5, LYING, 0.1)]
    other = [walk(6.5 + upright_s, 2, 6.5), Act(2, 6.5 + upright_s, 9, LYING, 0.1), walk(12, 2, 9)]
    events, _ = play([*fallen, *(act for act in other if act.stop_s > act.start_s)])
    (event,) = events
    assert event.state is EventState.RECOVERED
    assert event.handed_over is bool(upright_s)


def test_event_decoder_reset_forgets_everything() -> None:
    decoder = EventDecoder(STORY)
    push(decoder, [PersonScore(1, 0, 0.0, 0.99)], people_of([Act(1, 0, 1, LYING, 0.99)]), 0.0)
    assert decoder.active_events
    decoder.reset()
    assert not decoder.active_events
    assert decoder.flush([], 1.0) == []


def test_event_decoder_memory_is_bounded_though_every_person_falls_and_is_lost() -> None:
    decoder = EventDecoder(STORY)
    for index in range(3000):
        time_s, track = index / 10, index // 100
        phase = index % 100
        act = Act(track, 0, 0, LYING if phase > 40 else UPRIGHT, 0.9 if 40 <= phase < 50 else 0.1, x=600.0 * track)
        push(decoder, [PersonScore(track, index, time_s, act.score)], people_of([act]), time_s)
        assert len(decoder._tracks) <= 4
        assert len(decoder._fallen_at) <= 4


@pytest.mark.parametrize(
    "wrong",
    [{"low_share": 1.1}, {"alert_threshold": 1.2}, {"alert_threshold": -0.1}, {"upright_threshold": 0.7}],
)
def test_event_settings_refuse_thresholds_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        EventSettings(**wrong)  # type: ignore[arg-type]


def test_event_settings_name_three_operating_points() -> None:
    thresholds = [EventSettings(sensitivity=name).threshold for name in ("high", "balanced", "low")]
    assert thresholds == sorted(thresholds) == list(ALERT_THRESHOLDS.values())
    assert EventSettings().threshold == ALERT_THRESHOLDS["balanced"]
    assert EventSettings(sensitivity="low", alert_threshold=0.3).threshold == 0.3
    assert EventSettings(alert_threshold=0.8, low_share=0.25).low_threshold == pytest.approx(0.2)
    with pytest.raises(FalldetError, match=r"events.sensitivity = 'medium' .* 'high', 'balanced', 'low'"):
        Config.from_groups({"events": {"sensitivity": "medium"}})


def test_event_settings_take_zones_of_a_configuration_file_as_tuples() -> None:
    zones = [[[0.2, 0.2], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]]]
    expected = (((0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6)),)
    assert Config.from_groups({"events": {"ignore_zones": zones}}).events.ignore_zones == expected


@pytest.mark.parametrize(
    "zones",
    [
        [[[0.1, 0.1], [0.2, 0.2]]],
        [[[0.1, 0.1], [0.2, 0.2], [0.3, 1.2]]],
        [[[10, 20], [200, 20], [200, 400]]],
        [[[0.1, 0.1], [0.2, 0.2], [float("nan"), 0.2]]],
        [[[0.1, 0.1], [0.2, 0.2], [0.3]]],
        [[0.1, 0.2, 0.3]],
        ["bed"],
        [7],
    ],
    ids=["two points", "outside the image", "pixels", "nan", "half a point", "no points", "a word", "a number"],
)
def test_event_settings_refuse_a_wrong_zone_with_an_example(zones: list) -> None:
    with pytest.raises(FalldetError, match=r"events: zone 1 is .* three or more points \[x, y\], in normalized image"):
        Config.from_groups({"events": {"ignore_zones": zones}})


def test_event_settings_refuse_zones_that_are_no_list() -> None:
    with pytest.raises(FalldetError, match=r"events.ignore_zones = 'bed' has the wrong type"):
        Config.from_groups({"events": {"ignore_zones": "bed"}})


def test_event_decoder_ignores_scores_of_unknown_tracks(people_factory: Callable[..., People]) -> None:
    decoder = EventDecoder(STORY)
    assert push(decoder, [PersonScore(5, 0, 0.0, 0.99)], people_factory((100, 200)), 0.0) == []
    assert decoder.flush([PersonScore(5, 1, 0.1, 0.99)], 0.1) == []
