"""Hard negatives: what is taken, what never is, the thumbnails, and what training reads."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from falldet.data.annotations import OPTIONAL_KEYS, REQUIRED_KEYS, dump_annotations, load_annotations
from falldet.data.manifest import ClipRecord, FallInterval
from falldet.evaluation.hard_negatives import SAMPLE_BEFORE_S, mine_hard_negatives
from falldet.evaluation.matching import ClipResult, match_alerts
from falldet.evaluation.thumbnails import STRIP_FRAMES, STRIP_HEIGHT
from falldet.extraction.pose_cache import PoseCache, PoseSequence
from falldet.geometry import keypoint_boxes
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.stages.frame_sampling import SamplingSettings
from falldet.synthetic import SCENES, Scene
from falldet.types import Event, EventState
from falldet.visualization.overlay import RED

FPS = 10.0


def two_people() -> Scene:
    """Ten frames a second of two people walking past each other, four seconds long."""
    return replace(SCENES["two_people_crossing"](), fps=FPS)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "crossing.mp4"
    with VideoWriter(path, FPS, crf=16) as writer:
        for frame in two_people().frames():
            writer.write(frame.image, frame.time_s)
    return path


@pytest.fixture
def cache(tmp_path: Path, video: Path) -> PoseCache:
    scene = two_people()
    keypoints, scores = scene.keypoints()
    seen = scores.any(axis=2)  # (T, N)
    boxes = keypoint_boxes(keypoints[seen], scores[seen])
    box_scores, image_hw = np.ones(len(boxes), np.float32), (scene.camera.height, scene.camera.width)
    poses = PoseSequence(
        scene.frame_times(), seen.sum(axis=1), keypoints[seen], scores[seen], boxes, box_scores, image_hw
    )
    made = PoseCache(tmp_path / "poses", lambda: pytest.fail("the poses are cached"), "true poses")
    poses.save(made.path_of(video))
    return made


EVERY_FRAME = Config(sampling=SamplingSettings(active_fps=0))


def false_alarms(
    video: Path, *alerts: float, split: str | None = "train", falls: tuple[FallInterval, ...] = (), label: int = 0
) -> ClipResult:
    """Alerts for the second of the two people, each half a second after its onset."""
    clip = ClipRecord(video, label, "s1", split, falls, "drawn")
    box = (0.0, 0.0, 9.0, 9.0)
    events = [
        Event(f"{time_s}", "a", 2, time_s - 0.5, time_s, None, time_s, 0.9, EventState.FALLEN, box) for time_s in alerts
    ]
    match = match_alerts([(fall.start_s, fall.end_s) for fall in falls], list(alerts))
    return ClipResult(clip, 3.9, events, match)


def test_mine_hard_negatives_makes_a_clip_without_a_fall(tmp_path: Path, video: Path, cache: PoseCache) -> None:
    mined = mine_hard_negatives(tmp_path / "hard", [false_alarms(video, 1.4)], cache, EVERY_FRAME)
    contents = load_annotations(mined.path or "")
    (annotation,) = contents["annotations"]
    assert contents["split"] == {"train": [annotation["frame_dir"]], "val": [], "test": []}
    assert annotation["frame_dir"] == "crossing_false_alarm_1.40s_2"
    assert set(annotation) == {*REQUIRED_KEYS, *OPTIONAL_KEYS}
    assert (annotation["label"], annotation["fall_intervals"]) == (0, [])
    assert (annotation["subject"], annotation["source"]) == ("s1", "drawn")
    assert annotation["img_shape"] == annotation["original_shape"] == (480, 640)
    np.testing.assert_allclose(annotation["time_s"], np.arange(34) / FPS)  # to 2 s after the alert
    truth, _ = two_people().keypoints()
    seen = annotation["keypoint_score"][0].any(axis=1)
    assert seen[2:].mean() > 0.8  # a track is confirmed by the second detection
    distance = np.linalg.norm(annotation["keypoint"][0][seen] - truth[:34, 1][seen], axis=2)
    assert np.median(distance) < 1, "the other person was taken"


def test_mine_hard_negatives_begins_sample_before_s_before_the_onset(
    tmp_path: Path, video: Path, cache: PoseCache
) -> None:
    result = false_alarms(video, 3.85)
    with patch("falldet.evaluation.hard_negatives.SAMPLE_BEFORE_S", 3.0):  # the clip lasts four seconds
        mined = mine_hard_negatives(tmp_path / "hard", [result], cache, EVERY_FRAME)
    (annotation,) = load_annotations(mined.path or "")["annotations"]
    assert (annotation["time_s"][0], annotation["time_s"][-1]) == (pytest.approx(0.4), pytest.approx(3.9))
    assert SAMPLE_BEFORE_S >= 4.0, "a window of the shipped recognizer"


def test_draw_strip_shows_the_person_five_times(tmp_path: Path, video: Path, cache: PoseCache) -> None:
    (path,) = mine_hard_negatives(tmp_path / "hard", [false_alarms(video, 2.0)], cache, EVERY_FRAME).thumbnails
    strip = cv2.imread(str(path))
    height, width = STRIP_HEIGHT, STRIP_HEIGHT * 640 // 480
    assert strip.shape == (height, STRIP_FRAMES * width, 3)
    truth, _ = two_people().keypoints()
    for tile, frame in enumerate(np.rint(np.linspace(5, 30, STRIP_FRAMES)).astype(int)):  # 0.5 s to 3.0 s
        x, y = np.rint(truth[frame, 1, [5, 6, 11, 12]] * height / 480).astype(int).mean(axis=0).astype(int)
        around = strip[max(0, y - 60) : y + 60, tile * width + max(0, x - 40) : tile * width + x + 40]
        assert (np.abs(around.astype(int) - RED).max(axis=2) < 40).sum() > 40, f"no skeleton in tile {tile}"


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"split": "test"}, "the clip belongs to the test split"),
        ({"label": 1}, "the clip has a fall of unknown time"),
        ({"label": 1, "falls": (FallInterval(3.0, 3.5, True),)}, "it overlaps a labeled fall"),
    ],
    ids=["test split", "unknown time", "near a fall"],
)
def test_mine_hard_negatives_leaves_out_what_must_not_be_trained_on(
    tmp_path: Path, video: Path, cache: PoseCache, caplog: pytest.LogCaptureFixture, result: dict, reason: str
) -> None:
    stale = tmp_path / "hard" / "hard_negatives.pkl"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")
    with caplog.at_level(logging.WARNING):
        mined = mine_hard_negatives(stale.parent, [false_alarms(video, 1.4, **result)], cache, EVERY_FRAME)
    assert (mined.path, mined.taken, mined.thumbnails) == (None, 0, [])
    assert mined.left_out == [(video, 1.4, reason)]
    assert f"1, {reason}" in caplog.text
    assert list(stale.parent.iterdir()) == []


def test_mine_hard_negatives_takes_a_clip_with_a_fall_at_another_time(
    tmp_path: Path, video: Path, cache: PoseCache
) -> None:
    result = false_alarms(video, 1.4, label=1, falls=(FallInterval(3.4, 3.6, True),))
    assert mine_hard_negatives(tmp_path / "hard", [result], cache, EVERY_FRAME).taken == 1


def test_mine_hard_negatives_takes_the_validation_split_with_a_warning(
    tmp_path: Path, video: Path, cache: PoseCache, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="falldet.evaluation.hard_negatives"):  # whatever another test has set
        mined = mine_hard_negatives(tmp_path / "hard", [false_alarms(video, 1.4, split="val")], cache, EVERY_FRAME)
    assert mined.taken == 1
    assert "1 hard negatives are of split val" in caplog.text


def test_mine_hard_negatives_replaces_an_earlier_run(tmp_path: Path, video: Path, cache: PoseCache) -> None:
    folder = tmp_path / "hard"
    first = mine_hard_negatives(folder, [false_alarms(video, 1.4, 2.0)], cache, EVERY_FRAME)
    assert first.taken == 2
    again = mine_hard_negatives(folder, [false_alarms(video, 1.4)], cache, EVERY_FRAME)
    assert len(load_annotations(again.path or "")["annotations"]) == 1
    assert sorted(folder.iterdir()) == sorted([folder / "hard_negatives.pkl", *again.thumbnails])


def test_mine_hard_negatives_takes_the_frames_that_the_sampler_processes(
    tmp_path: Path, video: Path, cache: PoseCache
) -> None:
    config = Config(sampling=SamplingSettings(active_fps=5, full_rate_hold_s=0))
    mined = mine_hard_negatives(tmp_path / "hard", [false_alarms(video, 2.5)], cache, config)
    (annotation,) = load_annotations(mined.path or "")["annotations"]
    assert np.rint(annotation["time_s"] * FPS).tolist() == [*range(0, 40, 2), 39]  # the last one always
    assert annotation["keypoint_score"][0].any(axis=1)[1:].all()  # confirmed by the second detection
    (strip,) = mined.thumbnails
    assert cv2.imread(str(strip)) is not None


@pytest.mark.openmmlab
def test_mine_hard_negatives_writes_windows_without_a_fall_for_training(
    tmp_path: Path, video: Path, cache: PoseCache
) -> None:
    """Together with the file of the recipe, as in the command that the tool prints: validation reads both files too."""
    pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
    pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")
    from mmaction.registry import DATASETS
    from mmengine.registry import DefaultScope

    import falldet.openmmlab  # noqa: F401

    mined = mine_hard_negatives(tmp_path / "hard", [false_alarms(video, 2.0, 3.5)], cache, EVERY_FRAME)
    contents = load_annotations(mined.path or "")
    others = [{**annotation, "frame_dir": name} for annotation, name in zip(contents["annotations"], "ab", strict=True)]
    dump_annotations({"split": {"train": ["a"], "val": ["b"]}, "annotations": others}, tmp_path / "falls.pkl")
    files, window = [str(tmp_path / "falls.pkl"), str(mined.path)], {"length_s": 2.0, "stride_s": 0.25}
    infos = {}
    with DefaultScope.overwrite_default_scope("mmaction"):
        for split in ("train", "val"):
            built = DATASETS.build(dict(type="FallDataset", ann_file=files, split=split, pipeline=[], window=window))
            infos[split] = [built.get_data_info(index) for index in range(len(built))]
    hard = [info for info in infos["train"] if "_false_alarm_" in info["frame_dir"]]
    assert len(hard) >= 10
    assert len({info["frame_dir"].partition("@")[0] for info in hard}) == 2
    assert {info["label"] for info in hard} == {0}
    assert all(info["keypoint"].shape == (1, 48, 17, 2) for info in hard)
    assert {info["frame_dir"].partition("@")[0] for info in infos["val"]} == {"b"}
