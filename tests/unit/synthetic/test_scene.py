"""Bodies, motion, cameras and rendering of synthetic scenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from falldet.io.video import read_frames
from falldet.skeleton import JOINT_COUNT, JOINT_INDEX
from falldet.synthetic import SCENES, Appearance, Body, Box, Camera, Person, Room, Scene, sample_scene
from falldet.synthetic.body import ANGLE_NAMES, POINT_INDEX, Posture, keypose
from falldet.synthetic.keyposes import LYING, SITTING, STANDING, mirrored
from falldet.synthetic.motion import Walk, fall, lie, squat, stand, wave

SMALL = Camera(focal_px=130.0, width=160, height=120)
RIGID = [
    ("left_shoulder", "left_elbow"),
    ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"),
    ("right_knee", "right_ankle"),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("nose", "left_ear"),
    ("left_ankle", "left_toe"),
    ("neck", "waist"),
]
LIMBS = [(5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16)]
FALLS = ["forward", "backward", "left", "right"]


def heights(person: Person, name: str, time_s: np.ndarray) -> np.ndarray:
    return person.points(time_s)[:, POINT_INDEX[name], 2]


def small(name: str) -> Scene:
    scene = SCENES[name]()
    camera = replace(scene.camera, focal_px=scene.camera.focal_px / 4, width=160, height=120)
    return replace(scene, camera=camera)


@pytest.mark.parametrize("name", SCENES)
def test_scenes_keep_the_length_of_bones(name: str) -> None:
    for person in SCENES[name]().people:
        points = person.points(np.linspace(0, 12, 121))
        for start, stop in RIGID:
            lengths = np.linalg.norm(points[:, POINT_INDEX[start]] - points[:, POINT_INDEX[stop]], axis=1)
            np.testing.assert_allclose(lengths, lengths[0], rtol=1e-9)


def test_body_keeps_the_length_of_bones_at_any_angle(rng: np.random.Generator) -> None:
    angles = rng.uniform(-np.pi, np.pi, (200, len(ANGLE_NAMES)))
    posture = Posture(angles, rng.normal(size=(200, 2)), rng.uniform(-np.pi, np.pi, 200))
    points = Body(1.8).points(posture)
    for start, stop in RIGID:
        lengths = np.linalg.norm(points[:, POINT_INDEX[start]] - points[:, POINT_INDEX[stop]], axis=1)
        assert np.ptp(lengths) < 1e-9
    np.testing.assert_allclose(points[:, POINT_INDEX["pelvis"], :2], posture.position)


@pytest.mark.parametrize("height_m", [1.1, 1.6, 1.95])
def test_body_has_its_height_when_standing(height_m: float) -> None:
    points = Body(height_m).points(Posture(np.array([STANDING]), np.zeros((1, 2)), np.zeros(1)))[0]
    ears = points[[POINT_INDEX["left_ear"], POINT_INDEX["right_ear"]], 2]
    assert ears == pytest.approx(0.93 * height_m, abs=0.02 * height_m)
    assert points[:, 2].min() == pytest.approx(0.017 * height_m, abs=0.01 * height_m)  # heels and toes in their shoes


@pytest.mark.parametrize("name", SCENES)
def test_body_touches_the_floor_and_stays_above_it(name: str) -> None:
    for person in SCENES[name]().people:
        lowest = person.points(np.linspace(0, 12, 121))[..., 2].min(axis=1)
        assert (lowest > 0).all()
        assert (lowest < 0.07 * person.body.height_m).all()


@pytest.mark.parametrize("name", SCENES)
def test_scenes_have_no_jumps(name: str) -> None:
    step_s = 0.005
    for person in SCENES[name]().people:
        points = person.points(np.arange(0, 12, step_s))
        speed = np.linalg.norm(np.diff(points, axis=0), axis=2) / step_s
        assert speed.max() < 13.0  # metres a second: a hand in a fall


def test_keypoints_of_the_left_side_are_on_the_right_of_a_person_facing_the_camera() -> None:
    towards, away = (Scene((Person((stand(1),), heading_deg=h),), 1, SMALL).keypoints()[0][0, 0] for h in (-90, 90))
    left, right = JOINT_INDEX["left_shoulder"], JOINT_INDEX["right_shoulder"]
    assert towards[left, 0] > towards[right, 0]
    assert away[left, 0] < away[right, 0]


def test_camera_projects_known_points() -> None:
    camera = Camera(position=(0.0, -4.0, 1.0), pitch_deg=0.0, focal_px=400.0, width=640, height=480)
    pixels, depth = camera.project(np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 2.0], [0.0, -5.0, 1.0]]))
    np.testing.assert_allclose(pixels[:2], [[320, 240], [420, 140]], atol=1e-9)
    np.testing.assert_allclose(depth, [4, 4, -1], atol=1e-9)


def test_camera_rotates_by_its_angles() -> None:
    point = np.array([0.0, 0.0, 1.0])
    level = Camera(position=(0.0, -4.0, 1.0), pitch_deg=0.0)
    center = level.project(point)[0]
    assert replace(level, pitch_deg=10.0).project(point)[0][1] < center[1]  # camera down: the point rises
    assert replace(level, yaw_deg=10.0).project(point)[0][0] > center[0]  # camera left: the point moves right
    rolled = replace(level, roll_deg=10.0).project(np.array([0.0, 0.0, 2.0]))[0]
    assert rolled[0] < center[0]  # camera clockwise: points above lean to the left
    axes = replace(level, yaw_deg=33.0, pitch_deg=21.0, roll_deg=-12.0).axes()
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)


@pytest.mark.parametrize("direction", FALLS)
def test_fall_accelerates_the_body_downwards_in_its_interval(direction: str) -> None:
    person = Person(
        (Walk((1.0, 0.0), 1.5), fall(direction, 0.9), lie(2.0, "prone" if direction == "forward" else "supine"))
    )
    ((person_index, start, stop),) = Scene((person,), 4.0).falls()
    assert (person_index, start, stop) == (0, 1.5, pytest.approx(2.4))
    for name in ("pelvis", "nose"):
        before, middle, after = heights(person, name, np.array([start, (start + stop) / 2, stop]))
        assert after < 0.30 < 0.8 < before
        assert before - middle < middle - after
    walking = heights(person, "pelvis", np.linspace(0, start, 50))
    assert np.ptp(walking) < 0.1


@pytest.mark.parametrize("direction", FALLS)
def test_fall_moves_the_body_in_its_direction(direction: str) -> None:
    person = Person((fall(direction), stand(0.0001)))
    points = person.points(np.array([0.0, 0.8999]))
    shift = points[1, POINT_INDEX["neck"], :2] - points[0, POINT_INDEX["neck"], :2]
    expected = {"forward": (1, 0), "backward": (-1, 0), "left": (0, 1), "right": (0, -1)}[direction]
    assert shift @ expected > 1.0
    feet = points[:, [POINT_INDEX["left_ankle"], POINT_INDEX["right_ankle"]], :2].mean(axis=1)
    np.testing.assert_allclose(feet[0], feet[1], atol=1e-6)


@pytest.mark.parametrize("pose", LYING)
def test_lie_is_flat(pose: str) -> None:
    person = Person((lie(1.0, pose),), start_pose=LYING[pose])
    points = person.points(np.array([0.5]))[0]
    assert points[:, 2].max() < 0.5
    assert np.linalg.norm(points[POINT_INDEX["head"], :2] - points[POINT_INDEX["left_ankle"], :2]) > 1.2


@pytest.mark.parametrize("name", ["walk", "squat", "lie_down", "activities", "two_people_crossing", "empty_room"])
def test_falls_is_empty_without_a_fall(name: str) -> None:
    assert SCENES[name]().falls() == ()


@pytest.mark.parametrize("name", [name for name in SCENES if name.startswith("fall")] + ["sample"])
def test_falls_gives_the_one_fall_of_a_scene(name: str) -> None:
    scene = SCENES[name]()
    ((person_index, start, stop),) = scene.falls()
    assert 0.7 <= stop - start <= 1.2
    assert 0 < start < stop < scene.duration_s
    keypoints, scores = scene.keypoints()
    during = (scene.frame_times() >= start) & (scene.frame_times() < stop)
    assert (scores[during, person_index] == 1).all()  # the whole fall is in the image
    hips = keypoints[during, person_index][:, [JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]], 1].mean(axis=1)
    assert hips[-1] - hips[0] > 40


def test_walk_keeps_the_planted_foot_at_rest() -> None:
    person = Person((Walk((3.0, 0.0), 3.0),), (0.0, 0.0))
    time_s = np.arange(0.8, 2.2, 0.01)
    points = person.points(time_s)
    toes = points[:, [POINT_INDEX["left_toe"], POINT_INDEX["right_toe"]]]
    planted = toes[..., 2].argmin(axis=1)[:-1]
    speed = np.linalg.norm(np.diff(toes[..., :2], axis=0), axis=2) / 0.01
    planted_speed = speed[np.arange(len(planted)), planted]
    assert np.median(planted_speed) < 0.05
    pelvis = np.diff(points[:, POINT_INDEX["pelvis"], 0]) / 0.01
    assert pelvis.mean() == pytest.approx(1.2, abs=0.05)
    assert set(planted) == {0, 1}  # the feet take turns


def test_walk_arrives_facing_its_goal() -> None:
    person = Person((Walk((-1.0, 2.0), 2.5),), (0.5, 0.0), heading_deg=0.0)
    points = person.points(np.array([2.5]))[0]
    np.testing.assert_allclose(points[POINT_INDEX["pelvis"], :2], [-1.0, 2.0], atol=1e-6)
    front = points[POINT_INDEX["nose"], :2] - points[POINT_INDEX["head"], :2]
    path = np.array([-1.5, 2.0])
    assert front @ path / np.linalg.norm(front) / np.linalg.norm(path) > 0.99


def test_squat_and_sitting_lower_the_hips_but_keep_the_trunk_upright() -> None:
    person = Person((squat(2.0), wave(2.0)))
    assert heights(person, "pelvis", np.array([0.0, 1.0]))[1] < 0.6
    assert heights(person, "nose", np.array([1.0]))[0] > 0.8
    raised = person.points(np.linspace(2, 4, 41))[:, POINT_INDEX["right_hand"], 2]
    assert raised.max() > 1.9
    seat = Person((stand(1),), start_pose=SITTING)
    assert 0.38 < heights(seat, "pelvis", np.array([0.0]))[0] - 0.065 * seat.body.height_m < 0.45


def test_mirrored_exchanges_left_and_right() -> None:
    pose = LYING["right_side"]
    assert mirrored(mirrored(pose)) == pose
    here, there = (
        Body().points(Posture(np.array([p]), np.zeros((1, 2)), np.zeros(1)))[0] for p in (pose, mirrored(pose))
    )
    here, there = here[POINT_INDEX["left_wrist"]], there[POINT_INDEX["right_wrist"]]
    np.testing.assert_allclose(here, there * [1, -1, 1], atol=1e-9)


@pytest.mark.parametrize(("fps", "count"), [(10.0, 60), (15.0, 90), (29.97, 180), (30000 / 1001, 180), (7.5, 45)])
def test_frame_times_are_exact(fps: float, count: int) -> None:
    scene = replace(SCENES["walk"](), fps=fps)
    times = scene.frame_times()
    assert len(times) == count
    np.testing.assert_array_equal(times, [index / fps for index in range(count)])
    assert scene.keypoints()[0].shape == (count, 1, JOINT_COUNT, 2)


def test_frames_have_index_and_time_at_a_variable_rate() -> None:
    times = (0.0, 0.031, 0.1, 0.55)
    scene = replace(small("walk"), times_s=times)
    frames = list(scene.frames())
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert tuple(frame.time_s for frame in frames) == times
    assert frames[0].image.shape == (120, 160, 3)
    rates = [replace(small("walk"), times_s=None, fps=fps).keypoints()[0][index] for fps, index in ((10, 20), (25, 50))]
    np.testing.assert_allclose(rates[0], rates[1], atol=1e-4)  # the same time at both rates


def test_frames_are_the_same_on_every_run_and_differ_by_seed() -> None:
    scene = replace(small("fall_forward"), times_s=(0.0, 3.0, 4.0))
    first, second = ([frame.image for frame in scene.frames()] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = [frame.image for frame in replace(scene, seed=1).frames()]
    assert 0.5 < np.abs(np.subtract(first, other, dtype=float)).mean() < 5
    assert not np.array_equal(first[1], first[2])


@pytest.mark.parametrize("name", SCENES)
def test_truth_is_inside_the_image(name: str) -> None:
    scene = SCENES[name]()
    keypoints, scores = scene.keypoints()
    assert set(np.unique(scores)) <= {0.0, 1.0}
    assert (keypoints[scores == 0] == 0).all()
    size = (scene.camera.width, scene.camera.height)
    assert (keypoints >= 0).all()
    assert (keypoints < size).all()
    for index in range(0, len(keypoints), 75):
        truth = scene.truth(scene.frame_times()[index])
        np.testing.assert_allclose(truth.keypoints, keypoints[index, truth.track_ids], atol=1e-4)
        for box, joints, seen in zip(truth.boxes, truth.keypoints, truth.scores, strict=True):
            assert (joints[seen > 0] >= box[:2]).all()
            assert (joints[seen > 0] <= box[2:]).all()


def test_truth_has_the_indices_of_the_people_as_track_ids() -> None:
    outside, inside = Person((stand(1),), (9.0, 0.0)), Person((stand(1),))
    behind = Person((stand(1),), (0.0, -9.0))
    scene = Scene((outside, inside, behind), 1.0, SMALL)
    truth = scene.truth(0.5)
    assert truth.track_ids.tolist() == [1]
    assert truth.scores.min() == 1
    assert scene.keypoints()[1][:, [0, 2]].max() == 0


def test_person_holds_the_last_posture() -> None:
    person = Person((fall(),))
    np.testing.assert_allclose(person.points(np.array([50.0])), person.points(np.array([0.9])), atol=1e-9)
    assert np.isfinite(Person(()).points(np.array([0.0, 3.0]))).all()


@pytest.mark.parametrize("swapped", [False, True])
def test_painter_hides_the_farther_person(swapped: bool) -> None:
    red, green = Appearance(shirt=(0, 0, 220)), Appearance(shirt=(0, 220, 0))
    near, far = (
        Person((stand(1),), (0.0, -1.0), -90.0, appearance=red),
        Person((stand(1),), (0.0, 1.0), -90.0, appearance=green),
    )
    scene = Scene((far, near) if swapped else (near, far), 1.0, SMALL, noise=0.0)
    image = next(scene.frames()).image
    shoulders = scene.keypoints()[0][0, 1 if swapped else 0, [5, 6]]
    x, y = np.mean(shoulders, axis=0).astype(int)
    blue_green_red = image[y + 6, x].astype(int)
    assert blue_green_red[2] > 100 > 60 > blue_green_red[1]


def test_painter_hides_a_person_behind_furniture() -> None:
    person = Person((stand(1),), (0.0, 1.0), -90.0)
    wall = Room(boxes=(Box((-1.0, 0.0, 0.0), (1.0, 0.3, 2.2), (90, 90, 90)),))
    hidden = next(Scene((person,), 1.0, SMALL, wall, noise=0.0).frames()).image
    empty = next(Scene((), 1.0, SMALL, wall, noise=0.0).frames()).image
    assert np.abs(hidden.astype(int) - empty).max() < 20  # but for the soft rim of the shadow


@pytest.mark.parametrize("name", ["fall_forward", "fall_sideways"])
def test_painter_draws_people_at_their_true_joints(name: str) -> None:
    scene = replace(SCENES[name](), noise=0.0, times_s=(0.5, 3.2, 5.5))
    empty = scene.room.paint(scene.camera)[0].astype(int)
    for frame in scene.frames():
        change = np.abs(frame.image - empty).max(axis=2)
        truth = scene.truth(frame.time_s)
        for start, stop in LIMBS:
            x, y = ((truth.keypoints[0, start] + truth.keypoints[0, stop]) / 2).astype(int)
            assert (change[y - 1 : y + 2, x - 1 : x + 2] > 12).mean() > 0.5
        x0, y0, x1, y1 = truth.boxes[0].astype(int)
        inside = (change[y0:y1, x0:x1] > 40).sum()
        assert inside > 0.95 * (change > 40).sum()
        assert inside > 2000


def test_truth_of_an_empty_room_has_no_people() -> None:
    scene = SCENES["empty_room"]()
    assert len(scene.truth(1.0)) == 0
    keypoints, scores = scene.keypoints()
    assert keypoints.shape == (75, 0, JOINT_COUNT, 2)
    assert scores.shape == (75, 0, JOINT_COUNT)


def test_sample_scene_is_as_documented() -> None:
    scene = sample_scene()
    assert (scene.camera.width, scene.camera.height, scene.fps) == (640, 480, 25.0)
    assert len(scene.frame_times()) == 300
    (person,) = scene.people
    assert {segment.name for segment in person.segments} == {"walk", "stand", "pick_up", "fall", "lie"}


def test_keypose_names_an_unknown_angle() -> None:
    with pytest.raises(ValueError, match="elbo"):
        keypose(elbo=3)


def test_fall_names_an_unknown_direction() -> None:
    with pytest.raises(ValueError, match="upward"):
        fall("upward")


def test_scene_refuses_a_rate_of_0_and_times_that_do_not_ascend() -> None:
    with pytest.raises(ValueError, match="fps"):
        Scene((), 1.0, fps=0)
    with pytest.raises(ValueError, match="ascend"):
        Scene((), 1.0, times_s=(0.0, 0.0))


def test_write_video_writes_the_frames_at_their_times(tmp_path: Path) -> None:
    scene = replace(small("walk"), times_s=tuple(np.arange(5) / 12.5))
    scene.write_video(tmp_path / "new" / "walk.mp4")
    written = list(read_frames(tmp_path / "new" / "walk.mp4"))
    np.testing.assert_allclose([frame.time_s for frame in written], np.arange(5) / 12.5, atol=1e-3)
    for frame, rendered in zip(written, scene.frames(), strict=True):
        assert np.abs(np.subtract(frame.image, rendered.image, dtype=float)).mean() < 6
