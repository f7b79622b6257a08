"""Forward kinematics of a body: joint angles in, points in metres out.

The world frame is a room: x to the right, y away from the usual camera, z up, the floor at z = 0, metres. The frame of
a person is x forward, y to the left, z up. Bones are rigid, because every point results from rotating bones of fixed
length. The lowest point of the body rests on the floor.

Source of the bone lengths, as fractions of body height: Drillis and Contini (1966), as given in Winter, "Biomechanics
and Motor Control of Human Movement".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from falldet.skeleton import JOINT_NAMES

_LIMB_ANGLES = ("arm_swing", "arm_spread", "arm_twist", "elbow", "leg_swing", "leg_spread", "knee", "foot")
ANGLE_NAMES = (
    "lean",
    "tilt",
    "roll",
    "bend",
    "side_bend",
    "nod",
    "turn",
    *(f"left_{name}" for name in _LIMB_ANGLES),
    *(f"right_{name}" for name in _LIMB_ANGLES),
)
"""The joint angles, all 0 when standing straight with the arms hanging.

lean, tilt, roll rotate the whole body: forward, to its right, about its long axis to the left. bend and side_bend
rotate the chest against the hips; nod and turn rotate the head against the chest, down and to the left. swing is
forward, spread outward, twist about the upper arm; elbow and knee are their flexion, foot is the pointing of the toes.
"""
ANGLE_INDEX = {name: index for index, name in enumerate(ANGLE_NAMES)}

POINT_NAMES = (
    *JOINT_NAMES,
    "pelvis",
    "waist",
    "neck",
    "head",
    "left_hand",
    "right_hand",
    "left_heel",
    "right_heel",
    "left_toe",
    "right_toe",
)
"""The points of a body: the COCO joints in their order, then further points for rendering."""
POINT_INDEX = {name: index for index, name in enumerate(POINT_NAMES)}

_Angles = dict[str, np.ndarray]  # name -> (T,) radians

THIGH, SHANK, FOOT = 0.245, 0.246, 0.092
_OFFSETS = {
    "waist": (0.0, 0.0, 0.105),
    "neck": (0.0, 0.0, 0.185),
    "head": (0.012, 0.0, 0.108),
    "nose": (0.068, 0.0, -0.008),
    "eye": (0.050, 0.019, 0.011),
    "ear": (0.002, 0.050, 0.0),
    "shoulder": (0.0, 0.106, -0.012),
    "elbow": (0.0, 0.0, -0.172),
    "wrist": (0.0, 0.0, -0.146),
    "hand": (0.0, 0.0, -0.062),
    "hip": (0.0, 0.058, 0.0),
    "knee": (0.0, 0.0, -THIGH),
    "ankle": (0.0, 0.0, -SHANK),
    "heel": (-0.022, 0.0, -0.026),
    "toe": (FOOT, 0.0, -0.028),
}
"""Offset of a point from its parent in the kinematic chain, in fractions of body height."""
_FLESH = {
    "nose": 0.005,
    "pelvis": 0.065,
    "waist": 0.06,
    "neck": 0.035,
    "head": 0.058,
    "shoulder": 0.040,
    "elbow": 0.024,
    "wrist": 0.018,
    "hand": 0.016,
    "hip": 0.052,
    "knee": 0.036,
    "ankle": 0.026,
    "heel": 0.018,
    "toe": 0.016,
}
"""Smallest distance of a point from the floor, in fractions of body height."""
_CLEARANCE = np.array([_FLESH.get(name.split("_")[-1], 0.0) for name in POINT_NAMES])


@dataclass(frozen=True, slots=True)
class Posture:
    """The postures of one person at T times.

    Attributes:
        angles: (T, A) float64, radians, in the order of `ANGLE_NAMES`.
        position: (T, 2) float64, x and y of the pelvis in metres, world frame.
        heading: (T,) float64, direction of the person's front: radians from world x towards world y.
    """

    angles: np.ndarray
    position: np.ndarray
    heading: np.ndarray

    def __getitem__(self, rows: slice | np.ndarray) -> Posture:
        """Return the postures at some of the times."""
        return Posture(self.angles[rows], self.position[rows], self.heading[rows])


def keypose(**degrees: float) -> tuple[float, ...]:
    """Return the angles of `ANGLE_NAMES` in radians, from degrees by name; missing ones are 0.

    A limb's angle without `left_` or `right_` is for both sides. A foot without an angle is flat on the floor.

    Raises:
        ValueError: a name is unknown.
    """
    values = dict.fromkeys(ANGLE_NAMES, 0.0)
    both = {f"{side}_{name}": degrees[name] for name in _LIMB_ANGLES if name in degrees for side in ("left", "right")}
    given = both | {name: value for name, value in degrees.items() if name not in _LIMB_ANGLES}
    unknown = sorted(set(given) - set(values))
    if unknown:
        raise ValueError(f"unknown joint angles {unknown}; known: {', '.join(ANGLE_NAMES)}")
    values |= given
    for side in ("left", "right"):
        if f"{side}_foot" not in given:
            values[f"{side}_foot"] = values[f"{side}_leg_swing"] - values[f"{side}_knee"] - values["lean"]
    return tuple(np.radians(list(values.values())).tolist())


def rotation_about(axis: str, angle: np.ndarray) -> np.ndarray:
    """Return the matrices (T, 3, 3) of the rotations by `angle` (T,) radians about the axis "x", "y" or "z"."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrices = np.zeros((len(angle), 3, 3))
    matrices[:] = np.eye(3)
    matrices[:, first, first] = matrices[:, second, second] = np.cos(angle)
    matrices[:, second, first] = np.sin(angle)
    matrices[:, first, second] = -np.sin(angle)
    return matrices


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a person.

    Attributes:
        height_m: body height in metres; every bone is a fraction of it.
    """

    height_m: float = 1.74

    def points(self, posture: Posture) -> np.ndarray:
        """Return the points (T, P, 3), metres, world frame, in the order of `POINT_NAMES`."""
        points = self._chains(posture)
        points[..., 2] -= (points[..., 2] - _CLEARANCE * self.height_m).min(axis=1, keepdims=True)
        points[..., :2] += posture.position[:, None]
        return points

    def feet(self, posture: Posture) -> np.ndarray:
        """Return the midpoint of the ankles (T, 2), metres, world frame."""
        points = self._chains(posture)
        ankles = [POINT_INDEX["left_ankle"], POINT_INDEX["right_ankle"]]
        return posture.position + points[:, ankles, :2].mean(axis=1)

    def _chains(self, posture: Posture) -> np.ndarray:
        """Return the points (T, P, 3) with the pelvis at the origin."""
        angles = dict(zip(ANGLE_NAMES, posture.angles.T, strict=True))
        points = np.zeros((len(posture.angles), len(POINT_NAMES), 3))
        hips = rotation_about("z", posture.heading) @ rotation_about("y", angles["lean"])
        hips = hips @ rotation_about("x", angles["tilt"]) @ rotation_about("z", angles["roll"])
        chest = hips @ rotation_about("y", angles["bend"]) @ rotation_about("x", angles["side_bend"])
        head = chest @ rotation_about("z", angles["turn"]) @ rotation_about("y", angles["nod"])
        self._join(points, "pelvis", "waist", hips)
        self._join(points, "waist", "neck", chest)
        self._join(points, "neck", "head", head)
        self._join(points, "head", "nose", head)
        for side, sign in (("left", 1.0), ("right", -1.0)):
            for name in ("eye", "ear"):
                self._join(points, "head", f"{side}_{name}", head)
            self._arm(points, angles, side, sign, chest)
            self._leg(points, angles, side, sign, hips)
        return points

    def _arm(self, points: np.ndarray, angles: _Angles, side: str, sign: float, chest: np.ndarray) -> None:
        """Set the points of the arm on `side`, attached to the `chest` (T, 3, 3); `sign` is 1 left and -1 right."""
        upper = chest @ rotation_about("y", -angles[f"{side}_arm_swing"])
        upper = upper @ rotation_about("x", sign * angles[f"{side}_arm_spread"])
        upper = upper @ rotation_about("z", sign * angles[f"{side}_arm_twist"])
        fore = upper @ rotation_about("y", -angles[f"{side}_elbow"])
        self._join(points, "neck", f"{side}_shoulder", chest)
        self._join(points, f"{side}_shoulder", f"{side}_elbow", upper)
        self._join(points, f"{side}_elbow", f"{side}_wrist", fore)
        self._join(points, f"{side}_wrist", f"{side}_hand", fore)

    def _leg(self, points: np.ndarray, angles: _Angles, side: str, sign: float, hips: np.ndarray) -> None:
        """Set the points of the leg on `side`, attached to the `hips` (T, 3, 3); `sign` is 1 left and -1 right."""
        thigh = hips @ rotation_about("y", -angles[f"{side}_leg_swing"])
        thigh = thigh @ rotation_about("x", sign * angles[f"{side}_leg_spread"])
        shank = thigh @ rotation_about("y", angles[f"{side}_knee"])
        foot = (
            shank
            @ rotation_about("x", -sign * angles[f"{side}_leg_spread"])
            @ rotation_about("y", angles[f"{side}_foot"])
        )
        self._join(points, "pelvis", f"{side}_hip", hips)
        self._join(points, f"{side}_hip", f"{side}_knee", thigh)
        self._join(points, f"{side}_knee", f"{side}_ankle", shank)
        self._join(points, f"{side}_ankle", f"{side}_heel", foot)
        self._join(points, f"{side}_ankle", f"{side}_toe", foot)

    def _join(self, points: np.ndarray, parent: str, child: str, frame: np.ndarray) -> None:
        """Set the point `child` of `points` at the end of its bone from `parent`, in the `frame` (T, 3, 3)."""
        bone = np.array(_OFFSETS[child.split("_")[-1]]) * self.height_m
        if child.startswith("right_"):
            bone[1] = -bone[1]
        points[:, POINT_INDEX[child]] = points[:, POINT_INDEX[parent]] + frame @ bone
