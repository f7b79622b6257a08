"""What people do: walk, stand, bend, squat, sit, lie, get up, fall. Each is a segment with a duration.

A segment starts from the posture in which the one before it ended, so any segments can be strung together. `Keyed` goes
through key poses with the feet in their place, `Walk` moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.interpolate import PchipInterpolator

from falldet.synthetic.body import ANGLE_INDEX, FOOT, SHANK, THIGH, Body, Posture, keypose

Keyposes = tuple[tuple[float, tuple[float, ...]], ...]

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
    """Return the key pose with left and right exchanged."""
    values = dict(zip(ANGLE_INDEX, pose, strict=True))
    swapped = {
        name: values[name.replace("left_", "right_") if name.startswith("left_") else name.replace("right_", "left_")]
        for name in values
    }
    return tuple(-v if name in ("tilt", "roll", "side_bend", "turn") else v for name, v in swapped.items())


LYING = {"prone": PRONE, "supine": SUPINE, "right_side": ON_RIGHT_SIDE, "left_side": mirrored(ON_RIGHT_SIDE)}


class Segment(Protocol):
    """One thing a person does.

    Attributes:
        name: what it is, such as "walk" or "fall".
        duration_s: how long it takes, seconds.
    """

    @property
    def name(self) -> str:
        """What it is, such as "walk" or "fall"."""
        ...

    @property
    def duration_s(self) -> float:
        """How long it takes, seconds."""
        ...

    def play(self, body: Body, start: Posture, time_s: np.ndarray) -> Posture:
        """Return the postures at `time_s` (T,), seconds from the segment's start, beginning in `start` (T = 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Keyed:
    """A way through key poses with the feet in their place.

    Attributes:
        name: what it is.
        duration_s: how long it takes, seconds.
        keyposes: (progress, angles) pairs, progress ascending in (0, 1], the last at 1; the start counts as progress 0.
        turn_deg: how far the person turns to the left meanwhile, degrees.
        impact: progress gathers speed like a fall and stops dead, rather than easing in and out.
    """

    name: str
    duration_s: float
    keyposes: Keyposes
    turn_deg: float = 0.0
    impact: bool = False

    def play(self, body: Body, start: Posture, time_s: np.ndarray) -> Posture:
        """Return the postures at `time_s` (T,), seconds from the segment's start, beginning in `start` (T = 1)."""
        share = np.clip(time_s / self.duration_s, 0.0, 1.0)
        progress = share**1.7 if self.impact else ease(share)
        marks, poses = zip(*self.keyposes, strict=True)
        way = PchipInterpolator((0.0, *marks), np.vstack([start.angles, poses]), axis=0)
        heading = start.heading + np.radians(self.turn_deg) * progress
        loose = Posture(way(progress), np.zeros((len(time_s), 2)), heading)
        return Posture(loose.angles, body.feet(start) - body.feet(loose), heading)


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk in a straight line, turning towards the goal in the first steps and coming to a stand at the end.

    Attributes:
        to: x and y of the goal in metres, world frame.
        duration_s: how long it takes, seconds; a calm walk does about 1.1 metres in a second.
        name: what it is.
    """

    to: tuple[float, float]
    duration_s: float
    name: str = "walk"

    def play(self, body: Body, start: Posture, time_s: np.ndarray) -> Posture:
        """Return the postures at `time_s` (T,), seconds from the segment's start, beginning in `start` (T = 1)."""
        ramp = min(0.5, self.duration_s / 3)
        time_s = np.clip(time_s, 0.0, self.duration_s)
        begun, left = np.minimum(time_s / ramp, 1), np.minimum((self.duration_s - time_s) / ramp, 1)
        share = _distance_share(time_s, self.duration_s, ramp)  # (T,)
        way = np.asarray(self.to) - start.place[0]
        length = float(np.hypot(*way))
        speed = length / (self.duration_s - ramp)
        gait = self._gait(body, share * length, speed)
        entry, leaving = ease(begun)[:, None], ease(left)[:, None]
        angles = start.angles * (1 - entry) + gait * entry
        angles = np.asarray(STANDING) * (1 - leaving) + angles * leaving
        turn = np.arctan2(way[1], way[0]) - start.heading
        turn = (turn + np.pi) % (2 * np.pi) - np.pi
        heading = start.heading + turn * ease(np.clip(time_s / (ramp + 0.2), 0, 1))
        return Posture(angles, start.place + share[:, None] * way, heading)

    @staticmethod
    def _gait(body: Body, distance_m: np.ndarray, speed: float) -> np.ndarray:
        """Return the angles (T, A) of the steps after `distance_m` (T,) metres; the foot on the floor doesn't slide."""
        stride = body.height_m * np.clip(0.33 + 0.30 * speed, 0.35, 0.85)
        stance, contact = 0.6, 0.6 * stride  # the share of a stride that a foot is down, and the way done meanwhile
        angles = np.tile(keypose(lean=3, bend=2, nod=2), (len(distance_m), 1))
        thigh, shank = THIGH * body.height_m, SHANK * body.height_m
        for side, other, shift in (("left", "right", 0.0), ("right", "left", 0.5)):
            phase = (distance_m / stride + shift + 0.3) % 1.0
            swing = np.clip((phase - stance) / (1 - stance), 0, 1)
            planted = np.clip(phase / stance, 0, 1)
            ahead = contact * np.where(phase < stance, 0.5 - planted, ease(swing) - 0.5)
            heel_up = 0.55 * np.where(phase < stance, ease(planted * 3 - 2), 1 - ease(swing * 1.6))
            lift = body.height_m * (0.05 * np.sin(np.pi * swing) ** 2 * min(speed, 1) + FOOT * np.sin(heel_up))
            sink = 0.03 * np.sin(2 * np.pi * (phase - stance / 2)) ** 2  # the hips are highest over the planted foot
            hip, knee = _bend_leg(ahead, (thigh + shank) * (0.985 - sink) - lift, thigh, shank)
            angles[:, ANGLE_INDEX[f"{side}_leg_swing"]] = hip + np.radians(3)
            angles[:, ANGLE_INDEX[f"{side}_knee"]] = knee
            angles[:, ANGLE_INDEX[f"{side}_foot"]] = hip - knee + heel_up
            angles[:, ANGLE_INDEX[f"{other}_arm_swing"]] = np.radians(4 + 52 * ahead / contact * min(speed, 1.2))
            angles[:, ANGLE_INDEX[f"{other}_elbow"]] = np.radians(20 + 24 * ahead / contact)
            angles[:, ANGLE_INDEX[f"{side}_arm_spread"]] = np.radians(7)
        return angles


