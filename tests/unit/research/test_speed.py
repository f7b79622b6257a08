"""Speed studies on made-up costs, small networks and made-up people."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from openvino import Model, opset13

from falldet.types import People
from research.speed.compare_peers import as_table, measure_rounds
from research.speed.cost import Cost, measured
from research.speed.limits import _gflop
from research.speed.reference_demo import WINDOW, matched_window


def test_measured_is_per_second_of_video() -> None:
    cost = measured(lambda: time.sleep(0.05), 0.5)
    assert cost.wall_s == pytest.approx(0.1, rel=0.5)
    assert cost.cpu_s < cost.wall_s


def test_measure_rounds_leaves_the_warm_up_out() -> None:
    calls: list[str] = []

    def peer(name: str) -> Callable[[], Cost]:
        def run() -> Cost:
            calls.append(name)
            return Cost(len(calls), 0.0)

        return run

    costs = measure_rounds({"a": peer("a"), "b": peer("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert [cost.wall_s for cost in costs["a"]] == [3, 5]


def test_as_table_takes_ratios_within_each_round() -> None:
    rounds = {"falldet": [Cost(1, 2), Cost(2, 2)], "peer": [Cost(3, 2), Cost(4, 8)]}
    assert as_table(rounds, "falldet")[3] == "| peer | 3.50 | 2.50 (2.00 to 3.00) | 5.00 | 2.50 (1.00 to 4.00) |"


def test_gflop_counts_two_operations_a_product() -> None:
    given = opset13.parameter([4, 8], np.float32)
    product = opset13.matmul(given, opset13.constant(np.ones((8, 5), np.float32)), False, False)
    assert _gflop(Model([product], [given])) == pytest.approx(2 * 4 * 8 * 5 / 1e9)
    image = opset13.parameter([1, 3, 6, 6], np.float32)
    kernel = opset13.constant(np.ones((2, 3, 3, 3), np.float32))
    convolution = opset13.convolution(image, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    assert _gflop(Model([convolution], [image])) == pytest.approx(2 * (2 * 4 * 4) * (3 * 3 * 3) / 1e9)


def test_matched_window_takes_the_pose_with_the_largest_overlap(people_factory: Callable[..., People]) -> None:
    middle = people_factory((100, 200), (300, 200))
    poses = [middle if step % 2 else people_factory((310, 200), (105, 200)) for step in range(WINDOW - 1)]
    window = matched_window([*poses, People.none()], middle, 1, (480, 640))
    np.testing.assert_allclose(window.keypoints[0], people_factory((310, 200)).keypoints[0])
    np.testing.assert_allclose(window.keypoints[1], middle.keypoints[1])
    assert not window.scores[-1].any()
