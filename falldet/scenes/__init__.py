"""Drawn scenes: people who do things in a room before a camera, with the truth about their joints and falls.

The sample clip, the end-to-end runs and the tracking scenes are made here, so nobody's footage is needed. A scene is
made of people (build, clothes, a place, motion segments), a room and a camera; see `samples` for ready ones.

    scene = sample_scene()
    for frame in scene.frames(): ...        # pictures
    people = scene.truth(time_s=3.2)        # true joints and boxes
    scene.falls()                           # ((person, start_s, stop_s), ...)

`python -m falldet.scenes NAME OUT.mp4` writes a scene to a video file.
"""

from falldet.scenes.body import Body
from falldet.scenes.camera import Camera
from falldet.scenes.mannequin import Look
from falldet.scenes.room import Box, Panel, Room
from falldet.scenes.samples import SCENES, sample_scene
from falldet.scenes.scene import Person, Scene

__all__ = ["SCENES", "Body", "Box", "Camera", "Look", "Panel", "Person", "Room", "Scene", "sample_scene"]
