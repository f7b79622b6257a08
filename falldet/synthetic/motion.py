"""Motion segments: walk, stand, bend, squat, sit, lie, get up, fall; each with a duration.

A segment starts in the last posture of the one before it, so that segments can be combined in any order. `Keyed`
interpolates key poses with the feet fixed, `Walk` moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.interpolate import PchipInterpolator

from falldet.synthetic.body import ANGLE_INDEX, FOOT, SHANK, THIGH, Body, Posture, keypose
from falldet.synthetic.keyposes import (
    ALL_FOURS,
    BENDING,
    FLOOR_SITTING,
    LYING,
    ON_RIGHT_SIDE,
    PRONE,
    SITTING,
    SQUATTING,
    STANDING,
    SUPINE,
    mirrored,
)

Keyposes = tuple[tuple[float, tuple[float, ...]], ...]
"""(progress, angles) pairs, progress ascending in (0, 1], the last at 1; the start of a segment has progress 0."""


class Segment(Protocol):
    """One motion of a person."""

    @property
    def name(self) -> str:
        """Kind of motion, such as "walk" or "fall"."""
        ...

    @property
    def duration_s(self) -> float:
        """Duration, seconds."""
        ...

    def play(self, body: Body, start: Posture, time_s: np.ndarray) -> Posture:
        """Return the postures at `time_s` (T,), seconds from the segment's start, beginning in `start` (T = 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Keyed:
    """An interpolation of key poses with the feet fixed.

    Attributes:
        name: kind of motion.
        duration_s: duration, seconds.
        keyposes: poses to pass through, by progress.
        turn_deg: rotation of the person to the left during the segment, degrees.
        impact: True accelerates like a fall and stops abruptly; False eases in and out.
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
        curve = PchipInterpolator((0.0, *marks), np.vstack([start.angles, poses]), axis=0)
        heading = start.heading + np.radians(self.turn_deg) * progress
        at_origin = Posture(curve(progress), np.zeros((len(time_s), 2)), heading)
        return Posture(at_origin.angles, body.feet(start) - body.feet(at_origin), heading)


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk in a straight line, with a turn towards the goal in the first steps and a stop at the end.

    Attributes:
        to: x and y of the goal in metres, world frame.
        duration_s: duration, seconds; a calm walk covers about 1.1 metres per second.
        name: kind of motion.
    """

    to: tuple[float, float]
    duration_s: float
    name: str = "walk"

    def play(self, body: Body, start: Posture, time_s: np.ndarray) -> Posture:
        """Return the postures at `time_s` (T,), seconds from the segment's start, beginning in `start` (T = 1)."""
        ramp = min(0.5, self.duration_s / 3)
        time_s = np.clip(time_s, 0.0, self.duration_s)
        begin, end = np.minimum(time_s / ramp, 1), np.minimum((self.duration_s - time_s) / ramp, 1)
        share = _distance_share(time_s, self.duration_s, ramp)  # (T,)
        path = np.asarray(self.to) - start.position[0]
        length = float(np.hypot(*path))
        speed = length / (self.duration_s - ramp)
        gait = self._gait(body, share * length, speed)
        blend_in, blend_out = ease(begin)[:, None], ease(end)[:, None]
        angles = start.angles * (1 - blend_in) + gait * blend_in
        angles = np.asarray(STANDING) * (1 - blend_out) + angles * blend_out
        turn = np.arctan2(path[1], path[0]) - start.heading
        turn = (turn + np.pi) % (2 * np.pi) - np.pi
        heading = start.heading + turn * ease(np.clip(time_s / (ramp + 0.2), 0, 1))
        return Posture(angles, start.position + share[:, None] * path, heading)

    @staticmethod
    def _gait(body: Body, distance_m: np.ndarray, speed: float) -> np.ndarray:
        """Return the angles (T, A) of the gait after `distance_m` (T,) metres, with the planted foot at rest."""
        stride = body.height_m * np.clip(0.33 + 0.30 * speed, 0.35, 0.85)
        stance, contact = 0.6, 0.6 * stride  # share of a stride with the foot planted, and its distance
        angles = np.tile(keypose(lean=3, bend=2, nod=2), (len(distance_m), 1))
        thigh, shank = THIGH * body.height_m, SHANK * body.height_m
        for side, other, shift in (("left", "right", 0.0), ("right", "left", 0.5)):
            phase = (distance_m / stride + shift + 0.3) % 1.0
            swing = np.clip((phase - stance) / (1 - stance), 0, 1)
            planted = np.clip(phase / stance, 0, 1)
            forward = contact * np.where(phase < stance, 0.5 - planted, ease(swing) - 0.5)
            heel_up = 0.55 * np.where(phase < stance, ease(planted * 3 - 2), 1 - ease(swing * 1.6))
            lift = body.height_m * (0.05 * np.sin(np.pi * swing) ** 2 * min(speed, 1) + FOOT * np.sin(heel_up))
            sink = 0.03 * np.sin(2 * np.pi * (phase - stance / 2)) ** 2  # the hips are highest above the planted foot
            hip, knee = _bend_leg(forward, (thigh + shank) * (0.985 - sink) - lift, thigh, shank)
            angles[:, ANGLE_INDEX[f"{side}_leg_swing"]] = hip + np.radians(3)
            angles[:, ANGLE_INDEX[f"{side}_knee"]] = knee
            angles[:, ANGLE_INDEX[f"{side}_foot"]] = hip - knee + heel_up
            angles[:, ANGLE_INDEX[f"{other}_arm_swing"]] = np.radians(4 + 52 * forward / contact * min(speed, 1.2))
            angles[:, ANGLE_INDEX[f"{other}_elbow"]] = np.radians(20 + 24 * forward / contact)
            angles[:, ANGLE_INDEX[f"{side}_arm_spread"]] = np.radians(7)
        return angles


