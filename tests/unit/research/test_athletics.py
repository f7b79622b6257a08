"""Captured motions: from joint rotations to places, round after round, and as clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from falldet.data.annotations import load_annotations
from falldet.errors import FalldetError
from falldet.skeleton import FLIP_INDICES, HIPS, JOINT_INDEX
from falldet.stages.windows import label_windows
from research.synthetic_data.athletics import clips_of, play, read_motions, split_of, write_clips
from research.synthetic_data.mocap import COLUMNS, HINGES, QUATERNIONS, Motion, read_motion

UPRIGHT_M = 0.9


def row(duration: float = 0.1, place: tuple[float, float] = (0.0, 0.0), **turns: Any) -> list[float]:
    """Somebody upright at `place` (forward, right), but for the named turns: (w, x, y, z) or a hinge's radians."""
    values = [0.0] * COLUMNS
    values[:4] = duration, place[0], UPRIGHT_M, place[1]
    for joint, column in QUATERNIONS.items():
        values[column : column + 4] = turns.get(joint, (1.0, 0.0, 0.0, 0.0))
    for joint, column in HINGES.items():
        values[column] = turns.get(joint, 0.0)
    for ankle in (21, 35):
        values[ankle] = 1.0
    return values


def motion_file(folder: Path, rows: list[list[float]], loop: str = "none", name: str = "humanoid3d_rest.txt") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(json.dumps({"Loop": loop, "Frames": rows}))
    return path


def motion(folder: Path, rows: list[list[float]], loop: str = "none") -> Motion:
    return read_motion(motion_file(folder, rows, loop))


def test_without_turns_somebody_stands_upright_and_alike_on_both_sides(tmp_path: Path) -> None:
    rest = motion(tmp_path, [row(), row()])
    (points,) = rest.joints(np.array([0.05]))
    heights = [points[JOINT_INDEX[f"left_{joint}"], 2] for joint in ("eye", "shoulder", "hip", "knee", "ankle")]
    assert np.all(np.diff(heights) < 0)
    assert 0 < heights[-1] < 0.12
    assert 1.4 < heights[0] < 1.6
    assert points[JOINT_INDEX["left_hip"], 1] > 0 > points[JOINT_INDEX["right_hip"], 1]
    assert points[JOINT_INDEX["nose"], 0] > points[JOINT_INDEX["left_ear"], 0]
    np.testing.assert_allclose(points[list(FLIP_INDICES)] * [1, -1, 1], points, atol=1e-12)


