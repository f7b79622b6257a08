"""Detector and pose network joined: who is followed, who is dropped; crops and decoding; names and their mistakes."""

from __future__ import annotations

import itertools
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.pose import exported as networks
from falldet.pose.estimator import crop_places, crops, decode_heatmaps, decode_simcc
from falldet.pose.exported import find_network, read_network
from falldet.pose.movenet import MoveNetSettings
from falldet.pose.source import NoPoseSource, PoseSettings, make_pose_source, poses_key
from falldet.pose.topdown import TopDown, TopDownSettings
from falldet.skeleton import JOINT_COUNT

PICTURE = np.zeros((240, 320, 3), np.uint8)
STANDING, LYING = (100.0, 50.0, 140.0, 150.0), (80.0, 120.0, 180.0, 160.0)


class ScriptedDetector:
    """Finds what the script says, picture by picture, and counts how often it was asked."""

    def __init__(self, *script: list[tuple[float, ...]]) -> None:
        self.script, self.asked = iter(script), 0

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked += 1
        boxes = np.array(next(self.script), np.float32).reshape(-1, 4)
        return boxes, np.linspace(0.9, 0.6, len(boxes)).astype(np.float32)


class GridEstimator:
    """Joints on a diagonal of each box; remembers the batches; is sure or not by `score`."""

    def __init__(self, score: float = 0.8) -> None:
        self.score, self.batches = score, []  # type: ignore[var-annotated]

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(boxes.copy())
        share = np.linspace(0.1, 0.9, JOINT_COUNT)[None, :, None]
        keypoints = boxes[:, None, :2] + share * (boxes[:, None, 2:] - boxes[:, None, :2])
        return keypoints.astype(np.float32), np.full((len(boxes), JOINT_COUNT), self.score, np.float32)


def counts(source: TopDown, pictures: int) -> list[int]:
    return [len(source(PICTURE)) for _ in range(pictures)]


def test_everybody_goes_through_the_pose_network_in_one_batch() -> None:
    estimator = GridEstimator()
    people = TopDown(ScriptedDetector([STANDING, (200, 50, 240, 150), (20, 60, 60, 160)]), estimator)(PICTURE)
    assert len(people) == 3
    assert [len(batch) for batch in estimator.batches] == [3]
    np.testing.assert_array_equal(people.boxes[0], STANDING)
    assert people.box_scores.tolist() == pytest.approx([0.9, 0.75, 0.6])


def test_a_person_whom_the_detector_loses_is_followed_and_found_again() -> None:
    source = TopDown(ScriptedDetector([STANDING], [], [], [STANDING], []), GridEstimator())
    assert counts(source, 5) == [1, 1, 1, 1, 1]


def test_following_ends_with_the_pose_and_after_carry_pictures() -> None:
    estimator = GridEstimator()
    source = TopDown(ScriptedDetector([STANDING], *[[]] * 9), estimator, TopDownSettings(max_undetected_frames=3))
    assert counts(source, 6) == [1, 1, 1, 1, 0, 0]
    source = TopDown(ScriptedDetector([STANDING], *[[]] * 9), estimator)
    assert counts(source, 2) == [1, 1]
    estimator.score = 0.05
    assert counts(source, 1) == [0]
    estimator.score = 0.8
    assert counts(source, 1) == [0], "who was dropped is not followed"


def test_the_detector_is_asked_every_so_many_pictures() -> None:
    detector, estimator = ScriptedDetector([STANDING], [STANDING, (200, 50, 240, 150)], []), GridEstimator()
    source = TopDown(detector, estimator, TopDownSettings(det_interval=3))
    assert counts(source, 7) == [1, 1, 1, 2, 2, 2, 2]
    assert detector.asked == 3


def test_with_nobody_to_follow_the_detector_is_asked_every_time() -> None:
    detector = ScriptedDetector([], [], [STANDING], [STANDING])
    source = TopDown(detector, GridEstimator(), TopDownSettings(det_interval=4))
    assert counts(source, 5) == [0, 0, 1, 1, 1]
    assert detector.asked == 4


def test_a_followed_box_gives_way_to_a_detected_one() -> None:
    near = tuple(side + 5 for side in STANDING)
    estimator = GridEstimator()
    source = TopDown(ScriptedDetector([STANDING], [near]), estimator, TopDownSettings(det_interval=1))
    assert counts(source, 2) == [1, 1]
    np.testing.assert_array_equal(estimator.batches[1], [near])


def test_two_boxes_that_give_one_pose_are_one_person() -> None:
    tall = (95.0, 45.0, 145.0, 155.0)
    assert counts(TopDown(ScriptedDetector([STANDING, tall]), GridEstimator()), 1) == [1]


