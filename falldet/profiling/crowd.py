"""A test video with more people: each frame repeats the strip around its most confident person."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from falldet.errors import FalldetError
from falldet.io.video import probe, read_frames
from falldet.io.video_writer import VideoWriter
from falldet.pose.source import PoseSource


def with_people(source: Path, count: int, pose_source: PoseSource, out: Path) -> None:
    """Write `source` again with `count` people: the strip around its most confident person, repeated in a row.

    The strips are together as wide as the image and keep its scale; a person wider than a strip is cropped.

    Args:
        source: a video file.
        count: number of strips.
        pose_source: finds the person; without one, the strip is the last one's, or the middle of the image.
        out: the .mp4 file.

    Raises:
        FalldetError: `count` is below 1, or the source can't be read.
    """
    if count < 1:
        raise FalldetError(f"people = {count} must be at least 1")
    center_x = None
    with VideoWriter(out, probe(source).fps, crf=18) as writer:
        for frame in read_frames(source):
            width = frame.image.shape[1]
            people = pose_source.submit(frame.image).result()
            if len(people):
                box = people.boxes[people.box_scores.argmax()]
                center_x = (box[0] + box[2]) / 2
            strip_w = width // count
            left = int(np.clip((width / 2 if center_x is None else center_x) - strip_w / 2, 0, width - strip_w))
            writer.write(np.tile(frame.image[:, left : left + strip_w], (1, count, 1)), frame.time_s)
    pose_source.reset()