def stand(duration_s: float, turn_deg: float = 0.0) -> Keyed:
    """Return standing with a slight sway and a turn of `turn_deg` degrees to the left."""
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
    """Return sitting down on a seat behind the person, about 0.4 m high, with the feet fixed."""
    halfway = keypose(lean=30, bend=6, leg_swing=80, leg_spread=5, knee=70, arm_swing=40, arm_spread=8, elbow=20)
    return Keyed("sit_down", duration_s, ((0.55, halfway), (1.0, SITTING)))


def sit(duration_s: float) -> Keyed:
    """Return sitting, with a slight turn of the head and back."""
    turned = tuple(np.add(SITTING, keypose(turn=14, nod=-4, foot=0)))
    return Keyed("sit", duration_s, ((0.5, turned), (1.0, SITTING)))


def stand_up(duration_s: float = 1.5) -> Keyed:
    """Return standing up from a seat or a squat."""
    halfway = keypose(lean=32, bend=6, leg_swing=80, leg_spread=5, knee=68, arm_swing=34, arm_spread=8, elbow=24)
    return Keyed("stand_up", duration_s, ((0.45, halfway), (1.0, STANDING)))


def lie_down(duration_s: float = 3.5) -> Keyed:
    """Return lying down on the back deliberately: a squat, sitting on the floor, leaning back."""
    keyposes = ((0.38, SQUATTING), (0.60, FLOOR_SITTING), (0.70, FLOOR_SITTING), (1.0, SUPINE))
    return Keyed("lie_down", duration_s, keyposes)


def lie(duration_s: float, pose: str = "prone") -> Keyed:
    """Return lying, "prone", "supine", "right_side" or "left_side", with a slight motion of head and elbow."""
    still = LYING[pose]
    moved = tuple(np.add(still, keypose(nod=4, turn=6, left_elbow=6, foot=0)))
    return Keyed("lie", duration_s, ((0.4, still), (0.7, moved), (1.0, still)))


def get_up(duration_s: float = 3.0, pose: str = "prone") -> Keyed:
    """Return getting up from lying in `pose`: by hands and knees if prone, else by sitting on the floor."""
    first = ALL_FOURS if pose == "prone" else FLOOR_SITTING
    return Keyed("get_up", duration_s, ((0.40, first), (0.68, SQUATTING), (1.0, STANDING)))


def fall(direction: str = "forward", duration_s: float = 0.9) -> Keyed:
    """Return a fall "forward", "backward", "left" or "right".

    The body tips over the feet with bending knees, accelerates, and stops at the impact. It ends prone, supine or on
    that side.

    Raises:
        ValueError: the direction is unknown.
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
    """Return key poses that alternate between `first` and `second` about every half second, and end in `end`."""
    changes = 2 * max(1, round(duration_s)) - 1
    marks = np.arange(1, changes + 1) / (changes + 1)
    return (*((float(mark), second if i % 2 else first) for i, mark in enumerate(marks)), (1.0, end))


def _distance_share(time_s: np.ndarray, duration_s: float, ramp: float) -> np.ndarray:
    """Return the share (T,) of the path covered, with a speed that ramps up and down within `ramp` seconds."""
    start = np.minimum(time_s, ramp)
    end = np.clip(time_s - (duration_s - ramp), 0, None)
    middle = np.clip(time_s, ramp, duration_s - ramp) - ramp
    return (start**2 / (2 * ramp) + middle + end - end**2 / (2 * ramp)) / (duration_s - ramp)


def _bend_leg(forward: np.ndarray, drop: np.ndarray, thigh: float, shank: float) -> tuple[np.ndarray, np.ndarray]:
    """Return hip and knee angles (T,) that put the ankle `forward` of and `drop` below the hip, in metres.

    A target out of reach gives a straight leg in its direction (law of cosines, two-bone leg).
    """
    reach = np.minimum(np.hypot(forward, drop), (thigh + shank) * 0.999)
    knee = np.pi - np.arccos((thigh**2 + shank**2 - reach**2) / (2 * thigh * shank))
    hip = np.arctan2(forward, drop) + np.arccos((thigh**2 + reach**2 - shank**2) / (2 * thigh * reach))
    return hip, knee
