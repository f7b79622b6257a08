"""The classic rule without learning: a fall is a box that turns from tall to wide while it sinks fast.

    python research/peers/aspect_rule.py MANIFEST.csv... --choose

chooses the thresholds by grid search on the splits train and val, never on test, and prints the best ones; `CHOSEN`
holds what it found. The boxes are those of falldet's own tracked people, so the rule differs in the decision alone.
Source: aspect ratio and falling speed of the box, as in Rougier et al. (Robust video surveillance for fall detection
based on human shape deformation, 2011) and the surveys that name it as the usual baseline.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from falldet.config import read_settings
from falldet.data.manifest import ClipRecord, read_manifest
from falldet.evaluation.matching import match_alerts
from falldet.extraction.pose_cache import PoseSequence
from falldet.pipeline.detector import Settings, pose_cache
from falldet.runtime import signals as cli
from falldet.stages.tracking import PoseTracker, TrackerSettings
from falldet.types import NO_TRACK, People

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "demo.py"
CHOOSING_SPLITS = ("train", "val")
COOL_DOWN_S = 5.0
"""After an alert the rule is silent for so long, as falldet's own event rule is."""


@dataclass(frozen=True, slots=True)
class AspectRule:
    """Thresholds of the rule; lengths are shares of the person's height before, the tallest box of the last `span_s`.

    Attributes:
        ratio: the box is at least so many times as wide as high.
        shrink: the box has lost at least this share of its height within `span_s`.
        sink: the box's center has gone down by at least this much within `span_s`.
        span_s: how far back the rule looks, which makes it a speed.
        lying_hold_s: all this lasts so long.
    """

    ratio: float
    shrink: float
    sink: float
    span_s: float
    lying_hold_s: float


CHOSEN = AspectRule(ratio=1.0, shrink=0.0, sink=0.25, span_s=2.0, lying_hold_s=0.2)
"""F1 0.757 on train and val of the development data: 42 right, 17 missed, 10 false. The best rules have no use for
`shrink`; the next four lie within 0.005."""