def test_the_box_follows_the_joints() -> None:
    class Falling(GridEstimator):
        def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            self.batches.append(boxes.copy())
            keypoints, scores = GridEstimator()(image, np.array([LYING], np.float32))
            return keypoints, scores

    estimator = Falling()
    source = TopDown(ScriptedDetector([STANDING], []), estimator)
    counts(source, 2)
    left, top, right, bottom = estimator.batches[1][0]
    assert right - left > 1.5 * (bottom - top), "the person is looked for where the joints lay"
    assert left >= 0
    assert bottom <= PICTURE.shape[0]


def test_reset_forgets_everybody_and_begins_with_a_look() -> None:
    detector = ScriptedDetector([STANDING], [])
    source = TopDown(detector, GridEstimator(), TopDownSettings(det_interval=10))
    assert counts(source, 2) == [1, 1]
    source.reset()
    assert counts(source, 1) == [0]
    assert detector.asked == 2


def test_at_most_max_people_the_surest() -> None:
    boxes = [(10.0 + 30 * i, 50.0, 30.0 + 30 * i, 120.0) for i in range(8)]
    people = TopDown(ScriptedDetector(boxes), GridEstimator(), TopDownSettings(max_people=3))(PICTURE)
    assert people.boxes[:, 0].tolist() == [10, 40, 70]


def test_nobody_is_an_empty_frame() -> None:
    people = TopDown(ScriptedDetector([]), GridEstimator())(PICTURE)
    assert people.keypoints.shape == (0, JOINT_COUNT, 2)


