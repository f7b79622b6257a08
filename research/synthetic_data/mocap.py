"""Motion capture in DeepMimic's format: joint rotations in, COCO joints in metres out.

A file is JSON: `Loop` is "wrap" for a motion that goes on from its end at its beginning, else "none"; `Frames` holds
rows of 44 numbers: the row's seconds, the root's x, y, z in metres, then quaternions (w, x, y, z) and hinge angles in
radians, each against its parent: root q, chest q, neck q, right hip q, right knee, right ankle q, right shoulder q,
right elbow, and the left side alike. There x is forward, y up, z to the right; here, as in `falldet.synthetic`, x is
forward, y to the left, z up, the floor at z = 0.

Source of the format and of the skeleton: X. B. Peng et al., "DeepMimic", 2018, as pybullet carries it
(pybullet_envs/deep_mimic/env/humanoid_pose_interpolator.py, pybullet_data/humanoid/humanoid.urdf at a scale of 1 to 4).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from falldet.errors import FalldetError
from falldet.skeleton import JOINT_COUNT, JOINT_INDEX

COLUMNS = 44
CHARACTER_M = 1.62
"""Height of DeepMimic's character from the floor to the top of its head, metres."""

QUATERNIONS = {
    "root": 4,
    "chest": 8,
    "neck": 12,
    "right_hip": 16,
    "right_shoulder": 25,
    "left_hip": 30,
    "left_shoulder": 39,
}
"""Joint -> the column of its quaternion's w."""
HINGES = {"right_knee": 20, "right_elbow": 29, "left_knee": 34, "left_elbow": 43}
"""Joint -> the column of its angle about z, radians."""
BONES = (
    ("chest", "root", (0.0, 0.2362, 0.0)),
    ("neck", "chest", (0.0, 0.2239, 0.0)),
    ("nose", "neck", (0.110, 0.162, 0.0)),
    ("left_eye", "neck", (0.081, 0.193, -0.031)),
    ("right_eye", "neck", (0.081, 0.193, 0.031)),
    ("left_ear", "neck", (0.003, 0.175, -0.081)),
    ("right_ear", "neck", (0.003, 0.175, 0.081)),
    ("left_shoulder", "chest", (-0.0241, 0.2435, -0.1831)),
    ("right_shoulder", "chest", (-0.0241, 0.2435, 0.1831)),
    ("left_elbow", "left_shoulder", (0.0, -0.2748, 0.0)),
    ("right_elbow", "right_shoulder", (0.0, -0.2748, 0.0)),
    ("left_wrist", "left_elbow", (0.0, -0.2589, 0.0)),
    ("right_wrist", "right_elbow", (0.0, -0.2589, 0.0)),
    ("left_hip", "root", (0.0, 0.0, -0.0849)),
    ("right_hip", "root", (0.0, 0.0, 0.0849)),
    ("left_knee", "left_hip", (0.0, -0.4215, 0.0)),
    ("right_knee", "right_hip", (0.0, -0.4215, 0.0)),
    ("left_ankle", "left_knee", (0.0, -0.4099, 0.0)),
    ("right_ankle", "right_knee", (0.0, -0.4099, 0.0)),
)
"""(joint, parent, where it lies in the parent's own frame in metres); the face as `falldet.synthetic.body` has it."""


@dataclass(frozen=True, slots=True)
class Motion:
    """One captured motion of F rows.

    Attributes:
        name: the file's name without `humanoid3d_`.
        cyclic: whether it goes on from its end at its beginning.
        time_s: (F,) float64, ascending from 0.
        place: (F, 3) float64, the root in metres, DeepMimic's frame.
        turns: joint -> its F rotations against its parent.
    """

    name: str
    cyclic: bool
    time_s: np.ndarray
    place: np.ndarray
    turns: dict[str, Rotation]

    @property
    def duration_s(self) -> float:
        """Seconds from the first row to the last."""
        return float(self.time_s[-1])

    def joints(self, time_s: np.ndarray) -> np.ndarray:
        """Return the COCO joints (T, 17, 3) float64, metres, at `time_s` (T,) seconds.

        A cyclic motion's next round begins where the last one ended and in its direction; any other motion keeps its
        first pose before its beginning and its last one after its end.
        """
        rounds = np.floor(time_s / self.duration_s).astype(int) if self.cyclic else np.zeros(len(time_s), int)
        points = self._one_round(np.clip(time_s - rounds * self.duration_s, 0, self.duration_s))
        turned, moved = self._step()
        for number in range(1, rounds.max(initial=0) + 1):
            later = rounds >= number
            points[later] = points[later] @ turned.T + moved
        return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=2)

    def _one_round(self, time_s: np.ndarray) -> np.ndarray:
        """Return the joints (T, 17, 3) at `time_s` (T,) within the first round, DeepMimic's frame."""
        local = {joint: Slerp(self.time_s, turn)(time_s) for joint, turn in self.turns.items()}
        frames = {"root": local["root"]}
        places = {"root": np.stack([np.interp(time_s, self.time_s, axis) for axis in self.place.T], axis=1)}
        for joint, parent, offset in BONES:
            places[joint] = places[parent] + frames[parent].apply(offset)
            frames[joint] = frames[parent] * local[joint] if joint in local else frames[parent]
        points = np.zeros((len(time_s), JOINT_COUNT, 3))
        for joint, index in JOINT_INDEX.items():
            points[:, index] = places[joint]
        return points

    def _step(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the turn about the vertical (3, 3) and the shift (3,) that lead from one round to the next."""
        _, y, _, w = (self.turns["root"][-1] * self.turns["root"][0].inv()).as_quat()
        turned = Rotation.from_rotvec([0.0, 2 * np.arctan2(y, w), 0.0]).as_matrix()
        moved = self.place[-1] - turned @ self.place[0]
        moved[1] = 0.0
        return turned, moved


def read_motion(path: Path) -> Motion:
    """Return the motion in a file.

    Raises:
        FalldetError: the file can't be read or isn't in DeepMimic's format.
    """
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        rows = np.array(contents["Frames"], dtype=float)
    except OSError as error:
        raise FalldetError(f"can't read {path}: {error.strerror}; give a readable motion file") from None
    except (ValueError, TypeError, KeyError):
        raise FalldetError(f"{path} is no motion file: it must be JSON with rows of numbers in 'Frames'") from None
    if rows.ndim != 2 or rows.shape[1] != COLUMNS or len(rows) < 2:
        raise FalldetError(f"{path}: 'Frames' is {rows.shape}; a humanoid's has 2 or more rows of {COLUMNS} numbers")
    lengths = [np.linalg.norm(rows[:, column : column + 4], axis=1).min() for column in QUATERNIONS.values()]
    if not np.isfinite(rows).all() or min(lengths) < 1e-6 or rows[:-1, 0].min() <= 0:
        raise FalldetError(f"{path}: 'Frames' needs finite numbers, durations above 0 and no quaternion of zeros")
    order = np.array([1, 2, 3, 0])
    turns = {joint: Rotation.from_quat(rows[:, column + order]) for joint, column in QUATERNIONS.items()}
    turns |= {joint: Rotation.from_rotvec(rows[:, [column]] * [[0, 0, 1]]) for joint, column in HINGES.items()}
    times = np.concatenate([[0.0], np.cumsum(rows[:-1, 0])])
    return Motion(path.stem.removeprefix("humanoid3d_"), contents.get("Loop") == "wrap", times, rows[:, 1:4], turns)
