"""FrameTimes: clocks that leap, stand still or are missing, and gaps that are real."""

from __future__ import annotations

import logging

import pytest

from falldet.io.frame_times import MAX_GAP_S, FrameTimes

PERIOD_S = 0.04


def given(pts: list[float | None], **options: bool) -> list[float]:
    times = FrameTimes("a.ts", PERIOD_S, **options)
    return [times.next(pts_s) for pts_s in pts]


def test_frame_times_begin_at_0_and_keep_the_steps_of_the_clock() -> None:
    assert given([7.0, 7.04, 7.3]) == pytest.approx([0.0, 0.04, 0.3])


def test_frame_times_count_where_there_are_no_timestamps() -> None:
    assert given([None, None, 5.0, 5.1, None]) == pytest.approx([0.0, 0.04, 0.08, 0.18, 0.22])


@pytest.mark.parametrize("leap_s", [3600.0, 91_840.0, 12.0, -3600.0, -2.0])
def test_frame_times_go_on_where_the_clock_of_a_transport_stream_leaps(
    leap_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    pts: list[float | None] = [*(i * PERIOD_S for i in range(50)), *(leap_s + i * PERIOD_S for i in range(50, 100))]
    assert given(pts, leaps=True) == pytest.approx([i * PERIOD_S for i in range(100)])
    assert len(caplog.records) == 1
    assert f"a.ts: the clock leaps by {leap_s + PERIOD_S:+.1f} s at 2.0 s" in caplog.text


def test_frame_times_keep_and_tell_a_real_gap(caplog: pytest.LogCaptureFixture) -> None:
    assert given([0.0, 0.04, 60.0, 60.04]) == pytest.approx([0.0, 0.04, 60.0, 60.04])
    assert "a.ts: no frames from 0.0 to 60.0 s" in caplog.text
    assert given([0.0, 8.0], leaps=True)[-1] == 8.0


@pytest.mark.parametrize("leap_s", [2 * MAX_GAP_S, -5.0])
def test_frame_times_take_an_absurd_step_of_any_clock_for_a_leap(leap_s: float) -> None:
    assert given([0.0, 0.04, 0.08 + leap_s, 0.12 + leap_s]) == pytest.approx([0.0, 0.04, 0.08, 0.12])


def test_frame_times_tell_a_leap_of_a_live_clock_by_the_arrival(caplog: pytest.LogCaptureFixture) -> None:
    times = FrameTimes("camera", PERIOD_S, live=True)
    arrivals = [(0.0, 100.0), (0.04, 100.04), (40.0, 139.9), (3640.04, 139.94), (3640.08, 139.98)]
    found = [times.next(pts_s, arrived_s) for pts_s, arrived_s in arrivals]
    assert found == pytest.approx([0.0, 0.04, 40.0, 40.04, 40.08])
    assert "no frames from 0.0 to 40.0 s" in caplog.text
    assert "the clock leaps by +3600.0 s" in caplog.text


def test_frame_times_order_repeated_and_exchanged_timestamps() -> None:
    found = given([0.0, 0.04, 0.04, 0.02, 0.5])
    assert found == sorted(set(found))
    assert found[-1] == 0.5


def test_frame_times_tell_a_clock_that_leaps_all_the_time_a_few_times_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        given([float(100 * (i % 2)) for i in range(50)], leaps=True)
    assert len(caplog.records) == 3
    assert "further ones are not told" in caplog.text