@pytest.mark.parametrize("wrong", [{"det_interval": 0}, {"max_people": 0}, {"max_undetected_frames": -1}])
def test_counts_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        TopDownSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("box", "size"), [((0, 0, 30, 100), (93.75, 125)), ((10, 20, 210, 70), (250, 1000 / 3))])
def test_a_crop_is_the_box_grown_by_a_quarter_and_to_the_shape_of_the_input(
    box: tuple[float, ...], size: tuple[float, float]
) -> None:
    centers, sizes = crop_places(np.array([box], np.float32), (192, 256))
    assert centers[0].tolist() == [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    assert sizes[0].tolist() == pytest.approx(size)


def test_a_crop_shows_its_part_of_the_picture() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[100:200, 150:225] = 255
    (part,) = crops(picture, np.array([[187.0, 150.0]]), np.array([[150.0, 200.0]]), (192, 256))
    lit = np.argwhere(part[..., 0] > 127)
    low, high = lit.min(axis=0), lit.max(axis=0)
    np.testing.assert_allclose(low, [64, 48], atol=2)
    np.testing.assert_allclose(high, [191, 144], atol=2)
    (outside,) = crops(picture + 9, np.array([[-500.0, 0.0]]), np.array([[150.0, 200.0]]), (192, 256))
    assert not outside.any()


def peak_by_peak(heatmap: np.ndarray) -> tuple[float, float, float]:
    """One map decoded as MMPose's msra_heatmap says, step by step."""
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


def test_heatmaps_are_decoded_like_one_by_one(rng: np.random.Generator) -> None:
    heatmaps = rng.normal(size=(40, 17, 6, 5)).astype(np.float32)  # small maps: many peaks at the edges
    heatmaps[3, 4] = -1
    places, scores = decode_heatmaps(heatmaps)
    for person, joint in itertools.product(range(40), range(17)):
        x, y, score = peak_by_peak(heatmaps[person, joint])
        assert (*places[person, joint].tolist(), float(scores[person, joint])) == (x, y, score)


def test_simcc_takes_the_peaks_and_the_lower_height() -> None:
    x, y = np.zeros((1, 2, 8), np.float32), np.zeros((1, 2, 6), np.float32)
    x[0, 0, 5], y[0, 0, 2] = 0.9, 0.4
    places, scores = decode_simcc(x, y)
    assert places.tolist() == [[[5, 2], [-1, -1]]]
    assert scores.tolist() == [[pytest.approx(0.4), 0]]


@pytest.fixture
def own_config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    (tmp_path / "w.pth").write_bytes(b"weights")
    path.write_text(f'_base_ = "mmdet::yolox/x.py"\nload_from = "{tmp_path}/w.pth"\n', encoding="utf-8")
    return path


def test_a_network_is_a_name_or_a_path_and_own_weights_come_first(own_config: Path) -> None:
    network = find_network(str(own_config))
    assert (network.config, network.checkpoint.name) == (own_config, "w.pth")


def test_official_weights_go_by_the_config_that_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLDET_CHECKPOINTS", str(tmp_path))
    (tmp_path / "yolox_tiny_8x8_300e_coco_20211124_171234-b4047906.pth").write_bytes(b"own")
    config = tmp_path / "tiny.py"
    config.write_text('_base_ = "mmdet::yolox/yolox_tiny_8xb8-300e_coco.py"\n', encoding="utf-8")
    assert find_network(str(config)).checkpoint.name.startswith("yolox_tiny_8x8")


def test_the_digest_changes_with_config_and_weights(own_config: Path) -> None:
    before = find_network(str(own_config)).digest()
    own_config.write_text(own_config.read_text() + "person_class = 1\n")
    middle = find_network(str(own_config)).digest()
    (own_config.parent / "w.pth").write_bytes(b"other")
    assert len({before, middle, find_network(str(own_config)).digest()}) == 3


def test_poses_have_another_name_for_another_source(own_config: Path) -> None:
    movenet, topdown = MoveNetSettings(), TopDownSettings()
    both = PoseSettings(f"{own_config}+{own_config}")
    names = {
        poses_key(PoseSettings(), movenet, topdown),
        poses_key(PoseSettings(), MoveNetSettings(input_size=384), topdown),
        poses_key(both, movenet, topdown),
        poses_key(both, movenet, TopDownSettings(det_interval=3)),
    }
    assert len(names) == 4
    assert poses_key(both, movenet, TopDownSettings(threads=3)) in names, "threads change nothing"


def test_poses_key_is_spelled_out_so_that_renames_keep_cached_poses() -> None:
    key = poses_key(PoseSettings(), MoveNetSettings(), TopDownSettings())
    assert key == (
        '{"input_size": 256, "min_joint_score": 0.05, "min_person_score": 0.1, "precision": "fastest", '
        '"source": "movenet", "version": 1, "weights": "movenet_multipose"}'
    )


def test_poses_key_depends_on_every_setting_but_threads(own_config: Path, tmp_path: Path) -> None:
    both = PoseSettings(f"{own_config}+{own_config}")
    weights = tmp_path / "own.tflite"
    weights.write_bytes(b"own")
    for settings, other in (
        (MoveNetSettings(), {"checkpoint": str(weights), "input_size": 384, "precision": "f32"}),
        (TopDownSettings(), {"engine": "torch", "precision": "f32"}),
    ):
        for field in fields(settings):
            value = getattr(settings, field.name)
            changed = replace(
                settings, **{field.name: other.get(field.name) or (value / 2 if 0 < value < 1 else value + 1)}
            )
            keys = {
                poses_key(PoseSettings(), each, TopDownSettings())
                if isinstance(each, MoveNetSettings)
                else poses_key(both, MoveNetSettings(), each)
                for each in (settings, changed)
            }
            assert len(keys) == (1 if field.name == "threads" else 2), field.name


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("moovnet", r"unknown pose source 'moovnet'; known are movenet and DETECTOR\+POSE"),
        ("yolox+hrnet_w32", "no network 'yolox'; known here: hrnet_w32, rtmpose_m, yolox_s"),
        ("+hrnet_w32", "no network ''"),
        ("none.py+hrnet_w32", "no settings file none.py"),
    ],
)
def test_an_unknown_source_is_told_with_the_known_ones(source: str, message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        make_pose_source(PoseSettings(source), MoveNetSettings(), TopDownSettings())


def test_a_config_without_known_weights_asks_for_them(tmp_path: Path) -> None:
    config = tmp_path / "r50.py"
    config.write_text('_base_ = "mmdet::faster_rcnn/r50.py"\n', encoding="utf-8")
    with pytest.raises(FalldetError, match="whose weights falldet doesn't know; name yours there: load_from"):
        find_network(str(config))


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "x.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(FalldetError, match="can't be read as an exported network"):
        read_network(broken, "pose")
    recognizer = Path(__file__).resolve().parents[3] / "checkpoints" / "stgcn_fall.onnx"
    with pytest.raises(FalldetError, match=r"stgcn_fall\.onnx is no detector"):
        read_network(recognizer, "detector")


def test_without_openmmlab_the_export_says_what_to_do(own_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLDET_CACHE", str(own_config.parent / "cache"))
    for name in [name for name in sys.modules if name.startswith("falldet.openmmlab")]:
        monkeypatch.delitem(sys.modules, name)

    class Absent:
        def find_spec(self, name: str, *rest: object) -> None:
            if name == "falldet.openmmlab":
                raise FalldetError("this needs OpenMMLab")

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(FalldetError, match="must be exported first, which needs OpenMMLab; run `make install`"):
        networks.exported_network(find_network(str(own_config)))


def test_where_poses_are_given_no_image_is_looked_at() -> None:
    source = NoPoseSource()
    source.reset()
    with pytest.raises(RuntimeError, match="no image is looked at"):
        source(PICTURE)
