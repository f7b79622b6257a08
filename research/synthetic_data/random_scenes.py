"""Random scenes: people, motion and cameras sampled for keypoints to train on.

The ranges cover homes, shops and streets: cameras from eye level to straight above, people of all sizes, fast and slow
falls from standing, walking and sitting, and other motions that lower a body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from falldet.synthetic.body import Body, keypose
from falldet.synthetic.camera import Camera
from falldet.synthetic.keyposes import (
    ALL_FOURS,
    FLOOR_SITTING,
    LYING,
    SITTING,
    SQUATTING,
    STANDING,
    SUPINE,
)
from falldet.synthetic.motion import (
    Keyed,
    Segment,
    Walk,
    exercise,
    fall,
    get_up,
    lie,
    lie_down,
    pick_up,
    sit,
    sit_down,
    squat,
    stand,
    stand_up,
    wave,
)
from falldet.synthetic.scene import Person, Scene

CLIP_S = 7.0
"""Shortest scene without a fall, seconds."""

LYING_AFTER = {"forward": "prone", "backward": "supine", "left": "left_side", "right": "right_side"}
LOOSENESS_DEG = 7.0
"""Standard deviation of the joint angles of key poses, degrees. Higher: more different motions."""

_ELEVATIONS_DEG = ((0.3, -3.0, 15.0), (0.4, 15.0, 40.0), (0.2, 40.0, 70.0), (0.1, 70.0, 88.0))
"""Elevations of the cameras: (share of the cameras, from, to) in degrees."""


def random_scene(rng: np.random.Generator, falls: bool) -> Scene:
    """Return a scene of one person, with one fall or none."""
    segments, start_pose = _with_fall(rng) if falls else _without_fall(rng)
    position = (float(rng.normal(0, 0.4)), float(rng.normal(0, 0.4)))
    body = Body(float(rng.uniform(1.45, 1.95)))
    person = Person(tuple(segments), position, float(rng.uniform(0, 360)), body, start_pose=start_pose)
    duration_s = sum(segment.duration_s for segment in segments)
    return Scene((person,), duration_s, random_camera(rng), fps=float(rng.choice([12.5, 15, 20, 25, 30])))


def random_camera(rng: np.random.Generator) -> Camera:
    """Return a camera at a random position, aimed at a person in the middle of the room."""
    shares, lows, highs = zip(*_ELEVATIONS_DEG, strict=True)
    band = rng.choice(len(shares), p=shares)
    elevation = np.radians(rng.uniform(lows[band], highs[band]))
    distance = rng.uniform(2.5, 8.0)
    width, height = [(640, 480), (640, 360), (360, 640)][rng.choice(3, p=(0.45, 0.35, 0.2))]
    return Camera(
        position=(0.0, -distance * np.cos(elevation), max(0.3, 0.8 + distance * np.sin(elevation))),
        yaw_deg=float(rng.normal(0, 4)),
        pitch_deg=float(np.degrees(elevation) + rng.normal(0, 3)),
        roll_deg=float(rng.normal(0, 5)),
        focal_px=float(rng.uniform(0.8, 1.3) * max(width, height)),
        width=width,
        height=height,
    )


def _with_fall(rng: np.random.Generator) -> tuple[list[Segment], tuple[float, ...]]:
    """Return segments with one fall, and the start pose."""
    direction = str(rng.choice(list(LYING_AFTER)))
    if rng.random() < 0.25:
        before: list[Segment] = [sit(rng.uniform(0.3, 2.5))]
        start, down = SITTING, _slide(rng, direction)
    else:
        before, start = _upright(rng, rng.uniform(0.3, 3.5)), STANDING
        down = (
            _collapse(rng, direction) if rng.random() < 0.25 else _vary(fall(direction, _seconds(rng, 0.55, 1.5)), rng)
        )
    pose = LYING_AFTER[direction]
    after: list[Segment] = [_vary(lie(rng.uniform(0.4, 4.0), pose), rng)]
    if rng.random() < 0.3:
        after.append(_vary(get_up(rng.uniform(2.0, 4.5), pose), rng))
    return [*before, down, *after], start


def _slide(rng: np.random.Generator, direction: str) -> Keyed:
    """Return a fall off a seat."""
    end = LYING[LYING_AFTER[direction]]
    tipping = tuple(np.add(SITTING, np.subtract(end, SITTING) * rng.uniform(0.2, 0.4)))
    return _vary(Keyed("fall", _seconds(rng, 0.5, 1.4), ((0.4, tipping), (1.0, end)), impact=True), rng)


def _collapse(rng: np.random.Generator, direction: str) -> Keyed:
    """Return a slow fall: first on the knees, then to the floor."""
    end, kneeling = (
        LYING[LYING_AFTER[direction]],
        keypose(lean=12, bend=14, leg_swing=60, knee=115, arm_swing=25, elbow=25),
    )
    low = kneeling if rng.random() < 0.6 else SQUATTING
    return _vary(Keyed("fall", _seconds(rng, 0.9, 2.2), ((rng.uniform(0.35, 0.6), low), (1.0, end)), impact=True), rng)


def _without_fall(rng: np.random.Generator) -> tuple[list[Segment], tuple[float, ...]]:
    """Return segments without a fall that last `CLIP_S` or longer, and the start pose."""
    activities: list[Callable[[np.random.Generator], list[Segment]]] = [
        _bending, _seat, _lying, _floor, lambda rng: _upright(rng, 2.5),
    ]  # fmt: skip
    segments: list[Segment] = []
    start = STANDING
    if rng.random() < 0.25:
        pose = str(rng.choice(list(LYING)))
        start = LYING[pose]
        segments += [_vary(lie(rng.uniform(0.5, 4.0), pose), rng), _vary(get_up(rng.uniform(1.5, 4.5), pose), rng)]
    while sum(segment.duration_s for segment in segments) < CLIP_S:
        activity = activities[rng.choice(len(activities), p=(0.22, 0.22, 0.22, 0.12, 0.22))]
        segments += activity(rng)
    return segments, start


def _upright(rng: np.random.Generator, seconds: float) -> list[Segment]:
    """Return walking, standing, waving and exercise for about `seconds`."""
    segments: list[Segment] = []
    while sum(segment.duration_s for segment in segments) < seconds:
        choice = rng.random()
        if choice < 0.55:
            goal = rng.normal(0, 1.1, 2)
            segments.append(Walk((float(goal[0]), float(goal[1])), rng.uniform(1.0, 3.0)))
        elif choice < 0.8:
            segments.append(_vary(stand(rng.uniform(0.3, 1.5), float(rng.normal(0, 60))), rng))
        else:
            segments.append(_vary((wave if choice < 0.88 else exercise)(rng.uniform(1.0, 2.5)), rng))
    return segments


def _bending(rng: np.random.Generator) -> list[Segment]:
    """Return bending down or squatting, fast or slow."""
    make = pick_up if rng.random() < 0.6 else squat
    return [_vary(make(_seconds(rng, 1.0, 3.5)), rng), *_upright(rng, rng.uniform(0.2, 1.5))]


def _seat(rng: np.random.Generator) -> list[Segment]:
    """Return sitting down, fast or slow, and standing up again."""
    return [
        _vary(sit_down(_seconds(rng, 0.6, 2.2)), rng),
        _vary(sit(rng.uniform(0.5, 3.0)), rng),
        _vary(stand_up(_seconds(rng, 0.8, 2.5)), rng),
    ]


def _lying(rng: np.random.Generator) -> list[Segment]:
    """Return lying down deliberately, from a seat or from the floor, and getting up again."""
    if rng.random() < 0.5:
        over_seat = Keyed("lie_down", _seconds(rng, 1.0, 3.0), ((0.5, FLOOR_SITTING), (1.0, SUPINE)))
        down = [sit_down(_seconds(rng, 0.9, 2.0)), sit(rng.uniform(0.3, 1.5)), over_seat]
    else:
        down = [lie_down(_seconds(rng, 2.2, 5.0))]
    lying = lie(rng.uniform(0.5, 3.0), "supine")
    return [_vary(each, rng) for each in (*down, lying, get_up(_seconds(rng, 1.5, 4.0), "supine"))]


def _floor(rng: np.random.Generator) -> list[Segment]:
    """Return a descent to hands and knees or to sitting on the floor, and getting up."""
    low = ALL_FOURS if rng.random() < 0.6 else FLOOR_SITTING
    seconds = _seconds(rng, 2.5, 6.0)
    way = ((0.25, SQUATTING), (0.4, low), (0.65, low), (0.8, SQUATTING), (1.0, STANDING))
    return [_vary(Keyed("floor", seconds, way), rng)]


def _vary(segment: Keyed, rng: np.random.Generator) -> Keyed:
    """Return `segment` with noise on every key pose."""
    slack = np.radians(LOOSENESS_DEG)
    keyposes = tuple((mark, tuple(np.add(pose, rng.normal(0, slack, len(pose))))) for mark, pose in segment.keyposes)
    return replace(segment, keyposes=keyposes)


def _seconds(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a duration between `low` and `high` seconds, uniform on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
