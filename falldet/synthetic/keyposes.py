"""Key poses of a body: standing, squatting, sitting, bending, on the floor and lying."""

from __future__ import annotations

from falldet.synthetic.body import ANGLE_INDEX, keypose

STANDING = keypose(arm_swing=3, arm_spread=7, elbow=12, leg_spread=3)
SQUATTING = keypose(lean=25, bend=10, leg_swing=118, leg_spread=14, knee=120, arm_swing=95, arm_spread=6, elbow=10)
SITTING = keypose(lean=-4, bend=4, leg_swing=84, leg_spread=7, knee=86, arm_swing=32, arm_spread=6, elbow=50, nod=5)
BENDING = keypose(
    lean=38, bend=42, leg_swing=62, leg_spread=5, knee=52, right_arm_swing=84, right_arm_spread=2, right_elbow=4,
    left_arm_swing=58, left_arm_spread=6, left_elbow=50, nod=-10,
)  # fmt: skip
FLOOR_SITTING = keypose(lean=-18, bend=14, leg_swing=97, leg_spread=8, knee=52, arm_swing=-30, arm_spread=14, elbow=8)
ALL_FOURS = keypose(lean=78, leg_swing=85, leg_spread=6, knee=88, foot=70, arm_swing=88, arm_spread=6, elbow=4, nod=-30)
PRONE = keypose(
    lean=90, left_arm_swing=8, left_arm_spread=104, left_arm_twist=88, left_elbow=70, right_arm_swing=8,
    right_arm_spread=84, right_arm_twist=88, right_elbow=84, left_leg_spread=9, right_leg_spread=13, left_knee=5,
    right_knee=10, foot=74, nod=-30, turn=-30,
)  # fmt: skip
SUPINE = keypose(
    lean=-90, left_arm_swing=-3, left_arm_spread=48, left_elbow=22, right_arm_swing=-3, right_arm_spread=34,
    right_elbow=12, left_leg_swing=3, right_leg_swing=22, right_knee=44, leg_spread=8, foot=28, nod=6, turn=14,
)  # fmt: skip
ON_RIGHT_SIDE = keypose(
    tilt=88, roll=-22, bend=8, right_arm_swing=88, right_arm_spread=-14, right_elbow=34, left_arm_swing=52,
    left_arm_spread=-14, left_elbow=46, left_leg_swing=40, left_knee=58, right_leg_swing=14, right_knee=26, foot=30,
    nod=4,
)  # fmt: skip


def mirrored(pose: tuple[float, ...]) -> tuple[float, ...]:
    """Return the mirror image of a key pose: left and right exchanged."""
    values = dict(zip(ANGLE_INDEX, pose, strict=True))
    swapped = {
        name: values[name.replace("left_", "right_") if name.startswith("left_") else name.replace("right_", "left_")]
        for name in values
    }
    return tuple(-v if name in ("tilt", "roll", "side_bend", "turn") else v for name, v in swapped.items())


LYING = {"prone": PRONE, "supine": SUPINE, "right_side": ON_RIGHT_SIDE, "left_side": mirrored(ON_RIGHT_SIDE)}
