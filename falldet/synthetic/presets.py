"""Ready scenes by name: the sample clip, falls in all directions, daily activities, several people, no person."""

from __future__ import annotations

from collections.abc import Callable

from falldet.synthetic.appearance import Appearance
from falldet.synthetic.body import Body
from falldet.synthetic.camera import Camera
from falldet.synthetic.motion import (
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
from falldet.synthetic.room import Box, Panel, Room
from falldet.synthetic.scene import Person, Scene

EYE_LEVEL = Camera(position=(0.0, -4.0, 1.6), pitch_deg=11.0)
SHELF = Camera(position=(0.0, -3.7, 2.1), pitch_deg=20.0)
CORNER = Camera(position=(2.6, -3.0, 2.6), yaw_deg=40.0, pitch_deg=28.0, focal_px=440.0)
TILTED = Camera(position=(0.3, -3.8, 1.9), pitch_deg=17.0, roll_deg=9.0)

LIVING_ROOM = Room(
    panels=(
        Panel((-2.9, 0.0), (-2.0, 2.0), (150, 178, 198)),
        Panel((0.5, 1.35), (1.5, 2.0), (156, 164, 128)),
        Panel((0.62, 1.45), (1.38, 1.72), (124, 146, 110)),
    ),
    boxes=(
        Box((-0.9, 1.25, 0.0), (1.1, 2.15, 0.40), (120, 132, 118)),
        Box((-0.9, 1.85, 0.40), (1.1, 2.15, 0.82), (112, 124, 110)),
        Box((-1.1, 1.25, 0.0), (-0.9, 2.15, 0.58), (106, 118, 104)),
        Box((1.1, 1.25, 0.0), (1.3, 2.15, 0.58), (106, 118, 104)),
    ),
)

IN_RED = Appearance(hair=(64, 96, 128), shirt=(52, 48, 168), trousers=(120, 112, 96), shoes=(60, 60, 66))
IN_GREEN = Appearance(skin=(84, 112, 156), hair=(22, 24, 28), shirt=(86, 140, 62), trousers=(52, 58, 84))


def sample_scene() -> Scene:
    """Return the sample clip: a person walks in, picks something up, walks on, falls once and stays lying."""
    segments = (
        Walk((-0.7, -0.15), 2.4),
        stand(0.4),
        pick_up(2.2),
        Walk((-0.05, -0.15), 1.3),
        stand(0.3),
        fall("forward", 0.9),
        lie(4.5, "prone"),
    )
    return Scene((Person(segments, (-2.9, 0.1)),), 12.0, SHELF, LIVING_ROOM)


def fall_scene(direction: str, camera: Camera = SHELF) -> Scene:
    """Return a walk across the image that ends in a fall "forward", "backward", "left" or "right", then lying."""
    pose = {"forward": "prone", "backward": "supine", "left": "left_side", "right": "right_side"}[direction]
    turn = {"forward": 0.0, "backward": 0.0, "left": -65.0, "right": -100.0}[direction]
    goal = {"forward": -0.4, "backward": 0.8, "left": -0.7, "right": 0.6}[direction]
    segments = (Walk((goal, 0.0), 1.6), stand(1.2, turn), fall(direction), lie(2.3, pose))
    return Scene((Person(segments, (goal - 1.3, 0.0)),), 6.0, camera)


def activity_scene() -> Scene:
    """Return activities without a fall: exercise, waving, a squat, sitting down on a sofa and standing up again."""
    segments = (
        stand(0.5),
        exercise(2.0),
        wave(2.0),
        squat(2.0),
        sit_down(),
        sit(2.0),
        stand_up(),
    )
    return Scene((Person(segments, (0.1, 0.95), -80.0),), 12.0, EYE_LEVEL, LIVING_ROOM)


def lie_down_scene() -> Scene:
    """Return a person who lies down deliberately, slowly, and gets up again."""
    segments = (stand(0.5), lie_down(3.5), lie(2.0, "supine"), get_up(3.5, "supine"), stand(0.5))
    return Scene((Person(segments, (0.6, 0.0), 0.0),), 10.0, SHELF)


def crossing_scene() -> Scene:
    """Return two people who walk past each other; the one in front hides the other for a moment."""
    near = Person((Walk((1.3, -0.2), 3.6),), (-1.5, -0.2))
    far = Person((Walk((-1.5, 0.9), 3.6),), (1.5, 0.9), 180.0, Body(1.64), IN_RED)
    return Scene((near, far), 4.0, EYE_LEVEL)


def fall_in_company_scene() -> Scene:
    """Return three people; the middle one falls."""
    left = Person((stand(2.0), wave(2.0), stand(2.0)), (-1.5, 0.5), -70.0, Body(1.66), IN_GREEN)
    falling = Person((stand(1.6), fall("backward"), lie(3.5, "supine")), (0.5, -0.3), 0.0)
    right = Person((Walk((1.45, 0.9), 2.0), stand(4.0, 40.0)), (2.9, 1.1), 180.0, Body(1.82), IN_RED)
    return Scene((left, falling, right), 6.0, SHELF)


def walk_scene() -> Scene:
    """Return a person who walks across the image and back again."""
    return Scene((Person((Walk((1.5, 0.0), 3.0), Walk((-1.5, -0.3), 3.0)), (-1.5, 0.3)),), 6.0, EYE_LEVEL)


def fall_and_recover_scene() -> Scene:
    """Return a fall after which the person gets up again."""
    segments = (stand(1.0), fall("forward"), lie(2.1, "prone"), get_up(3.0, "prone"), Walk((1.5, -0.2), 1.8))
    return Scene((Person(segments, (-0.8, 0.0)),), 9.0, SHELF)


def squat_scene() -> Scene:
    """Return two squats and picking something up from the floor."""
    return Scene((Person((stand(0.4), squat(), squat(1.6), pick_up()), (0.0, 0.0), -40.0),), 6.0, EYE_LEVEL)


SCENES: dict[str, Callable[[], Scene]] = {
    "sample": sample_scene,
    "walk": walk_scene,
    "fall_forward": lambda: fall_scene("forward"),
    "fall_backward": lambda: fall_scene("backward"),
    "fall_sideways": lambda: fall_scene("right"),
    "fall_left": lambda: fall_scene("left"),
    "fall_corner": lambda: fall_scene("backward", CORNER),
    "fall_tilted": lambda: fall_scene("forward", TILTED),
    "fall_and_recover": fall_and_recover_scene,
    "fall_in_company": fall_in_company_scene,
    "squat": squat_scene,
    "activities": activity_scene,
    "lie_down": lie_down_scene,
    "two_people_crossing": crossing_scene,
    "empty_room": lambda: Scene((), 3.0, EYE_LEVEL, LIVING_ROOM),
}
"""Functions that return the scenes, by name; all at 640 x 480 and 25 frames per second."""
