"""Synthetic scenes: people who move in a room in front of a camera, rendered, with their true joints and falls.

The sample clip and the end-to-end tests are rendered here, so that no footage of real people is needed. A scene is made
of people (body, appearance, position, motion segments), a room and a camera; `SCENES` has ready ones.

Example:
    >>> scene = sample_scene()
    >>> for frame in scene.frames():            # rendered images
    ...     people = scene.truth(frame.time_s)  # true joints and boxes
    >>> scene.falls()                           # ((person, start_s, stop_s), ...)
    >>> scene.write_video("sample.mp4")
"""

from falldet.synthetic.appearance import Appearance
from falldet.synthetic.body import Body
from falldet.synthetic.camera import Camera
from falldet.synthetic.presets import SCENES, sample_scene
from falldet.synthetic.room import Box, Panel, Room
from falldet.synthetic.scene import Person, Scene

__all__ = ["SCENES", "Appearance", "Body", "Box", "Camera", "Panel", "Person", "Room", "Scene", "sample_scene"]
