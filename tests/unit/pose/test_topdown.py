"""Top-down pose source: detected and undetected people, duplicates, and the order of detections."""

from __future__ import annotations

import numpy as np
import pytest

from falldet.pose.topdown import TopDown, TopDownSettings
from falldet.skeleton import JOINT_COUNT

IMAGE = np.zeros((240, 320, 3), np.uint8)
STANDING, LYING = (100.0, 50.0, 140.0, 150.0), (80.0, 120.0, 180.0, 160.0)


class ScriptedDetector:
    """Detector that returns the boxes of a script, image by image, and counts its calls."""

    def __init__(self, *script: list[tuple[float, ...]]) -> None:
        self.script, self.calls = iter(script), 0

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.calls += 1
        boxes = np.array(next(self.script), np.float32).reshape(-1, 4)
        return boxes, np.linspace(0.9, 0.6, len(boxes)).astype(np.float32)


class GridEstimator:
    """Pose network with joints of the same score on a diagonal of each box; stores its batches."""

    def __init__(self, score: float = 0.8) -> None:
        self.score, self.batches = score, []  # type: ignore[var-annotated]

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(boxes.copy())
        share = np.linspace(0.1, 0.9, JOINT_COUNT)[None, :, None]
        keypoints = boxes[:, None, :2] + share * (boxes[:, None, 2:] - boxes[:, None, :2])
        return keypoints.astype(np.float32), np.full((len(boxes), JOINT_COUNT), self.score, np.float32)


def counts(source: TopDown, images: int) -> list[int]:
    return [len(source.submit(IMAGE).result()) for _ in range(images)]


def test_topdown_estimates_all_people_in_one_batch() -> None:
    estimator = GridEstimator()
    detector = ScriptedDetector([STANDING, (200, 50, 240, 150), (20, 60, 60, 160)])
    people = TopDown(detector, estimator).submit(IMAGE).result()
    assert len(people) == 3
    assert [len(batch) for batch in estimator.batches] == [3]
    np.testing.assert_array_equal(people.boxes[0], STANDING)
    assert people.box_scores.tolist() == pytest.approx([0.9, 0.75, 0.6])


def test_topdown_keeps_a_person_whom_the_detector_misses() -> None:
    source = TopDown(ScriptedDetector([STANDING], [], [], [STANDING], []), GridEstimator())
    assert counts(source, 5) == [1, 1, 1, 1, 1]


def test_topdown_drops_an_undetected_person_without_a_pose_and_after_max_undetected_frames() -> None:
    estimator = GridEstimator()
    source = TopDown(ScriptedDetector([STANDING], *[[]] * 9), estimator, TopDownSettings(max_undetected_frames=3))
    assert counts(source, 6) == [1, 1, 1, 1, 0, 0]
    source = TopDown(ScriptedDetector([STANDING], *[[]] * 9), estimator)
    assert counts(source, 2) == [1, 1]
    estimator.score = 0.05
    assert counts(source, 1) == [0]
    estimator.score = 0.8
    assert counts(source, 1) == [0], "a dropped person is not kept"


def test_topdown_detects_on_every_det_interval_th_image() -> None:
    detector, estimator = ScriptedDetector([STANDING], [STANDING, (200, 50, 240, 150)], []), GridEstimator()
    source = TopDown(detector, estimator, TopDownSettings(det_interval=3))
    assert counts(source, 7) == [1, 1, 1, 2, 2, 2, 2]
    assert detector.calls == 3


def test_topdown_detects_on_every_image_without_people() -> None:
    detector = ScriptedDetector([], [], [STANDING], [STANDING])
    source = TopDown(detector, GridEstimator(), TopDownSettings(det_interval=4))
    assert counts(source, 5) == [0, 0, 1, 1, 1]
    assert detector.calls == 4


def test_topdown_replaces_the_box_of_a_person_by_the_detected_one() -> None:
    near = tuple(side + 5 for side in STANDING)
    estimator = GridEstimator()
    source = TopDown(ScriptedDetector([STANDING], [near]), estimator, TopDownSettings(det_interval=1))
    assert counts(source, 2) == [1, 1]
    np.testing.assert_array_equal(estimator.batches[1], [near])


def test_topdown_takes_two_boxes_of_one_pose_for_one_person() -> None:
    tall = (95.0, 45.0, 145.0, 155.0)
    assert counts(TopDown(ScriptedDetector([STANDING, tall]), GridEstimator()), 1) == [1]


def test_topdown_moves_the_box_with_the_joints() -> None:
    class Falling(GridEstimator):
        def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            self.batches.append(boxes.copy())
            keypoints, scores = GridEstimator()(image, np.array([LYING], np.float32))
            return keypoints, scores

    estimator = Falling()
    source = TopDown(ScriptedDetector([STANDING], []), estimator)
    counts(source, 2)
    left, top, right, bottom = estimator.batches[1][0]
    assert right - left > 1.5 * (bottom - top), "the next box is around the joints"
    assert left >= 0
    assert bottom <= IMAGE.shape[0]


def test_topdown_reset_forgets_the_people_and_starts_with_a_detection() -> None:
    detector = ScriptedDetector([STANDING], [])
    source = TopDown(detector, GridEstimator(), TopDownSettings(det_interval=10))
    assert counts(source, 2) == [1, 1]
    source.reset()
    assert counts(source, 1) == [0]
    assert detector.calls == 2


def test_topdown_keeps_max_people_with_the_highest_scores() -> None:
    boxes = [(10.0 + 30 * i, 50.0, 30.0 + 30 * i, 120.0) for i in range(8)]
    people = TopDown(ScriptedDetector(boxes), GridEstimator(), TopDownSettings(max_people=3)).submit(IMAGE).result()
    assert people.boxes[:, 0].tolist() == [10, 40, 70]


def test_topdown_returns_no_people_without_a_detection() -> None:
    people = TopDown(ScriptedDetector([]), GridEstimator()).submit(IMAGE).result()
    assert people.keypoints.shape == (0, JOINT_COUNT, 2)


@pytest.mark.parametrize("wrong", [{"det_interval": 0}, {"max_people": 0}, {"max_undetected_frames": -1}])
def test_topdown_settings_refuse_counts_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        TopDownSettings(**wrong)  # type: ignore[arg-type]


def test_topdown_runs_one_inference_at_a_time_in_the_calling_thread() -> None:
    source = TopDown(ScriptedDetector([STANDING]), GridEstimator())
    assert source.max_in_flight == 1
    assert source.submit(IMAGE).done()