def stand(duration_s: float, turn_deg: float = 0.0) -> Keyed:
    """Return standing, with a slight sway, turning `turn_deg` to the left meanwhile."""
    sway = tuple(np.add(STANDING, keypose(bend=2, nod=4, turn=8, arm_swing=3, foot=0)))
    return Keyed("stand", duration_s, ((0.5, sway), (1.0, STANDING)), turn_deg)


def wave(duration_s: float) -> Keyed:
    """Return waving with the right arm, about once a second, ending in standing."""
    out = tuple(np.add(STANDING, keypose(right_arm_swing=150, right_arm_spread=32, right_elbow=10, foot=0)))
    back = tuple(np.add(STANDING, keypose(right_arm_swing=150, right_arm_spread=8, right_elbow=40, foot=0)))
    return Keyed("wave", duration_s, _repeat(out, back, duration_s, STANDING))


def exercise(duration_s: float) -> Keyed:
    """Return raising both arms sideways above the head with slight knee bends, about once a second."""
    up = keypose(arm_spread=158, elbow=10, leg_spread=5)
    down = keypose(arm_spread=20, elbow=10, leg_spread=5, leg_swing=24, knee=44, lean=6)
    return Keyed("exercise", duration_s, _repeat(up, down, duration_s, STANDING))


def pick_up(duration_s: float = 2.0) -> Keyed:
    """Return bending down to the floor with bent knees, reaching with the right hand, and straightening up."""
    return Keyed("pick_up", duration_s, ((0.42, BENDING), (0.56, BENDING), (1.0, STANDING)))


def squat(duration_s: float = 2.0) -> Keyed:
    """Return squatting and standing up."""
    return Keyed("squat", duration_s, ((0.45, SQUATTING), (0.55, SQUATTING), (1.0, STANDING)))


def sit_down(duration_s: float = 1.6) -> Keyed:
    """Return sitting down on a seat behind the person, about 0.4 m high, the feet staying where they are."""
    halfway = keypose(lean=30, bend=6, leg_swing=80, leg_spread=5, knee=70, arm_swing=40, arm_spread=8, elbow=20)
    return Keyed("sit_down", duration_s, ((0.55, halfway), (1.0, SITTING)))


def sit(duration_s: float) -> Keyed:
    """Return staying seated, the head looking about a little."""
    look = tuple(np.add(SITTING, keypose(turn=14, nod=-4, foot=0)))
    return Keyed("sit", duration_s, ((0.5, look), (1.0, SITTING)))


def stand_up(duration_s: float = 1.5) -> Keyed:
    """Return standing up from a seat or a squat."""
    halfway = keypose(lean=32, bend=6, leg_swing=80, leg_spread=5, knee=68, arm_swing=34, arm_spread=8, elbow=24)
    return Keyed("stand_up", duration_s, ((0.45, halfway), (1.0, STANDING)))


