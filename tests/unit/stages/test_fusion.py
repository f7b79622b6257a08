"""Fusion of overlapping windows: compared with a fusion of the whole recording; each frame once, in order, in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.stages.fusion import EvidenceFuser, Fuser, FusionSettings
from falldet.stages.windows import WindowBuffer
from falldet.types import NO_TRACK, People, PersonScore, WindowScore

TICK_S = 1 / 16  # exact in binary
LENGTH_S, STRIDE_S = 1.0, 0.25

Emitted = list[tuple[float, PersonScore]]  # the time at which it was finalized, and the score


def run(
    fuser: Fuser, frames: Sequence[tuple[float, list[int]]], windows: Sequence[WindowScore]
) -> tuple[Emitted, list[PersonScore]]:
    """Feed frames and windows as the pipeline does, each window with the first frame at or after its end."""
    waiting = sorted(windows, key=lambda w: w.stop_s)
    emitted: Emitted = []
    for index, (time_s, ids) in enumerate(frames):
        ready = [w for w in waiting if w.stop_s <= time_s]
        waiting = waiting[len(ready) :]
        emitted += [(time_s, score) for score in fuser.push(index, time_s, ids, ready)]
    return emitted, fuser.flush(waiting)


def sliding(duration_s: float, probabilities: Sequence[float], track_id: int = 1) -> list[WindowScore]:
    stops = np.arange(STRIDE_S, duration_s + 1e-9, STRIDE_S)
    return [
        WindowScore(track_id, float(stop) - LENGTH_S, float(stop), probability)
        for stop, probability in zip(stops, [*probabilities, *[0.0] * len(stops)], strict=False)
    ]


def steady(duration_s: float, ids: tuple[int, ...] = (1,)) -> list[tuple[float, list[int]]]:
    return [(i * TICK_S, list(ids)) for i in range(round(duration_s / TICK_S))]


FUSE = {
    "higher_score": max,
    "mean": lambda values: sum(values) / len(values),
}


@given(
    st.sampled_from(sorted(FUSE)),
    st.lists(st.floats(0, 1), min_size=30, max_size=30),
    st.lists(st.sets(st.integers(-1, 2), max_size=3), min_size=20, max_size=120),
)
@settings(max_examples=60, deadline=None)
def test_fuser_equals_a_fusion_of_the_whole_recording(
    rule: str, probabilities: list[float], presence: list[set[int]]
) -> None:
    frames = [(i * TICK_S, sorted(ids)) for i, ids in enumerate(presence)]
    windows = [
        w for track in (0, 1, 2) for w in sliding(len(frames) * TICK_S, np.roll(probabilities, track).tolist(), track)
    ]
    emitted, rest = run(
        Fuser(FusionSettings(max_wait_s=LENGTH_S, final_rule=rule), LENGTH_S),  # type: ignore[arg-type]
        frames,
        windows,
    )
    found = {(s.track_id, s.frame_index): s for s in [score for _, score in emitted] + rest}
    expected = {}
    for index, (time_s, ids) in enumerate(frames):
        for track in set(ids) - {NO_TRACK}:
            covering = [w.probability for w in windows if w.track_id == track and w.start_s <= time_s < w.stop_s]
            if covering:
                expected[track, index] = FUSE[rule](covering)
    assert {key: pytest.approx(score, abs=1e-9) for key, score in expected.items()} == {
        k: s.score for k, s in found.items()
    }
    assert all(score.time_s == frames[index][0] for (_, index), score in found.items())
    assert len(found) == len(emitted) + len(rest)


@given(
    st.lists(st.floats(0, 1), min_size=30, max_size=30),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.lists(st.sets(st.integers(0, 2), max_size=3), min_size=20, max_size=120),
)
@settings(max_examples=60, deadline=None)
def test_fuser_finalizes_every_frame_once_in_order_and_in_time(
    probabilities: list[float], latency_s: float, presence: list[set[int]]
) -> None:
    frames = [(i * TICK_S, sorted(ids)) for i, ids in enumerate(presence)]
    windows = [w for track in (0, 1, 2) for w in sliding(len(frames) * TICK_S + STRIDE_S, probabilities, track)]
    emitted, rest = run(Fuser(FusionSettings(), latency_s), frames, windows)
    for track in (0, 1, 2):
        indices = [s.frame_index for s in [score for _, score in emitted] + rest if s.track_id == track]
        assert indices == [index for index, (_, ids) in enumerate(frames) if track in ids]
    for given_s, score in emitted:
        assert latency_s <= given_s - score.time_s <= max(latency_s, STRIDE_S) + TICK_S


def test_fuser_takes_the_first_window_at_latency_0_and_the_highest_at_full_latency() -> None:
    frames = steady(4.0)
    windows = sliding(4.0, [0.1] * 8 + [0.9] + [0.2] * 8)
    for latency_s, first in ((0.0, 2.0), (LENGTH_S, 1.25)):
        emitted, rest = run(Fuser(FusionSettings(), latency_s), frames, windows)
        high = [s.time_s for s in [score for _, score in emitted] + rest if s.score == 0.9]
        assert min(high) == first
        assert max(high) == 2.25 - TICK_S


@pytest.mark.parametrize(("rule", "expected"), [("higher_score", 0.8), ("mean", 0.5)])
def test_fuser_rules_by_hand(rule: str, expected: float) -> None:
    fuser = Fuser(FusionSettings(final_rule=rule), 1.0)  # type: ignore[arg-type]
    fuser.push(0, 0.0, [1], [])
    windows = [WindowScore(1, -1.0, 0.5, 0.2), WindowScore(1, -0.5, 1.0, 0.5), WindowScore(1, 0.0, 1.5, 0.8)]
    assert [s.score for s in fuser.flush(windows)] == [pytest.approx(expected)]


def test_fuser_takes_windows_as_half_open_and_per_track() -> None:
    fuser = Fuser(FusionSettings(), 0.5)
    for index in range(3):
        fuser.push(index, index * 0.5, [1, 2], [])
    scores = fuser.flush([WindowScore(1, 0.5, 1.0, 0.7)])
    assert [(s.track_id, s.frame_index) for s in scores] == [(1, 1)]


def test_fuser_drops_a_frame_that_no_window_covers_after_max_wait_s() -> None:
    fuser = Fuser(FusionSettings(max_wait_s=1.0), 0.5)
    fuser.push(0, 0.0, [1], [])  # never covered
    fuser.push(1, 0.5, [1], [])
    assert fuser.push(2, 1.0, [1], [WindowScore(1, 0.25, 0.75, 0.4)]) == []
    assert [s.frame_index for s in fuser.push(3, 1.25, [1], [])] == [1]


def test_fuser_gives_people_without_a_track_no_score() -> None:
    fuser = Fuser(FusionSettings(), 0.5)
    fuser.push(0, 0.0, [NO_TRACK], [])
    assert fuser.flush([WindowScore(NO_TRACK, -1.0, 1.0, 0.9)]) == []


def test_fuser_flush_and_reset_forget_everything() -> None:
    fuser = Fuser(FusionSettings(), 0.5)
    fuser.push(0, 0.0, [1], [])
    assert len(fuser.flush([WindowScore(1, 0.0, 1.0, 0.5)])) == 1
    assert fuser.flush([WindowScore(1, 0.0, 1.0, 0.5)]) == []
    fuser.push(0, 0.0, [1], [])
    fuser.reset()
    assert fuser.flush([WindowScore(1, 0.0, 1.0, 0.5)]) == []


@pytest.mark.parametrize("latency_s", [0.0, 2.0])
def test_fuser_memory_is_bounded_over_a_long_run(latency_s: float) -> None:
    fuser = Fuser(FusionSettings(), latency_s)
    for i in range(10_000):
        time_s, track = i / 25, i // 200
        ready = [WindowScore(track, time_s - 2.0, time_s, 0.1)] if i % 6 == 0 else []
        fuser.push(i, time_s, [track, 10_000], ready)  # track 10,000 is never scored
        held = list(fuser._tracks.values())
        assert len(held) <= 3 + 1
        assert all(len(t.frames) <= 3.1 * 25 and len(t.windows) <= 26 for t in held)


@pytest.mark.parametrize("wrong", [{"evidence_windows": 0}, {"max_wait_s": -0.1}])
def test_fusion_settings_refuse_a_value_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FusionSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("visible_s", [0.45, 0.6, 1.0])
@pytest.mark.parametrize("start_s", [0.0, 3.3])
def test_fuser_scores_a_short_track_from_its_first_frame_to_its_last(
    people_factory: Callable[..., People], start_s: float, visible_s: float
) -> None:
    """A person who enters the image falling, or is in it for half a second at the end, is scored too."""
    buffer, fuser = WindowBuffer(), Fuser(FusionSettings(), 0.5)
    found: list[PersonScore] = []
    frames = round((start_s + visible_s) * 25) + 1
    here = [index / 25 >= start_s for index in range(frames)]
    for index in range(frames):
        people = people_factory((100, 200)).with_track_ids(np.array([7])) if here[index] else People.none()
        windows = buffer.push(index / 25, people, (480, 640))
        scores = [WindowScore(w.track_id, w.start_s, w.stop_s, 0.9) for w in windows]
        found += fuser.push(index, index / 25, people.track_ids, scores)
    found += fuser.flush([WindowScore(w.track_id, w.start_s, w.stop_s, 0.9) for w in buffer.flush()])
    assert [score.frame_index for score in found] == np.flatnonzero(here).tolist()
    assert {score.score for score in found} == {0.9}


def evidence(probabilities: dict[float, float], windows: int = 2) -> list[tuple[float, float]]:
    """Time and evidence after each window of one track, given by its end and probability."""
    fuser, found = EvidenceFuser(FusionSettings(evidence_windows=windows), STRIDE_S), []
    for index, (stop_s, probability) in enumerate(probabilities.items()):
        found += fuser.push(index, stop_s, [WindowScore(1, stop_s - LENGTH_S, stop_s, probability)])
    return [(score.time_s, score.score) for score in found]


def test_evidence_fuser_gives_the_mean_of_the_last_windows_and_counts_missing_ones_as_0() -> None:
    scores = {1.0: 0.8, 1.25: 0.6, 1.5: 1.0}
    assert evidence(scores) == [(1.0, 0.4), (1.25, pytest.approx(0.7)), (1.5, pytest.approx(0.8))]
    assert evidence(scores, windows=1) == [(1.0, 0.8), (1.25, 0.6), (1.5, 1.0)]
    assert [value for _, value in evidence(scores, windows=4)] == pytest.approx([0.2, 0.35, 0.6])


def test_evidence_fuser_takes_no_window_from_before_a_gap() -> None:
    assert [value for _, value in evidence({1.0: 0.8, 1.5: 0.8, 1.7: 0.8})] == pytest.approx([0.4, 0.4, 0.8])


def test_evidence_fuser_keeps_tracks_apart_and_forgets_them() -> None:
    fuser = EvidenceFuser(FusionSettings(), STRIDE_S)
    for index in range(2000):
        stop_s = index * STRIDE_S
        scores = [WindowScore(track, stop_s - 1, stop_s, 0.5) for track in (0, index // 10 + 1)]
        found = {score.track_id: score.score for score in fuser.push(index, stop_s, scores)}
        assert found[0] == (0.25 if index == 0 else 0.5)
        assert found[index // 10 + 1] == (0.25 if index % 10 == 0 else 0.5)
        assert len(fuser._recent) <= 3
    fuser.reset()
    assert [score.score for score in fuser.push(0, 1.0, [WindowScore(0, 0.0, 1.0, 1.0)])] == [0.5]


def test_evidence_fuser_is_never_later_than_its_frame() -> None:
    (score,) = EvidenceFuser(FusionSettings(), STRIDE_S).push(7, 1.0, [WindowScore(1, 0.0, np.nextafter(1.0, 2), 1.0)])
    assert (score.frame_index, score.time_s) == (7, 1.0)
