"""The reference project's demo with falldet's pose source and recognizer, so that the comparison is of the algorithm.

All frames in memory, one JPEG each; windows of 48 frames every 8; each person of a window's middle frame is matched
through the window by box IoU and scored alone; the higher score wins in the overlap; then every frame is drawn and
written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from falldet.geometry import box_iou, square_boxes
from falldet.io.video import read_frames
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.detector import FallDetector
from falldet.skeleton import JOINT_COUNT
from falldet.types import People, Window
from falldet.visualization.overlay import draw_overlay

WINDOW, STRIDE = 48, 8
"""Frames of a window, and from one window to the next."""

BOX_SCALE = 1.25
"""Side of the matching box, in lengths of the longer side of the person's box."""

ALERT_THRESHOLD = 0.5
WINDOW_S = 2.0
"""Length that a window is given; the recognizer resamples and does not use it."""


def run_reference_demo(clip: Path, detector: FallDetector) -> None:
    """Detect falls in `clip` and draw them, with the pose source and the recognizer of `detector`."""
    frames = list(read_frames(clip))
    image_hw = (frames[0].image.shape[0], frames[0].image.shape[1])
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{frame.index:06d}.jpg" for frame in frames]
        for file, frame in zip(files, frames, strict=True):
            cv2.imwrite(file, frame.image)
        poses = [detector.pose_source.submit(cv2.imread(file)).result() for file in files]
        scores = _scores(poses, detector, image_hw)
        with VideoWriter(Path(folder) / "out.mp4", 25) as writer:
            for frame, people in zip(frames, poses, strict=True):
                latest = {row: scores.get((frame.index, row), 0.0) for row in range(len(people))}
                shown = people.with_track_ids(np.arange(len(people)))
                writer.write(draw_overlay(frame.image, shown, latest, {}, ALERT_THRESHOLD), frame.time_s)


def _scores(poses: Sequence[People], detector: FallDetector, image_hw: tuple[int, int]) -> dict[tuple[int, int], float]:
    """Return the highest score of each (frame, person)."""
    highest: dict[tuple[int, int], float] = {}
    for start in range(0, len(poses) - WINDOW + 1, STRIDE):
        middle = start + WINDOW // 2
        for person in range(len(poses[middle])):
            window = matched_window(poses[start : start + WINDOW], poses[middle], person, image_hw)
            (score,) = detector.analyzer.recognizer([window])
            for index in range(start, start + WINDOW):
                highest[index, person] = max(highest.get((index, person), 0.0), score.probability)
    return highest


def matched_window(poses: Sequence[People], middle: People, person: int, image_hw: tuple[int, int]) -> Window:
    """Return the window of a person: in every frame the pose whose box overlaps most with the person's square.

    Args:
        poses: the people of each of the window's frames.
        middle: the people of its middle frame.
        person: row of the person in `middle`.
        image_hw: height and width of the frames in pixels.
    """
    square = square_boxes(middle.boxes[person : person + 1], BOX_SCALE)
    keypoints = np.zeros((len(poses), JOINT_COUNT, 2), np.float32)
    scores = np.zeros((len(poses), JOINT_COUNT), np.float32)
    for step, people in enumerate(poses):
        if len(people):
            row = int(box_iou(square, people.boxes)[0].argmax())
            keypoints[step], scores[step] = people.keypoints[row], people.scores[row]
    return Window(person, 0.0, WINDOW_S, np.arange(len(poses)) * WINDOW_S / len(poses), keypoints, scores, image_hw)