def lie_down(duration_s: float = 3.5) -> Keyed:
    """Return lying down on the back on purpose: a squat, sitting on the floor, leaning back."""
    keyposes = ((0.38, SQUATTING), (0.60, FLOOR_SITTING), (0.70, FLOOR_SITTING), (1.0, SUPINE))
    return Keyed("lie_down", duration_s, keyposes)


def lie(duration_s: float, pose: str = "prone") -> Keyed:
    """Return lying still, "prone", "supine", "right_side" or "left_side", with a slight stir of head and elbow."""
    still = LYING[pose]
    stir = tuple(np.add(still, keypose(nod=4, turn=6, left_elbow=6, foot=0)))
    return Keyed("lie", duration_s, ((0.4, still), (0.7, stir), (1.0, still)))


def get_up(duration_s: float = 3.0, pose: str = "prone") -> Keyed:
    """Return getting up from lying in `pose`: over hands and knees when prone, else over sitting on the floor."""
    first = ALL_FOURS if pose == "prone" else FLOOR_SITTING
    return Keyed("get_up", duration_s, ((0.40, first), (0.68, SQUATTING), (1.0, STANDING)))


def fall(direction: str = "forward", duration_s: float = 0.9) -> Keyed:
    """Return a fall "forward", "backward", "left" or "right".

    The body tips over the feet with giving knees and a descent that gathers speed, and stops at the impact. It ends
    prone, supine or on that side.
    """
    if direction == "forward":
        trip = keypose(lean=14, bend=14, leg_swing=18, knee=34, arm_swing=45, arm_spread=10, elbow=40)
        reach = keypose(lean=52, bend=8, leg_swing=16, knee=42, foot=30, arm_swing=95, arm_spread=16, elbow=26, nod=-20)
        end = PRONE
    elif direction == "backward":
        trip = keypose(lean=-8, bend=12, leg_swing=26, knee=40, arm_swing=40, arm_spread=20, elbow=30)
        reach = keypose(lean=-42, bend=14, leg_swing=46, knee=62, foot=0, arm_swing=10, arm_spread=44, elbow=20, nod=16)
        end = SUPINE
    elif direction in ("left", "right"):
        trip = keypose(tilt=13, bend=8, leg_swing=16, knee=32, arm_swing=24, arm_spread=30, elbow=26, side_bend=-6)
        arms = {"right_arm_swing": 60, "right_arm_spread": 24, "left_arm_swing": 40, "left_arm_spread": 44, "elbow": 27}
        reach = keypose(tilt=52, roll=-12, bend=8, leg_swing=22, knee=44, foot=12, **arms)
        end = ON_RIGHT_SIDE
        if direction == "left":
            trip, reach, end = mirrored(trip), mirrored(reach), mirrored(end)
    else:
        raise ValueError(f"a fall goes forward, backward, left or right, not {direction!r}")
    return Keyed("fall", duration_s, ((0.25, trip), (0.62, reach), (1.0, end)), impact=True)


def ease(share: np.ndarray) -> np.ndarray:
    """Return the smooth step of `share`, from 0 at 0 to 1 at 1 with no speed at both ends."""
    share = np.clip(share, 0.0, 1.0)
    return share * share * (3 - 2 * share)


def _repeat(first: tuple[float, ...], second: tuple[float, ...], duration_s: float, end: tuple[float, ...]) -> Keyposes:
    """Return key poses that change between `first` and `second` about every half second, closing with `end`."""
    changes = 2 * max(1, round(duration_s)) - 1
    marks = np.arange(1, changes + 1) / (changes + 1)
    return (*((float(mark), second if i % 2 else first) for i, mark in enumerate(marks)), (1.0, end))


def _distance_share(time_s: np.ndarray, duration_s: float, ramp: float) -> np.ndarray:
    """Return the share (T,) of the way done with a speed that rises and falls evenly during `ramp` seconds."""
    start = np.minimum(time_s, ramp)
    end = np.clip(time_s - (duration_s - ramp), 0, None)
    middle = np.clip(time_s, ramp, duration_s - ramp) - ramp
    return (start**2 / (2 * ramp) + middle + end - end**2 / (2 * ramp)) / (duration_s - ramp)


def _bend_leg(ahead: np.ndarray, drop: np.ndarray, thigh: float, shank: float) -> tuple[np.ndarray, np.ndarray]:
    """Return hip and knee angles (T,) that put the ankle `ahead` of and `drop` below the hip, in metres.

    A goal out of reach is met with a straight leg in its direction (law of cosines, two-bone leg).
    """
    reach = np.minimum(np.hypot(ahead, drop), (thigh + shank) * 0.999)
    knee = np.pi - np.arccos((thigh**2 + shank**2 - reach**2) / (2 * thigh * shank))
    hip = np.arctan2(ahead, drop) + np.arccos((thigh**2 + reach**2 - shank**2) / (2 * thigh * reach))
    return hip, knee