def test_a_turn_about_the_vertical_turns_everything(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    rest, turned = (
        motion(tmp_path, [row(root=quaternion)] * 2).joints(np.array([0.0]))
        for quaternion in ((1, 0, 0, 0), (half, 0, half, 0))
    )
    np.testing.assert_allclose(turned[..., 0], -rest[..., 1], atol=1e-12)
    np.testing.assert_allclose(turned[..., 1], rest[..., 0], atol=1e-12)
    np.testing.assert_allclose(turned[..., 2], rest[..., 2], atol=1e-12)


def test_knees_bend_backwards_and_elbows_forwards(tmp_path: Path) -> None:
    bent = motion(tmp_path, [row(left_knee=-1.0, right_elbow=1.0)] * 2)
    (points,) = bent.joints(np.array([0.0]))
    assert points[JOINT_INDEX["left_ankle"], 0] < points[JOINT_INDEX["left_knee"], 0] - 0.3
    assert points[JOINT_INDEX["right_wrist"], 0] > points[JOINT_INDEX["right_elbow"], 0] + 0.2
    assert points[JOINT_INDEX["right_ankle"], 0] == pytest.approx(points[JOINT_INDEX["right_knee"], 0])


def test_each_round_goes_on_where_the_last_one_ended_and_in_its_direction(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    ahead = motion(tmp_path, [row(0.5), row(0.0, (1.0, 0.0))], "wrap")
    hips = ahead.joints(np.array([0.0, 0.25, 0.75, 1.25]))[:, HIPS].mean(axis=1)
    np.testing.assert_allclose(hips, [[x, 0, UPRIGHT_M] for x in (0, 0.5, 1.5, 2.5)], atol=1e-9)
    to_the_left = motion(tmp_path, [row(0.5), row(0.0, (1.0, 0.0), root=(half, 0, half, 0))], "wrap")
    hips = to_the_left.joints(np.array([0.0, 0.5, 1.0, 1.5, 2.0]))[:, HIPS].mean(axis=1)
    np.testing.assert_allclose(hips[:, :2], [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], atol=1e-9)


def test_a_motion_that_is_not_cyclic_begins_and_ends_still(tmp_path: Path) -> None:
    times, joints = play(motion(tmp_path, [row(1.0), row(0.0, (1.0, 0.0))]))
    assert times[0] == 0
    assert times[-1] == pytest.approx(1 + 2 * 0.7, abs=1.01 / 30)
    moving = np.abs(np.diff(joints, axis=0)).max(axis=(1, 2)) > 1e-9
    assert not moving[:20].any()
    assert not moving[-20:].any()
    assert moving[25:45].all()


def test_the_clips_are_annotations_without_falls_that_make_windows(tmp_path: Path) -> None:
    motion_file(tmp_path / "motions", [row(0.8), row(0.0, (2.9, 0.0))], "wrap", "humanoid3d_run.txt")
    motion_file(tmp_path / "motions", [row(1.0), row(0.0)], name="humanoid3d_jump.txt")
    clips = {each.name: clips_of(each, 4, np.random.default_rng(0)) for each in read_motions(tmp_path / "motions")}
    write_clips(clips, tmp_path / "athletics.pkl")
    contents = load_annotations(tmp_path / "athletics.pkl")
    assert {name: len(views) for name, views in contents["split"].items()} == {"train": 4, "test": 4}
    for annotation in contents["annotations"]:
        assert annotation["label"] == 0
        assert annotation["time_s"][-1] >= 1.9
        assert (annotation["keypoint_score"] > 0).any(axis=(0, 2)).mean() > 0.5
        windows = label_windows(annotation, length_s=2.0, stride_s=0.5)
        assert windows
        assert {window["label"] for window in windows} == {0}
    again = clips_of(read_motions(tmp_path / "motions")[0], 4, np.random.default_rng(0))
    np.testing.assert_array_equal(again[2]["keypoint"], clips["jump"][2]["keypoint"])


def test_motions_of_a_kind_share_a_split_and_the_roll_is_never_trained_on() -> None:
    assert split_of("kick") == split_of("spinkick") == split_of("roll") == "test"
    assert split_of("dance_a") == split_of("dance_b") == split_of("walk") == split_of("turn_left0") == "train"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no JSON", "must be JSON"),
        ("[1, 2]", "must be JSON"),
        ('{"Frames": [[0.1, 2], [0.1]]}', "must be JSON"),
        ('{"Frames": [[0.1, 2], [0.1, 2]]}', r"\(2, 2\)"),
        (json.dumps({"Frames": [row()]}), r"\(1, 44\)"),
        (json.dumps({"Frames": [row(0.0), row()]}), "durations above 0"),
        (json.dumps({"Frames": [row(chest=(0, 0, 0, 0)), row()]}), "no quaternion of zeros"),
        (json.dumps({"Frames": [row(left_knee=float("nan")), row()]}), "finite"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "humanoid3d_bad.txt"
    path.write_text(text)
    with pytest.raises(FalldetError, match=said):
        read_motion(path)


def test_missing_motions_are_one_sentence_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("athletics.find_spec", lambda name: None)
    for folder in (None, tmp_path):
        with pytest.raises(FalldetError, match="pip download --no-deps pybullet"):
            read_motions(folder)
    with pytest.raises(FalldetError, match="give a readable motion file"):
        read_motion(tmp_path / "humanoid3d_gone.txt")
