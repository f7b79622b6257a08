"""Crops of people and the decoding of heatmaps and SimCC."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from falldet.pose.estimator import crop_regions, crops, decode_heatmaps, decode_simcc


@pytest.mark.parametrize(("box", "size"), [((0, 0, 30, 100), (93.75, 125)), ((10, 20, 210, 70), (250, 1000 / 3))])
def test_crop_regions_are_boxes_scaled_by_a_quarter_in_the_ratio_of_the_input(
    box: tuple[float, ...], size: tuple[float, float]
) -> None:
    centers, sizes = crop_regions(np.array([box], np.float32), (192, 256))
    assert centers[0].tolist() == [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    assert sizes[0].tolist() == pytest.approx(size)


def test_crops_show_their_part_of_the_image() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    image[100:200, 150:225] = 255
    (crop,) = crops(image, np.array([[187.0, 150.0]]), np.array([[150.0, 200.0]]), (192, 256))
    lit = np.argwhere(crop[..., 0] > 127)
    low, high = lit.min(axis=0), lit.max(axis=0)
    np.testing.assert_allclose(low, [64, 48], atol=2)
    np.testing.assert_allclose(high, [191, 144], atol=2)
    (outside,) = crops(image + 9, np.array([[-500.0, 0.0]]), np.array([[150.0, 200.0]]), (192, 256))
    assert not outside.any()


def peak_by_peak(heatmap: np.ndarray) -> tuple[float, float, float]:
    """One heatmap decoded as by MMPose's msra_heatmap, step by step."""
    height, width = heatmap.shape
    y, x = np.unravel_index(np.argmax(heatmap), heatmap.shape)
    score = float(heatmap[y, x])
    if score <= 0:
        return -1.0, -1.0, score
    step_x = step_y = 0.0
    if 1 < x < width - 1 and 0 < y < height:
        step_x = 0.25 * np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
    if 1 < y < height - 1 and 0 < x < width:
        step_y = 0.25 * np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
    return float(x + step_x), float(y + step_y), score


def test_decode_heatmaps_equals_mmpose_peak_by_peak(rng: np.random.Generator) -> None:
    heatmaps = rng.normal(size=(40, 17, 6, 5)).astype(np.float32)  # small: many peaks at the border
    heatmaps[3, 4] = -1
    peaks, scores = decode_heatmaps(heatmaps)
    for person, joint in itertools.product(range(40), range(17)):
        x, y, score = peak_by_peak(heatmaps[person, joint])
        assert (*peaks[person, joint].tolist(), float(scores[person, joint])) == (x, y, score)


def test_decode_simcc_takes_the_peaks_and_the_lower_height() -> None:
    x, y = np.zeros((1, 2, 8), np.float32), np.zeros((1, 2, 6), np.float32)
    x[0, 0, 5], y[0, 0, 2] = 0.9, 0.4
    peaks, scores = decode_simcc(x, y)
    assert peaks.tolist() == [[[5, 2], [-1, -1]]]
    assert scores.tolist() == [[pytest.approx(0.4), 0]]
