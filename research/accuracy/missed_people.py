"""Whether a second look would find the people whom the pose model loses in mid-fall, and what it would cost.

    python research/accuracy/missed_people.py videos/urfd/manifest.csv videos/gmdcsa24/manifest.csv --root videos/

takes the frames of all labeled falls of train and val, from `BEFORE_S` before their start to their end, and looks at
each in several ways: as the live chain does, at 384 pixels, turned by a quarter to both sides (the surer answer
counts), and at the square around where the person was seen last. Writes docs/second_look.md. What 384 pixels do to
fall events is the row `384` of research/accuracy/experiments.py.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from falldet.config import read_settings
from falldet.data.manifest import ClipRecord, read_manifest
from falldet.evaluation.markdown import table
from falldet.geometry import square_boxes
from falldet.io.files import atomic_write
from falldet.io.video import read_frames
from falldet.pipeline.detector import Settings
from falldet.pose.movenet import MoveNetSettings
from falldet.pose.source import make_pose_source
from falldet.runtime import signals as cli
from falldet.types import People
from research.accuracy.training_folds import ROOT

TABLE = ROOT / "docs" / "second_look.md"
BEFORE_S = 0.3
CEILING = "cam1"
"""In the names of URFD's videos from straight above."""

SQUARE_SCALE = 1.8
"""Side of the square around a person, in longer sides of the box."""

WAYS = {
    "as it is": "256 pixels, as the live chain",
    "384": "384 pixels (2.25 times the work)",
    "turned": "a quarter to the left and to the right (twice the work)",
    "square": "the square around the last sight of the person (1.3 times the work)",
}


@dataclass(frozen=True, slots=True)
class Appearance:
    """The surest person in one picture: score of the person, mean score of the joints."""

    person: float
    joints: float


def main() -> int:
    """Appearance at all falls in all ways and write the table."""
    parser = argparse.ArgumentParser(
        description="What a second look would bring.", epilog="example: %(prog)s videos/manifest.csv"
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and the falls' times")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    arguments = parser.parse_args()
    settings = Settings.from_groups(read_settings(ROOT / "configs" / "demo.py", ["movenet.threads=1"]))
    eyes = Eyes(settings)
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    clips = [clip for clip in clips if clip.split in ("train", "val") and clip.fall_intervals]
    looks: dict[tuple[bool, str], list[Appearance]] = defaultdict(list)
    for clip in tqdm(clips, unit="fall", disable=None):
        for way, found in eyes.watch(clip).items():
            looks[CEILING in clip.path.name, way] += found
    with atomic_write(TABLE) as stream:
        stream.write(as_markdown(looks, len(clips), settings.movenet.min_person_score))
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))
    return cli.EXIT_OK


class Eyes:
    """Looks at pictures in all ways."""

    def __init__(self, settings: Settings) -> None:
        def source(movenet: MoveNetSettings) -> Callable[[np.ndarray], People]:
            return make_pose_source(settings.pose, movenet, settings.topdown)

        self._plain, self._large = source(settings.movenet), source(replace(settings.movenet, input_size=384))
        self._side = settings.movenet.input_size
        self._last_box: np.ndarray | None = None

    def watch(self, clip: ClipRecord) -> dict[str, list[Appearance]]:
        """Return by way what is seen in each frame of the clip's falls."""
        self._last_box = None
        found: dict[str, list[Appearance]] = {way: [] for way in WAYS}
        for frame in read_frames(clip.path):
            if any(fall.start_s - BEFORE_S <= frame.time_s < fall.end_s for fall in clip.fall_intervals):
                square = self._square(frame.image)
                found["384"].append(_look(self._large, frame.image)[0])
                found["turned"].append(self._turned(frame.image))
                found["square"].append(_look(self._plain, square)[0])
                found["as it is"].append(self._follow(frame.image))
            elif not found["384"]:
                self._follow(frame.image)
        return found

    def _follow(self, image: np.ndarray) -> Appearance:
        look, box = _look(self._plain, image)
        self._last_box = self._last_box if box is None else box
        return look

    def _turned(self, image: np.ndarray) -> Appearance:
        sides = (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE)
        looks = [_look(self._plain, cv2.rotate(image, side))[0] for side in sides]
        return max(looks, key=lambda look: look.person)

    def _square(self, image: np.ndarray) -> np.ndarray:
        """Return the part of the picture around the last sight of the person; all of it before there was one."""
        if self._last_box is None:
            return image
        left, top, right, _ = square_boxes(self._last_box[None], SQUARE_SCALE)[0]
        scale = self._side / (right - left)
        to_square = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        return cv2.warpAffine(image, to_square, (self._side, self._side))


def _look(source: Callable[[np.ndarray], People], image: np.ndarray) -> tuple[Appearance, np.ndarray | None]:
    """Return a look and the box of its surest person."""
    people = source(image)
    if not len(people):
        return Appearance(0.0, 0.0), None
    row = int(people.box_scores.argmax())
    return Appearance(float(people.box_scores[row]), float(people.scores[row].mean())), people.boxes[row]


def as_markdown(looks: dict[tuple[bool, str], list[Appearance]], falls: int, min_score: float) -> str:
    """Return the page."""
    rows = []
    for ceiling, name in ((False, "eye level"), (True, "ceiling")):
        for way, what in WAYS.items():
            found = looks.get((ceiling, way), [])
            if found:
                share = np.mean([look.person >= min_score for look in found])
                joints = np.mean([look.joints for look in found])
                rows.append((name, what, str(len(found)), f"{share:.0%}", f"{joints:.2f}"))
    text = (
        f"Frames of {falls} falls (train and val) in which the pose model finds somebody, how sure it is of that "
        "person's joints (0 where nobody is found). `research/accuracy/missed_people.py` says more."
    )
    head = ("camera", "looked at", "frames", "somebody found", "mean joint score")
    return "\n".join(["# A second look", "", text, "", *table(head, rows), ""])


if __name__ == "__main__":
    cli.run(main)
