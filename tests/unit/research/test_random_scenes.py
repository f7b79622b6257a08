"""Random scenes and pose noise: keypoints to train on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from falldet.data.annotations import check_annotations, load_annotations
from falldet.data.window_labels import FALL, label_windows
from falldet.synthetic.presets import SCENES
from research.synthetic_data.pose_noise import add_pose_noise, annotate_scene, keypoint_clips
from research.synthetic_data.random_scenes import CLIP_S, random_camera, random_scene

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("seed", range(12))
def test_random_scene_has_a_fall_or_none(seed: int) -> None:
    falling, daily = (random_scene(np.random.default_rng(seed), falls) for falls in (True, False))
    ((person, start_s, stop_s),) = falling.falls()
    assert person == 0
    assert 0.4 < stop_s - start_s < 2.3
    assert stop_s < falling.duration_s
    assert daily.falls() == ()
    assert daily.duration_s >= CLIP_S


@pytest.mark.parametrize("seed", range(12))
def test_random_scene_ends_a_fall_on_the_floor(seed: int) -> None:
    scene = random_scene(np.random.default_rng(seed), falls=True)
    ((_, start_s, stop_s),) = scene.falls()
    before, after = scene.points(np.array([start_s, stop_s]))[:, 0, :17, 2]
    assert after.max() < 0.8
    assert after.mean() < 0.75 * before.mean()


def test_random_scene_depends_on_the_seed_alone() -> None:
    first, again, other = (random_scene(np.random.default_rng(seed), falls=True) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_random_camera_is_aimed_at_the_person_from_all_elevations(rng: np.random.Generator) -> None:
    cameras = [random_camera(rng) for _ in range(300)]
    middles = np.array(
        [camera.project(np.array([0.0, 0.0, 0.9]))[0] / (camera.width, camera.height) for camera in cameras]
    )
    assert ((middles > 0.1) & (middles < 0.9)).all()
    pitches = np.array([camera.pitch_deg for camera in cameras])
    assert (pitches < 20).any()
    assert (pitches > 75).any()
    assert len({(camera.width, camera.height) for camera in cameras}) == 3


def test_keypoint_clips_are_annotations_for_training(rng: np.random.Generator) -> None:
    clips = list(keypoint_clips(10, rng))
    check_annotations({"split": {"train": [clip["frame_dir"] for clip in clips]}, "annotations": clips}, "scenes")
    assert [clip["label"] for clip in clips] == [1, 0] * 5
    labels = [sample.label for clip in clips for sample in label_windows(clip)]
    assert 5 <= labels.count(FALL) < len(labels) / 2


def test_add_pose_noise_keeps_joints_near_the_truth_and_marks_missing_ones(rng: np.random.Generator) -> None:
    scene = SCENES["walk"]()
    keypoints, visible = scene.keypoints()
    depth = np.full(visible[:, 0].shape, 4.0)
    visible[:, 0, 3] = 0
    noisy, scores = add_pose_noise(keypoints[:, 0], visible[:, 0], depth, rng)
    assert (scores[:, 3] == 0).all()
    assert (noisy[scores == 0] == 0).all()
    found = scores > 0
    assert found.mean() > 0.6
    assert 0.3 < scores[found].mean() < 0.7
    height = np.ptp(keypoints[0, 0, :, 1])
    errors = np.linalg.norm(noisy - keypoints[:, 0], axis=2)[found] / height
    assert 0.005 < np.median(errors) < 0.08


def test_add_pose_noise_lowers_the_scores_of_the_far_side() -> None:
    rng = np.random.default_rng(0)
    depth = np.full((40, 17), 4.0)
    depth[:, 5] = 4.4  # the left shoulder lies behind the body
    pairs = [add_pose_noise(np.ones((40, 17, 2)) * 100, np.ones((40, 17)), depth, rng)[1][:, 5:7] for _ in range(60)]
    behind, before = np.mean([pair.mean(axis=0) for pair in pairs], axis=0)
    assert behind < before - 0.1


def test_annotate_scene_has_the_fall(rng: np.random.Generator) -> None:
    annotation = annotate_scene(SCENES["sample"](), "sample", rng)
    assert annotation["label"] == 1
    ((start_s, stop_s),) = annotation["fall_intervals"]
    assert (start_s, stop_s) == pytest.approx((6.6, 7.5))
    assert annotation["keypoint"].shape == (1, 300, 17, 2)


def test_compose_scenes_writes_the_same_file_for_the_same_seed(tmp_path: Path) -> None:
    files = []
    for name in ("a.pkl", "b.pkl"):
        command = [
            sys.executable,
            "-m",
            "research.synthetic_data.compose_scenes",
            "--clips",
            "3",
            "--out",
            str(tmp_path / name),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        assert f"3 clips written to {tmp_path / name}" in done.stdout
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    assert len(load_annotations(tmp_path / "a.pkl")["annotations"]) == 3


def test_compose_scenes_refuses_no_clips(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "research.synthetic_data.compose_scenes",
        "--clips",
        "0",
        "--out",
        str(tmp_path / "x.pkl"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "--clips must be at least 1" in done.stderr
