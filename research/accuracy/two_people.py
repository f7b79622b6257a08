"""Two people in one picture, one of whom falls: exactly this one must raise the alarm.

    python research/accuracy/two_people.py videos/urfd/manifest.csv --root videos/ --out-dir work_dirs/two_people

puts a clip with a fall and one without beside each other, each cut to where its person goes, on a gray ground; runs
the demo on the new video, poses and all; and writes docs/two_people.md. The annotated videos stay in --out-dir. The
nth clip with a fall of the split is paired with the nth without, ceiling views left out; every second pair has the fall
on the right. Nothing is chosen on these videos.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from falldet.config import read_settings
from falldet.data.manifest import ClipRecord, read_manifest
from falldet.errors import FalldetError
from falldet.evaluation.matching import match_alerts
from falldet.extraction.pose_cache import PoseCache
from falldet.io.files import atomic_write
from falldet.io.video import VideoWriter, read_frames
from falldet.pipeline.detector import Pipeline, Settings, pose_cache
from falldet.runtime import signals as cli
from falldet.runtime.runner import OutputOptions, run_source
from falldet.types import Event
from research.tracking.scenes import CEILING

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "two_people.md"
HEIGHT, GAP, GRAY = 360, 24, 128
SURE = 0.2
"""Only people with at least this score say where a clip is cut."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A clip with a fall and one without, and whether the fall is on the right."""

    fall: ClipRecord
    other: ClipRecord
    fall_on_right: bool


def main() -> int:
    """Compose the videos, run the demo on them, write the table."""
    parser = argparse.ArgumentParser(
        description="Two people, one fall.", epilog="example: %(prog)s videos/urfd/manifest.csv --root videos/"
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and the falls' times")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test", help="(default: test)")
    parser.add_argument("--poses", type=Path, default=ROOT / "work_dirs" / "poses", help="poses are kept here")
    parser.add_argument("--out-dir", type=Path, default=ROOT / "work_dirs" / "two_people", help="videos go here")
    parser.add_argument("--pairs", type=int, default=6, help="how many (default: 6)")
    arguments = parser.parse_args()
    settings = Settings.from_groups(read_settings(ROOT / "configs" / "demo.py", ["movenet.precision=f32"]))
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    pairs = paired([clip for clip in clips if clip.split == arguments.split])[: arguments.pairs]
    if not pairs:
        raise FalldetError(f"the split {arguments.split!r} has no clip with a fall beside one without; name another")
    cache, pipeline = pose_cache(arguments.poses, settings), Pipeline(settings)
    lines = [
        "# Two people, one of whom falls",
        "",
        "Real clips side by side, poses and all; `research/accuracy/two_people.py` makes them and this table. Right: one "
        "alert, in time, where the person who falls is.",
        "",
        "| falls | beside | alerts, right person | other person | verdict |",
        "|---|---|---|---|---|",
    ]
    for pair in pairs:
        video = arguments.out_dir / f"{pair.fall.path.stem}_{pair.other.path.stem}.mp4"
        middle = write_video(pair, cache, video)
        events = run_source(video, pipeline, settings, OutputOptions(arguments.out_dir / "annotated")).events
        lines.append(judged(pair, events, middle))
    with atomic_write(TABLE) as stream:
        stream.write("\n".join(lines) + "\n")
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))
    return cli.EXIT_OK


def paired(clips: Sequence[ClipRecord]) -> list[Pair]:
    """Return the pairs, ceiling views left out."""
    level = [clip for clip in clips if CEILING not in clip.path.stem]
    falls = [clip for clip in level if clip.fall_intervals]
    others = [clip for clip in level if not clip.label]
    return [Pair(fall, other, number % 2 == 1) for number, (fall, other) in enumerate(zip(falls, others, strict=False))]


def write_video(pair: Pair, cache: PoseCache, path: Path) -> int:
    """Write both clips side by side, the shorter one's last picture held, and return the x of the middle between."""
    fall, other = cut(pair.fall, cache), cut(pair.other, cache)
    left, right = (other, fall) if pair.fall_on_right else (fall, other)
    middle = 0
    with VideoWriter(path, crf=18) as writer:  # finer than for looking at: poses are taken of it
        for time_s, first, second in together(left, right):
            ground = np.full((HEIGHT, GAP, 3), GRAY, np.uint8)
            middle = first.shape[1] + GAP // 2
            writer.write(np.concatenate([first, ground, second], axis=1), time_s)
    return middle


def cut(clip: ClipRecord, cache: PoseCache) -> Iterator[tuple[float, np.ndarray]]:
    """Yield time and picture of each frame, cut to the columns where the clip's person goes and scaled to `HEIGHT`."""
    poses = cache.poses(clip.path)
    boxes = poses.boxes[poses.box_scores >= SURE]
    width = poses.image_hw[1]
    margin = 0.05 * width
    start, stop = max(0, boxes[:, 0].min() - margin), min(width, boxes[:, 2].max() + margin)
    for frame in read_frames(clip.path):
        picture = frame.image[:, int(start) : int(stop)]
        scale = HEIGHT / picture.shape[0]
        yield frame.time_s, cv2.resize(picture, (round(picture.shape[1] * scale), HEIGHT))


def together(
    left: Iterator[tuple[float, np.ndarray]], right: Iterator[tuple[float, np.ndarray]]
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Yield the time and both pictures at every frame of the left one, then at those of the right one that are left."""
    now_s, picture = next(right)
    ahead = next(right, None)
    time_s, first = 0.0, None
    for time_s, first in left:
        while ahead is not None and ahead[0] <= time_s:
            (now_s, picture), ahead = ahead, next(right, None)
        yield time_s, first, picture
    while ahead is not None and first is not None:
        (now_s, picture), ahead = ahead, next(right, None)
        if now_s > time_s:
            yield now_s, first, picture


def judged(pair: Pair, events: Sequence[Event], middle: int) -> str:
    """Return a line of the table."""
    on_right = [(event.box[0] + event.box[2]) / 2 > middle for event in events]
    own = [event for event, right in zip(events, on_right, strict=True) if right == pair.fall_on_right]
    wrong = len(events) - len(own)
    falls = [(fall.start_s, fall.end_s) for fall in pair.fall.fall_intervals]
    match = match_alerts(falls, [event.alert_s for event in own])
    verdict = (
        "right"
        if not (wrong or match.false_negatives or match.false_positives)
        else "missed"
        if match.false_negatives
        else "false alarm"
    )
    times = ", ".join(f"{event.alert_s:.2f} s" for event in own) or "none"
    return f"| {pair.fall.path.stem} | {pair.other.path.stem} | {times} | {wrong} | {verdict} |"


if __name__ == "__main__":
    cli.run(main)
