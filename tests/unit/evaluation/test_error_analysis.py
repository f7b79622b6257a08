"""Error analysis: each cause of a miss and each kind of false alarm on a clip made for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from falldet.data.manifest import ClipRecord, FallInterval
from falldet.data.window_labels import SEEN_SHARE
from falldet.evaluation.error_analysis import ErrorAnalysis, FalseAlarmKind, MissCause, analyze_errors
from falldet.evaluation.matching import ClipResult, match_alerts
from falldet.evaluation.replay import ReplayedClip, ReplayedFrame
from falldet.pipeline.config import Config
from falldet.stages.events import EventSettings
from falldet.stages.fusion import FusionSettings
from falldet.stages.posture import Postures
from falldet.types import Event, EventState, People, WindowScore

FALL = FallInterval(4.0, 5.0, True)
MakePeople = Callable[..., People]


def event(alert_s: float, end_s: float | None = None, track_id: int = 1) -> Event:
    box = (0.0, 0.0, 9.0, 9.0)
    return Event(f"{alert_s}", "clip", track_id, alert_s - 0.4, alert_s, end_s, alert_s, 0.9, EventState.FALLEN, box)


def scores(*probabilities: float, track_id: int = 1, first_stop_s: float = 3.0) -> list[WindowScore]:
    """Windows of two seconds, one a second."""
    stops = first_stop_s + np.arange(len(probabilities))
    return [
        WindowScore(track_id, stop - 2.0, stop, probability)
        for stop, probability in zip(stops.tolist(), probabilities, strict=True)
    ]


CONFIG = Config(fusion=FusionSettings(evidence_windows=1), events=EventSettings(alert_threshold=0.8))


@pytest.fixture
def explain(people_factory: MakePeople) -> Callable[..., ErrorAnalysis]:
    """A ten-second clip at 10 frames a second through `analyze_errors`."""

    def run(
        windows: list[WindowScore],
        seen: Callable[[float], int | None] = lambda time_s: 1,
        alerts: list[Event] = [],  # noqa: B006
        score: float = 0.6,
        falls: tuple[FallInterval, ...] = (FALL,),
        label: int = 1,
    ) -> ErrorAnalysis:
        frames = []
        for index in range(100):
            time_s = index / 10
            track_id = seen(time_s)
            people = People.none() if track_id is None else people_factory((100, 200), score=score)
            people = people.with_track_ids(np.full(len(people), -1 if track_id is None else track_id))
            ended = [window for window in windows if time_s - 0.1 < window.stop_s <= time_s]
            count = len(people)
            postures = Postures(np.full(count, time_s / 10), np.zeros(count, bool), np.zeros((count, 2)))
            frames.append(ReplayedFrame(time_s, people, postures, ended))
        clip = ClipRecord(Path("clip.mp4"), label, "s1", None, falls)
        match = match_alerts([(fall.start_s, fall.end_s) for fall in falls], [each.alert_s for each in alerts])
        rest = [window for window in windows if window.stop_s > 9.9]
        return analyze_errors(ReplayedClip(clip, frames, rest), ClipResult(clip, 9.9, alerts, match), CONFIG)

    return run


def test_analyze_errors_finds_no_person_in_most_frames(explain: Callable[..., ErrorAnalysis]) -> None:
    (miss,) = explain(scores(0.1, 0.2, 0.4), lambda time_s: None if 4.2 <= time_s < 9 else 1).misses
    assert (miss.cause, miss.peak_score) == (MissCause.NO_PERSON, 0.4)
    assert miss.detail == "no person in 19 of 26 frames"


def test_analyze_errors_takes_half_of_the_frames_as_visible(explain: Callable[..., ErrorAnalysis]) -> None:
    (miss,) = explain(scores(0.1, 0.2, 0.4, 0.4), lambda time_s: None if 4.75 <= time_s < 9 else 1).misses
    assert miss.cause is not MissCause.NO_PERSON


def test_analyze_errors_takes_a_fall_beyond_the_end_of_the_video(explain: Callable[..., ErrorAnalysis]) -> None:
    (miss,) = explain([], falls=(FallInterval(20.0, 21.0, True),)).misses
    assert (miss.cause, miss.detail, miss.peak_score) == (MissCause.NO_PERSON, "the video has no frame there", None)


def test_analyze_errors_finds_poor_poses(explain: Callable[..., ErrorAnalysis]) -> None:
    (miss,) = explain(scores(0.1, 0.2, 0.99, 0.2), score=0.2).misses
    assert (miss.cause, miss.detail, miss.peak_score) == (MissCause.POSE, "mean joint score 0.20", 0.99)


def test_analyze_errors_finds_a_track_that_changes_its_id(explain: Callable[..., ErrorAnalysis]) -> None:
    windows = scores(0.1, 0.2, 0.3) + scores(0.6, track_id=2, first_stop_s=6.0)
    (miss,) = explain(windows, lambda time_s: 1 if time_s < 4.25 else 2 if time_s > 4.75 else None).misses
    assert (miss.cause, miss.peak_score) == (MissCause.TRACK, 0.6)
    assert miss.detail == "no window covers more than 20% of it"


def test_analyze_errors_takes_the_share_of_a_descent_from_the_window_labels(
    explain: Callable[..., ErrorAnalysis],
) -> None:
    """One of two tracks holds enough of the descent: the classifier should have seen it."""
    windows = scores(0.1, 0.2, 0.3) + scores(0.6, track_id=2, first_stop_s=6.0)
    (miss,) = explain(windows, lambda time_s: 1 if time_s < 4.0 + SEEN_SHARE + 0.05 else 2).misses
    assert miss.cause is MissCause.CLASSIFIER


def test_analyze_errors_finds_a_track_never_scored(explain: Callable[..., ErrorAnalysis]) -> None:
    (miss,) = explain([], lambda time_s: -1).misses
    assert (miss.cause, miss.detail, miss.peak_score) == (MissCause.TRACK, "no person was scored", None)


def test_analyze_errors_lets_a_long_fall_exceed_a_window(explain: Callable[..., ErrorAnalysis]) -> None:
    (miss,) = explain(scores(0.1, 0.2, 0.3, 0.3, 0.2), falls=(FallInterval(2.0, 7.0, True),)).misses
    assert miss.cause is MissCause.CLASSIFIER


def test_analyze_errors_finds_scores_too_low(explain: Callable[..., ErrorAnalysis]) -> None:
    (miss,) = explain(scores(0.99, 0.2, 0.62, 0.3, 0.3, 0.3, 0.99)).misses
    assert (miss.cause, miss.peak_score) == (MissCause.CLASSIFIER, 0.62)  # before the fall, and too late for an alert
    assert miss.detail == "highest score 0.62 of 0.8"


@pytest.mark.parametrize(
    ("alerts", "detail"),
    [
        ([], "held back by an event at the same place"),
        ([event(1.0)], "after an alert at 1.00 s"),
        ([event(1.0, end_s=1.5)], "after an alert at 1.00 s"),
        ([event(8.5)], "no alert before 8.50 s"),
    ],
    ids=["no alert", "one in progress", "one within the cool-down", "too late"],
)
def test_analyze_errors_blames_the_rule_for_high_scores_without_a_matching_alert(
    explain: Callable[..., ErrorAnalysis], alerts: list[Event], detail: str
) -> None:
    (miss,) = explain(scores(0.1, 0.2, 0.93, 0.3), alerts=alerts).misses
    assert (miss.cause, miss.peak_score, miss.detail) == (MissCause.RULE, 0.93, detail)


def test_analyze_errors_finds_an_alert_matched_with_another_fall(explain: Callable[..., ErrorAnalysis]) -> None:
    falls = (FALL, FallInterval(5.5, 6.5, True))
    (miss,) = explain(scores(0.1, 0.2, 0.93, 0.9, 0.9), alerts=[event(5.9)], falls=falls).misses
    assert (miss.cause, miss.detail) == (MissCause.RULE, "its alert was matched with another fall")


def test_analyze_errors_assumes_a_short_descent_where_only_the_event_is_labeled(
    explain: Callable[..., ErrorAnalysis],
) -> None:
    """The event lasts to the end of the clip, out of sight; the descent, 1.2 s, was visible."""
    whole = FallInterval(4.0, 9.0, False)
    (miss,) = explain(scores(0.1, 0.2, 0.4, 0.4, 0.4), lambda t: 1 if t < 6.0 else None, falls=(whole,)).misses
    assert (miss.cause, miss.peak_score) == (MissCause.CLASSIFIER, 0.4)


def test_analyze_errors_describes_false_alarms(explain: Callable[..., ErrorAnalysis]) -> None:
    found = explain([], lambda time_s: 1 if 2.0 <= time_s < 7.05 else None, [event(4.6), event(7.5), event(9.0)])
    assert found.misses == []
    repeated, later = found.false_alarms
    assert (repeated.kind, later.kind) == (FalseAlarmKind.REPEATED, FalseAlarmKind.OTHER_TIME)
    assert repeated.track_age_s == pytest.approx(5.5)
    assert repeated.lying == pytest.approx(0.7)  # when last seen, at 7.0 s


@pytest.mark.parametrize(("label", "kind"), [(0, FalseAlarmKind.NO_FALL), (1, FalseAlarmKind.UNKNOWN)])
def test_analyze_errors_describes_false_alarms_in_clips_without_fall_times(
    explain: Callable[..., ErrorAnalysis], label: int, kind: FalseAlarmKind
) -> None:
    (alarm,) = explain([], alerts=[event(3.0)], falls=(), label=label).false_alarms
    assert (alarm.kind, alarm.track_age_s) == (kind, pytest.approx(3.0))
