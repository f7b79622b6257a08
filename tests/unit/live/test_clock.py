"""Times of cameras: jitter, drift, bursts and jumps; the wall clock moved."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from falldet.live.clock import CameraClock, WallClock

START = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)


def times(arrival_s: np.ndarray, source_s: np.ndarray) -> np.ndarray:
    clock = CameraClock()
    return np.array([clock.time(float(a), float(s)) for a, s in zip(arrival_s, source_s, strict=True)])


def test_camera_clock_keeps_jitter_of_the_network_out(rng: np.random.Generator) -> None:
    source = np.arange(1000) / 25
    arrival = np.maximum.accumulate(100 + source + rng.uniform(0, 0.2, 1000))
    steps = np.diff(times(arrival, source))[100:]
    assert np.percentile(np.abs(steps - 0.04), 99) < 0.002
    assert np.abs(steps - 0.04).max() < 0.03


def test_camera_clock_follows_drift_slowly() -> None:
    source = np.arange(50_000) / 25
    arrival = 100 + source * 1.0002  # the camera's clock is slow by 0.7 s an hour
    got = times(arrival, source)
    np.testing.assert_allclose(got, arrival, atol=0.02)


def test_camera_clock_takes_a_burst_after_connecting_as_past() -> None:
    source = np.arange(100) / 25
    arrival = np.maximum(100 + source, 102.0)  # two seconds come at once
    got = times(arrival, source)
    assert (np.diff(got) > 0).all()
    np.testing.assert_allclose(got[60:], 100 + source[60:], atol=0.1)


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 5.0, -5.0])
def test_camera_clock_bears_a_step_of_the_source_time(jump_s: float) -> None:
    source = np.arange(200) / 25
    arrival = 100 + source
    source[100:] += jump_s
    got = times(arrival, source)
    assert (np.diff(got) > 0).all()
    np.testing.assert_allclose(got, arrival, atol=0.2)


def test_camera_clock_goes_on_after_a_stall() -> None:
    source = np.arange(300) / 25
    arrival = 100 + source
    arrival[100:150] = arrival[150]
    got = times(arrival, source)
    assert (np.diff(got) > 0).all()
    np.testing.assert_allclose(got[160:], 100 + source[160:], atol=0.1)


def test_camera_clock_without_source_times_goes_by_arrival() -> None:
    clock = CameraClock()
    assert [clock.time(arrival_s, None) for arrival_s in (1.0, 2.5, 2.5)] == [1.0, 2.5, 2.501]


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_wall_clock_tells_a_jump_once_and_moves_no_duration(jump_s: int, caplog: pytest.LogCaptureFixture) -> None:
    now_s, offset = 0.0, timedelta()
    wall = WallClock(lambda: now_s, lambda: START + timedelta(seconds=now_s) + offset)
    before = wall.at(5.0)
    with caplog.at_level(logging.WARNING):
        for now_s in (11.0, 22.0, 33.0):
            offset = timedelta(seconds=jump_s if now_s > 15 else 0)
            wall.update()
    assert before == START + timedelta(seconds=5)
    assert wall.at(33.0) == START + timedelta(seconds=33 + jump_s)
    assert wall.jumps == 1
    assert len(caplog.records) == 1
    assert wall.seconds(wall.at(40.0)) == pytest.approx(40.0)