GRID = {
    "ratio": (0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4),
    "shrink": (0.0, 0.2, 0.3, 0.4, 0.5),
    "sink": (-1.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
    "span_s": (0.75, 1.0, 1.5, 2.0),
    "lying_hold_s": (0.0, 0.2, 0.4, 0.6, 0.8),
}

Frames = Sequence[tuple[float, People]]
Intervals = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Change:
    """How a track's box changed over a span, for each of its T frames.

    Attributes:
        time_s: (T,) seconds.
        ratio: (T,) width over height.
        shrink: (T,) share of height lost.
        sink: (T,) how far the center went down, in heights before.
    """

    time_s: np.ndarray
    ratio: np.ndarray
    shrink: np.ndarray
    sink: np.ndarray


def clip_alerts(frames: Frames, rule: AspectRule = CHOSEN) -> list[float]:
    """Return the alert times in seconds over the tracked people of a clip."""
    changes = [change(time_s, boxes, rule.span_s) for time_s, boxes in tracks(frames)]
    return alerts(changes, rule)


def tracks(frames: Frames) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return time_s (T,) and boxes (T, 4) of each tracked person."""
    seen: dict[int, list[tuple[float, np.ndarray]]] = {}
    for time_s, people in frames:
        for row in np.flatnonzero(people.track_ids != NO_TRACK):
            seen.setdefault(int(people.track_ids[row]), []).append((time_s, people.boxes[row]))
    return [(np.array([time_s for time_s, _ in track]), np.stack([box for _, box in track])) for track in seen.values()]


def change(time_s: np.ndarray, boxes: np.ndarray, span_s: float) -> Change:
    """Return how the boxes (T, 4) of one track changed over `span_s`, looking back only."""
    width, height = np.maximum(boxes[:, 2:] - boxes[:, :2], 1).T
    center = (boxes[:, 1] + boxes[:, 3]) / 2
    first = np.searchsorted(time_s, time_s - span_s)
    tallest = np.array([height[start : stop + 1].max() for stop, start in enumerate(first)])
    highest = np.array([center[start : stop + 1].min() for stop, start in enumerate(first)])
    return Change(time_s, width / height, 1 - height / tallest, (center - highest) / tallest)


def alerts(changes: Sequence[Change], rule: AspectRule) -> list[float]:
    """Return the alert times of all people of a clip, one within `COOL_DOWN_S`."""
    moments = sorted(itertools.chain.from_iterable(_moments(each, rule) for each in changes))
    kept: list[float] = []
    for moment_s in moments:
        if not kept or moment_s - kept[-1] >= COOL_DOWN_S:
            kept.append(moment_s)
    return kept


def _moments(change: Change, rule: AspectRule) -> Iterator[float]:
    """Yield every moment at which one person has met the rule for `lying_hold_s`."""
    met = (change.ratio >= rule.ratio) & (change.shrink >= rule.shrink) & (change.sink >= rule.sink)
    if not met.any():
        return
    since_s = np.inf
    for time_s, now in zip(change.time_s.tolist(), met.tolist(), strict=True):
        since_s = min(since_s, time_s) if now else np.inf
        if time_s - since_s >= rule.lying_hold_s:
            yield time_s


def follow(poses: PoseSequence, settings: TrackerSettings) -> Frames:
    """Return the times of a clip's frames and its people as falldet's tracker follows them."""
    tracker = PoseTracker(settings)
    return [(time_s, tracker.update(people, time_s)) for time_s, people in poses.frames()]


def choose(clips: Sequence[ClipRecord], frames: Sequence[Frames]) -> list[tuple[tuple[int, int, int], AspectRule]]:
    """Return right, missed and false of every rule of the grid, the highest F1 first; ties go to fewer false alarms."""
    people = [tracks(each) for each in frames]
    falls = [intervals_of(clip) for clip in clips]
    counted = []
    for span_s in GRID["span_s"]:
        changes = [[change(time_s, boxes, span_s) for time_s, boxes in clip] for clip in people]
        for ratio, shrink, sink, lying_hold_s in itertools.product(
            *(GRID[k] for k in ("ratio", "shrink", "sink", "lying_hold_s"))
        ):
            rule = AspectRule(ratio, shrink, sink, span_s, lying_hold_s)
            counted.append((count(falls, [alerts(clip, rule) for clip in changes]), rule))
    return sorted(counted, key=lambda each: (-f1(each[0]), each[0][2]))


def count(falls: Sequence[Intervals], alerts_s: Sequence[Sequence[float]]) -> tuple[int, int, int]:
    """Return right, missed and false over all clips."""
    matches = [match_alerts(intervals, moments) for intervals, moments in zip(falls, alerts_s, strict=True)]
    return (
        sum(len(match.pairs) for match in matches),
        sum(len(match.false_negatives) for match in matches),
        sum(len(match.false_positives) for match in matches),
    )


def f1(counts: tuple[int, int, int]) -> float:
    """Return F1 of right, missed and false."""
    right, missed, false = counts
    return 2 * right / max(2 * right + missed + false, 1)


def intervals_of(clip: ClipRecord) -> Intervals:
    """Return when the falls of a clip begin and end, in seconds."""
    return [(fall.start_s, fall.end_s) for fall in clip.fall_intervals]


def main() -> int:
    """Print the figures of the chosen rule, or of the best ones of the grid, on train and val."""
    parser = argparse.ArgumentParser(
        description="The height and aspect-ratio rule on the splits train and val.",
        epilog="example: python research/peers/aspect_rule.py videos/manifest.csv --choose",
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and the falls' times")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    parser.add_argument("--cache", type=Path, default=Path("work_dirs/poses"), help="poses are kept here")
    parser.add_argument("--choose", action="store_true", help="search the grid and print the ten best rules")
    arguments = parser.parse_args()
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    clips = [clip for clip in clips if clip.split in CHOOSING_SPLITS]
    settings = Settings.from_groups(read_settings(CONFIG))
    cache = pose_cache(arguments.cache, settings)
    frames = [follow(cache.poses(clip.path), settings.tracker) for clip in clips]
    if arguments.choose:
        best = choose(clips, frames)[:10]
    else:
        best = [(count([intervals_of(clip) for clip in clips], [clip_alerts(each) for each in frames]), CHOSEN)]
    for counts, rule in best:
        right, missed, false = counts
        sys.stdout.write(f"F1 {f1(counts):.3f}  {right} right, {missed} missed, {false} false  {rule}\n")
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
