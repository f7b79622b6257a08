"""Two people in view, one of whom falls: does exactly this person raise the alert?

    python -m research.accuracy.two_people videos/urfd/manifest.csv --root videos/

Places a clip with a fall and one without next to each other, each cropped to the columns that its person crosses, on
gray; runs the whole pipeline on the new video, poses included; writes docs/benchmarks/two_people.md. The annotated
videos stay in --out-dir. The nth clip with a fall of the split is paired with the nth without, ceiling views left out;
in every second pair the fall is on the right. Nothing is chosen on these videos.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from falldet.cli.process import EXIT_OK, run
from falldet.data.annotations import SPLIT_NAMES
from falldet.data.manifest import ClipRecord
from falldet.errors import FalldetError
from falldet.evaluation.matching import match_alerts
from falldet.extraction.pose_cache import PoseCache, pose_cache
from falldet.io.files import atomic_write
from falldet.io.video import read_frames
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.runtime.runner import OutputOptions, run_source
from falldet.types import Event
from falldet.visualization.tables import markdown_table
from research import PAGES, WORK_DIRS
from research.clips import add_clip_arguments, read_clips
from research.tracking.sources import CEILING

PAGE = PAGES / "two_people.md"
HEADER = ("falls", "other clip", "alerts, person who falls", "alerts, other person", "verdict")

HEIGHT, GAP = 360, 24
"""Height of both clips and width of the strip between them, pixels."""

GRAY = 128
MIN_BOX_SCORE = 0.2
"""Only people with at least this score determine the crop of a clip."""

MARGIN = 0.05
"""Added to the crop on both sides, in widths of the image."""

TimedImage = tuple[float, np.ndarray]
"""Time in seconds and image (H, W, 3) uint8 BGR."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A clip with a fall and one without, and whether the fall is on the right."""

    fall: ClipRecord
    other: ClipRecord
    fall_on_right: bool


def main() -> int:
    """Compose the videos, run the pipeline on them, write the page."""
    arguments = parse_arguments()
    config = Config()
    config = replace(config, movenet=replace(config.movenet, precision="f32"))
    pairs = paired(read_clips(arguments, [arguments.split]))[: arguments.pairs]
    if not pairs:
        raise FalldetError(
            f"the split {arguments.split} has no clip with a fall and one without; choose another --split"
        )
    cache, detector = pose_cache(arguments.poses, config), FallDetector(config)
    rows = []
    for pair in pairs:
        video = arguments.out_dir / f"{pair.fall.path.stem}_{pair.other.path.stem}.mp4"
        middle_x = write_video(pair, cache, video)
        events = run_source(video, detector, OutputOptions(arguments.out_dir / "annotated" / video.stem)).events
        rows.append(verdict_row(pair, events, middle_x))
    with atomic_write(PAGE) as stream:
        stream.write(as_page(rows))
    sys.stdout.write(as_page(rows))
    return EXIT_OK


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Two people in view, one of whom falls.",
        epilog="example: python -m research.accuracy.two_people videos/urfd/manifest.csv --root videos/",
    )
    add_clip_arguments(parser)
    parser.add_argument("--split", choices=SPLIT_NAMES, default="test", help="(default: test)")
    parser.add_argument("--out-dir", type=Path, default=WORK_DIRS / "two_people", help="folder of the videos")
    parser.add_argument("--pairs", type=int, default=6, help="number of videos at most (default: 6)")
    return parser.parse_args()


def paired(clips: Sequence[ClipRecord]) -> list[Pair]:
    """Return the pairs, ceiling views left out."""
    level = [clip for clip in clips if CEILING not in clip.path.stem]
    falls = [clip for clip in level if clip.fall_intervals]
    others = [clip for clip in level if not clip.label]
    return [Pair(fall, other, index % 2 == 1) for index, (fall, other) in enumerate(zip(falls, others, strict=False))]


def write_video(pair: Pair, cache: PoseCache, path: Path) -> int:
    """Write both clips next to each other, the last frame of the shorter one repeated; return the x between them."""
    fall, other = cropped(pair.fall, cache), cropped(pair.other, cache)
    left, right = (other, fall) if pair.fall_on_right else (fall, other)
    middle_x = 0
    with VideoWriter(path, crf=18) as writer:  # better quality than the default: pose estimation follows
        for time_s, first, second in side_by_side(left, right):
            strip = np.full((HEIGHT, GAP, 3), GRAY, np.uint8)
            middle_x = first.shape[1] + GAP // 2
            writer.write(np.concatenate([first, strip, second], axis=1), time_s)
    return middle_x


def cropped(clip: ClipRecord, cache: PoseCache) -> Iterator[TimedImage]:
    """Yield the frames of a clip, cropped to the columns that its person crosses and scaled to `HEIGHT`."""
    poses = cache.poses(clip.path)
    boxes = poses.boxes[poses.box_scores >= MIN_BOX_SCORE]
    width = poses.image_hw[1]
    margin = MARGIN * width
    start, stop = max(0, boxes[:, 0].min() - margin), min(width, boxes[:, 2].max() + margin)
    for frame in read_frames(clip.path):
        image = frame.image[:, int(start) : int(stop)]
        scale = HEIGHT / image.shape[0]
        yield frame.time_s, cv2.resize(image, (round(image.shape[1] * scale), HEIGHT))


def side_by_side(
    left: Iterator[TimedImage], right: Iterator[TimedImage]
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Yield time and both images at every frame of the left clip, then at the remaining frames of the right one."""
    now_s, second = next(right)
    following = next(right, None)
    time_s, first = 0.0, None
    for time_s, first in left:
        while following is not None and following[0] <= time_s:
            (now_s, second), following = following, next(right, None)
        yield time_s, first, second
    while following is not None and first is not None:
        (now_s, second), following = following, next(right, None)
        if now_s > time_s:
            yield now_s, first, second


def verdict_row(pair: Pair, events: Sequence[Event], middle_x: float) -> tuple[str, str, str, str, str]:
    """Return the cells of a pair: correct means one alert, in time, where the person who falls is."""
    on_right = [(event.box[0] + event.box[2]) / 2 > middle_x for event in events]
    own = [event for event, right in zip(events, on_right, strict=True) if right == pair.fall_on_right]
    others = len(events) - len(own)
    falls = [(fall.start_s, fall.end_s) for fall in pair.fall.fall_intervals]
    match = match_alerts(falls, [event.alert_s for event in own])
    verdict = "correct"
    if match.false_negatives:
        verdict = "no alert"
    elif match.false_positives or others:
        verdict = "false alarm"
    times = ", ".join(f"{event.alert_s:.2f} s" for event in own) or "none"
    return pair.fall.path.stem, pair.other.path.stem, times, str(others), verdict


def as_page(rows: Sequence[Sequence[str]]) -> str:
    """Return the page."""
    head = (
        "# Two people, one of whom falls\n\n"
        "Real clips next to each other, through the whole pipeline, poses included. "
        "`python -m research.accuracy.two_people` writes this page. Correct: one alert, in time, where the person who "
        "falls is.\n\n"
    )
    return head + "\n".join(markdown_table(HEADER, rows)) + "\n"


if __name__ == "__main__":
    run(main)
