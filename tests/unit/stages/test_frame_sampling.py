"""Frame sampling at every frame rate, with inexact clocks, and with the three rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from falldet.stages.frame_sampling import FrameSampler, SamplingSettings
from falldet.types import WindowScore


def processed(times_s: np.ndarray, active_fps: float) -> np.ndarray:
    """Mask of the processed ones of frames at `times_s`."""
    sampler = FrameSampler(SamplingSettings(active_fps))
    return np.array([sampler.should_process(float(time_s)) for time_s in times_s])


def test_frame_sampler_processes_every_frame_at_a_rate_of_0() -> None:
    assert processed(np.arange(50) / 30, 0).all()


@pytest.mark.parametrize("fps", [5, 10, 12, 15, 15.001])
def test_frame_sampler_processes_every_frame_of_a_slow_source(fps: float) -> None:
    assert processed(np.arange(300) / fps, 15).mean() > 0.99


@pytest.mark.parametrize("digits", [2, 3, 9])
def test_frame_sampler_processes_every_second_frame_at_twice_the_rate(digits: int) -> None:
    times_s = np.round(np.arange(300) / 30, digits)
    np.testing.assert_array_equal(processed(times_s, 15), np.arange(300) % 2 == 0)


@pytest.mark.parametrize("fps", [18, 20, 24, 25, 29.97, 30, 50, 60, 120])
def test_frame_sampler_processes_a_fast_source_at_the_rate_and_evenly(fps: float) -> None:
    times_s = np.arange(round(20 * fps)) / fps
    due_s = times_s[processed(times_s, 15)]
    assert len(due_s) == pytest.approx(300, abs=1)
    assert np.diff(due_s).max() <= 1 / 15 + 1 / fps + 1e-9


def test_frame_sampler_leaves_no_hole_with_an_inexact_clock(rng: np.random.Generator) -> None:
    times_s = np.arange(600) / 30 + rng.uniform(-0.004, 0.004, 600)
    np.testing.assert_array_equal(processed(times_s, 15), np.arange(600) % 2 == 0)


def test_frame_sampler_processes_the_first_frame_after_a_gap() -> None:
    sampler = FrameSampler(SamplingSettings(15))
    assert [sampler.should_process(t) for t in (0.0, 0.033, 5.01, 5.03, 5.07)] == [True, False, True, False, True]


def test_frame_sampler_reset_makes_the_next_frame_processed() -> None:
    sampler = FrameSampler(SamplingSettings(15))
    assert sampler.should_process(10.0)
    sampler.reset()
    assert sampler.should_process(0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("active_fps", -1),
        ("idle_fps", 0),
        ("motion_threshold", -1),
        ("motion_hold_s", -1),
        ("empty_hold_s", -1),
        ("full_rate_hold_s", -1),
    ],
)
def test_sampling_settings_refuse_a_value_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} = {value} must"):
        SamplingSettings(**{name: value})


SETTINGS = SamplingSettings(
    15, 5, motion_threshold=0.2, motion_hold_s=0.3, empty_hold_s=1.9, full_rate_threshold=0.5, full_rate_hold_s=0.2
)


def processed_frames(
    speeds: Sequence[float | None],
    scores: Sequence[float] = (),
    settings: SamplingSettings = SETTINGS,
    fps: float = 30.0,
) -> list[int]:
    """Indices of the processed frames, where inference on frame i gives this speed and, if given, this window score."""
    sampler, found = FrameSampler(settings), []
    for index, speed in enumerate(speeds):
        if sampler.should_process(index / fps):
            found.append(index)
            window_scores = [WindowScore(1, 0.0, 1.0, 0.0), WindowScore(2, 0.0, 1.0, scores[index])] if scores else []
            sampler.update(index / fps, speed, window_scores)
    return found


@pytest.mark.parametrize(("speed", "step"), [(0.0, 6), (0.2, 6), (0.21, 2), (9.0, 2), (np.inf, 2)])
def test_frame_sampler_processes_more_frames_while_a_person_moves(speed: float, step: int) -> None:
    assert processed_frames([speed] * 60) == list(range(0, 60, step))


@pytest.mark.parametrize("fps", [15, 20, 24, 25, 29.97, 30, 50, 60])
@pytest.mark.parametrize(("speed", "rate"), [(0.0, 5), (1.0, 15)])
def test_frame_sampler_keeps_the_rates_at_every_frame_rate(fps: float, speed: float, rate: float) -> None:
    assert len(processed_frames([speed] * round(20 * fps), fps=fps)) == pytest.approx(20 * rate, abs=1)


def test_frame_sampler_raises_the_rate_with_motion_and_lowers_it_after_the_hold() -> None:
    speeds = [0.0] * 20 + [1.0] * 10 + [0.0] * 30
    assert processed_frames(speeds) == [0, 6, 12, 18, *range(24, 38, 2), 42, 48, 54]


def test_frame_sampler_keeps_the_active_rate_without_people_for_empty_hold_s() -> None:
    assert processed_frames([None] * 120) == [*range(0, 66, 2), *range(70, 120, 6)]
    assert processed_frames([0.0] * 60 + [None] * 90) == [*range(0, 60, 6), *range(60, 120, 2), *range(124, 150, 6)]


def test_frame_sampler_processes_every_frame_after_a_high_window_score() -> None:
    scores = [0.0] * 30
    scores[6] = 0.5
    assert processed_frames([0.0] * 30, scores) == [0, *range(6, 12), 17, 23, 29]
    assert processed_frames([1.0] * 30, [0.49] * 30) == list(range(0, 30, 2))


def test_frame_sampler_forecast_predicts_without_changing_the_sampler() -> None:
    sampler = FrameSampler(SETTINGS)
    assert sampler.should_process(0.0)
    sampler.update(0.0, 0.0, [])
    for _ in range(2):
        will_process = sampler.forecast()
        assert [index for index in range(1, 13) if will_process(index / 30)] == [6, 12]
    assert [index for index in range(1, 7) if sampler.should_process(index / 30)] == [6]


def test_frame_sampler_forecast_follows_the_rate_after_an_update() -> None:
    sampler = FrameSampler(SETTINGS)
    assert sampler.should_process(0.0)
    for speed, expected in ((1.0, [2, 4, 6, 8, 14]), (0.0, [6, 12])):  # the active rate lasts motion_hold_s
        sampler.reset()
        assert sampler.should_process(0.0)
        sampler.update(0.0, speed, [])
        will_process = sampler.forecast()
        assert [index for index in range(1, 15) if will_process(index / 30)] == expected


def test_frame_sampler_forecast_equals_the_decisions_without_an_update(rng: np.random.Generator) -> None:
    times_s = np.cumsum(rng.uniform(0.0, 0.1, 200))
    sampler = FrameSampler(SETTINGS)
    will_process = sampler.forecast()
    forecast = [will_process(float(time_s)) for time_s in times_s]
    assert forecast == [sampler.should_process(float(time_s)) for time_s in times_s]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_frame_sampler_sample_always_processes_the_last_frame(count: int) -> None:
    sampled = list(FrameSampler(SamplingSettings(10)).sample(range(count), lambda index: index / 20))
    assert [index for index, _ in sampled] == list(range(count))
    assert [process for _, process in sampled] == [index % 2 == 0 or index == count - 1 for index in range(count)]


def test_frame_sampler_sample_yields_a_processed_frame_at_once() -> None:
    read: list[int] = []

    def frames() -> Iterator[int]:
        for index in range(6):
            read.append(index)
            yield index

    yielded = [
        (index, process, read[-1])
        for index, process in FrameSampler(SamplingSettings(10)).sample(frames(), lambda index: index / 20)
    ]
    assert yielded == [(0, True, 0), (1, False, 2), (2, True, 2), (3, False, 4), (4, True, 4), (5, True, 5)]
