"""Drawn scenes: people who do things in a room before a camera, with the truth about their joints and falls.

The sample clip, the end-to-end runs and the tracking scenes are made here, so nobody's footage is needed. A scene is
made of people (build, clothes, a place, motion segments), a room and a camera; see `samples` for ready ones.

    scene = sample_scene()
    for frame in scene.frames(): ...        # pictures
    people = scene.truth(time_s=3.2)        # true joints and boxes
    scene.falls()                           # ((person, start_s, stop_s), ...)

`python -m falldet.synthetic NAME OUT.mp4` writes a scene to a video file.
"""

from falldet.synthetic.appearance import Appearance
from falldet.synthetic.body import Body
from falldet.synthetic.camera import Camera
from falldet.synthetic.presets import SCENES, sample_scene
from falldet.synthetic.room import Box, Panel, Room
from falldet.synthetic.scene import Person, Scene

__all__ = ["SCENES", "Appearance", "Body", "Box", "Camera", "Panel", "Person", "Room", "Scene", "sample_scene"]
