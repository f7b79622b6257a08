"""A scene: people who move in front of a camera, as rendered frames and as ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from falldet.geometry import keypoint_boxes
from falldet.io.video_writer import VideoWriter
from falldet.skeleton import JOINT_COUNT
from falldet.synthetic.appearance import Appearance
from falldet.synthetic.body import POINT_NAMES, Body, Posture
from falldet.synthetic.camera import NEAR_M, Camera
from falldet.synthetic.keyposes import STANDING
from falldet.synthetic.motion import Segment
from falldet.synthetic.renderer import Painter
from falldet.synthetic.room import Room
from falldet.types import Frame, People

_NOISE_MARGIN = 64


@dataclass(frozen=True, slots=True)
class Person:
    """A person in a scene.

    Attributes:
        segments: motion segments, one after the other from second 0; the last posture is held.
        position: x and y at second 0, metres, world frame.
        heading_deg: direction of the person's front at second 0: 0 along world x, 90 away from the usual camera,
            degrees.
        body: body height.
        appearance: clothes and build.
        start_pose: key pose at second 0.
    """

    segments: tuple[Segment, ...]
    position: tuple[float, float] = (0.0, 0.0)
    heading_deg: float = 0.0
    body: Body = field(default_factory=Body)
    appearance: Appearance = field(default_factory=Appearance)
    start_pose: tuple[float, ...] = STANDING

    def timetable(self) -> tuple[tuple[Segment, float, float], ...]:
        """Return each segment with its start and stop in seconds, a half-open range."""
        stops = np.cumsum([segment.duration_s for segment in self.segments]).tolist()
        return tuple(zip(self.segments, [0.0, *stops][:-1], stops, strict=True))

    def points(self, time_s: np.ndarray) -> np.ndarray:
        """Return the points (T, P, 3) of the body at `time_s` (T,) seconds, metres, world frame."""
        position = np.array([self.position], dtype=float)
        state = Posture(np.array([self.start_pose]), position, np.radians([self.heading_deg]))
        stops = np.array([stop for _, _, stop in self.timetable()])
        segment_of = np.searchsorted(stops, time_s, side="right")  # (T,), len(segments) after the last
        points = np.zeros((len(time_s), *self.body.points(state).shape[1:]))
        for index, (segment, start, stop) in enumerate(self.timetable()):
            rows = segment_of == index
            if rows.any():
                points[rows] = self.body.points(segment.play(self.body, state, time_s[rows] - start))
            state = segment.play(self.body, state, np.array([stop - start]))
        points[segment_of == len(stops)] = self.body.points(state)
        return points


@dataclass(frozen=True, slots=True)
class Scene:
    """People, a room and a camera over some seconds.

    Attributes:
        people: the people; their indices in this tuple are their track ids.
        duration_s: length, seconds.
        camera: the camera.
        room: the room.
        fps: frames per second; need not be whole.
        times_s: time of each frame, ascending, seconds, for a variable rate; overrides `fps` and `duration_s`.
        seed: seed of the sensor noise.
        noise: standard deviation of the sensor noise, gray levels.

    Raises:
        ValueError: the rate is not positive, a duration or noise is negative, or the times don't ascend.
    """

    people: tuple[Person, ...]
    duration_s: float
    camera: Camera = field(default_factory=Camera)
    room: Room = field(default_factory=Room)
    fps: float = 25.0
    times_s: tuple[float, ...] | None = None
    seed: int = 0
    noise: float = 2.0

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.duration_s < 0 or self.noise < 0:
            raise ValueError(f"a scene needs fps > 0, duration_s >= 0, noise >= 0, got {self}")
        if self.times_s is not None and np.any(np.diff(self.times_s) <= 0):
            raise ValueError("the times of a scene's frames must ascend")

    def frame_times(self) -> np.ndarray:
        """Return the times (T,) float64 of the frames, seconds."""
        if self.times_s is not None:
            return np.asarray(self.times_s, dtype=float)
        return np.arange(round(self.duration_s * self.fps)) / self.fps

    def points(self, time_s: np.ndarray) -> np.ndarray:
        """Return the points (T, N, P, 3) of all people at `time_s` (T,) seconds, metres, world frame."""
        if not self.people:
            return np.zeros((len(time_s), 0, len(POINT_NAMES), 3))
        return np.stack([person.points(time_s) for person in self.people], axis=1)

    def keypoints(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the true joints in all frames, without rendering.

        Returns:
            Keypoints (T, N, 17, 2) float32 in pixels and scores (T, N, 17) float32: 1 inside the image, even where the
            joint is hidden; outside 0, with the keypoint (0, 0).
        """
        return self._joints(self.frame_times())

    def truth(self, time_s: float) -> People:
        """Return the people with a joint in the image at `time_s` seconds; track ids are their indices in `people`.

        Boxes enclose the joints with a margin for the body around them, within the image.
        """
        keypoints, scores = (values[0] for values in self._joints(np.array([time_s])))
        visible = np.flatnonzero(scores.any(axis=1))
        boxes = keypoint_boxes(keypoints[visible], scores[visible])
        margin = 0.08 * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
        size = [self.camera.width, self.camera.height]
        boxes = np.clip(np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1), 0, size * 2)
        return People(keypoints[visible], scores[visible], boxes, np.ones(len(visible)), visible)

    def falls(self) -> tuple[tuple[int, float, float], ...]:
        """Return (index of the person, start, stop) of the descent of each fall, seconds, ordered by start."""
        found = [
            (index, start, stop)
            for index, person in enumerate(self.people)
            for segment, start, stop in person.timetable()
            if segment.name == "fall"
        ]
        return tuple(sorted(found, key=lambda fall: fall[1]))

    def frames(self) -> Iterator[Frame]:
        """Render the frames one by one, the same on every run."""
        painter = Painter(self.camera, *self.room.paint(self.camera))
        generator = np.random.default_rng(self.seed)
        shape = (self.camera.height + _NOISE_MARGIN, self.camera.width + _NOISE_MARGIN, 3)
        grain = np.rint(generator.normal(0, self.noise, shape)).astype(np.int16)
        heights = [person.body.height_m for person in self.people]
        appearances = [person.appearance for person in self.people]
        times = self.frame_times()
        for index, (time_s, people) in enumerate(zip(times.tolist(), self.points(times), strict=True)):
            image = painter.paint(people, heights, appearances)
            row, column = generator.integers(0, _NOISE_MARGIN, 2)
            grained = grain[row : row + self.camera.height, column : column + self.camera.width]
            yield Frame(index, time_s, cv2.add(image, grained, dtype=cv2.CV_8U))

    def write_video(self, path: str | Path, crf: int = 23) -> None:
        """Render the scene into an .mp4.

        Args:
            path: the file; missing folders are created.
            crf: x264 quality. Higher: a smaller file, more artifacts.

        Raises:
            FalldetError: the folder can't be written.
        """
        with VideoWriter(path, self.fps, crf) as writer:
            for frame in self.frames():
                writer.write(frame.image, frame.time_s)

    def _joints(self, time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the keypoints (T, N, 17, 2) and scores (T, N, 17) at `time_s` (T,), as `keypoints` does."""
        pixels, depth = self.camera.project(self.points(time_s)[:, :, :JOINT_COUNT])
        size = (self.camera.width, self.camera.height)
        inside = (depth > NEAR_M) & (pixels >= 0).all(axis=3) & (pixels < size).all(axis=3)
        return np.where(inside[..., None], pixels, 0).astype(np.float32), inside.astype(np.float32)
