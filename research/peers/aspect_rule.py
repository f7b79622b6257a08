"""The classic rule without learning: a fall is a box that turns from tall to wide while it sinks fast.

    python -m research.peers.aspect_rule videos/manifest.csv --choose

`--choose` searches the grid of thresholds on the splits train and val and prints the ten best rules; without it the
counts of `CHOSEN` are printed. The boxes are those of falldet's tracks at every frame, so that the comparison with
falldet is of the decision alone. Nothing is written.
Source: aspect ratio and speed of the box, as in Rougier et al., Robust video surveillance for fall detection based on
human shape deformation, IEEE TCSVT 21(5), 2011; surveys name it as the usual baseline.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from falldet.cli.process import EXIT_OK, run
from falldet.data.manifest import ClipRecord
from falldet.evaluation.matching import match_alerts
from falldet.extraction.pose_cache import PoseSequence, pose_cache
from falldet.pipeline.config import Config
from falldet.stages.tracking import PoseTracker, TrackerSettings
from falldet.types import NO_TRACK, People
from research.clips import add_clip_arguments, read_clips

CHOOSING_SPLITS = ("train", "val")
COOL_DOWN_S = 5.0
"""Minimum time between two alerts of a clip; the default of falldet's event rule."""


@dataclass(frozen=True, slots=True)
class AspectRule:
    """Thresholds of the rule; a higher one gives fewer alerts. Heights are those of the tallest box within `span_s`.

    Attributes:
        min_aspect_ratio: width over height of the box.
        min_height_loss: share of the height lost within `span_s`.
        min_descent: distance that the box's center moved down within `span_s`, in heights.
        span_s: length of the compared past in seconds, which turns a distance into a speed.
        min_duration_s: how long all thresholds must be met without a break, seconds.
    """

    min_aspect_ratio: float
    min_height_loss: float
    min_descent: float
    span_s: float
    min_duration_s: float


CHOSEN = AspectRule(min_aspect_ratio=1.0, min_height_loss=0.0, min_descent=0.25, span_s=2.0, min_duration_s=0.2)
"""The best rule of `--choose` on URFD, GMDCSA-24 and the surveillance clips."""

GRID = {
    "min_aspect_ratio": (0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4),
    "min_height_loss": (0.0, 0.2, 0.3, 0.4, 0.5),
    "min_descent": (-1.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
    "min_duration_s": (0.0, 0.2, 0.4, 0.6, 0.8),
}
SPANS_S = (0.75, 1.0, 1.5, 2.0)

Frames = Sequence[tuple[float, People]]
"""Times in seconds and the tracked people of a clip's frames."""


@dataclass(frozen=True, slots=True)
class BoxChange:
    """Shape and motion of a track's box over its T frames, each compared with the past `span_s`.

    Attributes:
        time_s: (T,) seconds.
        aspect_ratio: (T,) width over height.
        height_loss: (T,) share of height lost.
        descent: (T,) distance that the center moved down, in heights.
    """

    time_s: np.ndarray
    aspect_ratio: np.ndarray
    height_loss: np.ndarray
    descent: np.ndarray


@dataclass(frozen=True, slots=True)
class Counts:
    """Alerts and falls counted over clips."""

    true_positives: int
    false_negatives: int
    false_positives: int

    @property
    def f1(self) -> float:
        """F1, 0 where there is neither a fall nor an alert."""
        errors = self.false_negatives + self.false_positives
        return 2 * self.true_positives / max(2 * self.true_positives + errors, 1)


def clip_alerts(frames: Frames, rule: AspectRule = CHOSEN) -> list[float]:
    """Return the alert times of a clip in seconds."""
    return alert_times([box_change(time_s, boxes, rule.span_s) for time_s, boxes in track_boxes(frames)], rule)


def track_boxes(frames: Frames) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return time_s (T,) and boxes (T, 4) of each track."""
    found: dict[int, list[tuple[float, np.ndarray]]] = {}
    for time_s, people in frames:
        for row in np.flatnonzero(people.track_ids != NO_TRACK):
            found.setdefault(int(people.track_ids[row]), []).append((time_s, people.boxes[row]))
    return [
        (np.array([time_s for time_s, _ in track]), np.stack([box for _, box in track])) for track in found.values()
    ]


def box_change(time_s: np.ndarray, boxes: np.ndarray, span_s: float) -> BoxChange:
    """Return shape and motion of one track's boxes (T, 4), each compared with the `span_s` before it."""
    width, height = np.maximum(boxes[:, 2:] - boxes[:, :2], 1).T
    center = (boxes[:, 1] + boxes[:, 3]) / 2
    first = np.searchsorted(time_s, time_s - span_s)
    tallest = np.array([height[start : stop + 1].max() for stop, start in enumerate(first)])
    highest = np.array([center[start : stop + 1].min() for stop, start in enumerate(first)])
    return BoxChange(time_s, width / height, 1 - height / tallest, (center - highest) / tallest)


def alert_times(changes: Sequence[BoxChange], rule: AspectRule) -> list[float]:
    """Return the alert times over all tracks of a clip, at least `COOL_DOWN_S` apart."""
    candidates = sorted(itertools.chain.from_iterable(_times_met(change, rule) for change in changes))
    kept: list[float] = []
    for time_s in candidates:
        if not kept or time_s - kept[-1] >= COOL_DOWN_S:
            kept.append(time_s)
    return kept


def _times_met(change: BoxChange, rule: AspectRule) -> Iterator[float]:
    """Yield every time at which one track has met the rule for `min_duration_s`."""
    met = (
        (change.aspect_ratio >= rule.min_aspect_ratio)
        & (change.height_loss >= rule.min_height_loss)
        & (change.descent >= rule.min_descent)
    )
    if not met.any():
        return
    since_s = np.inf
    for time_s, now in zip(change.time_s.tolist(), met.tolist(), strict=True):
        since_s = min(since_s, time_s) if now else np.inf
        if time_s - since_s >= rule.min_duration_s:
            yield time_s


def tracked_frames(poses: PoseSequence, settings: TrackerSettings) -> Frames:
    """Return the times of a clip's frames and their people with falldet's track ids."""
    tracker = PoseTracker(settings)
    return [(time_s, tracker.update(people, time_s)) for time_s, people in poses.frames()]


def search(clips: Sequence[ClipRecord], frames: Sequence[Frames]) -> list[tuple[Counts, AspectRule]]:
    """Return the counts of every rule of the grid, the highest F1 first, of equals the fewest false alarms first."""
    tracks = [track_boxes(each) for each in frames]
    found = []
    for span_s in SPANS_S:
        changes = [[box_change(time_s, boxes, span_s) for time_s, boxes in clip] for clip in tracks]
        for values in itertools.product(*GRID.values()):
            rule = AspectRule(span_s=span_s, **dict(zip(GRID, values, strict=True)))
            found.append((count(clips, [alert_times(clip, rule) for clip in changes]), rule))
    return sorted(found, key=lambda pair: (-pair[0].f1, pair[0].false_positives))


def count(clips: Sequence[ClipRecord], alerts_s: Sequence[Sequence[float]]) -> Counts:
    """Match the alerts of each clip with its falls and count over all clips."""
    matches = [
        match_alerts([(fall.start_s, fall.end_s) for fall in clip.fall_intervals], alerts)
        for clip, alerts in zip(clips, alerts_s, strict=True)
    ]
    return Counts(
        sum(len(match.pairs) for match in matches),
        sum(len(match.false_negatives) for match in matches),
        sum(len(match.false_positives) for match in matches),
    )


def main() -> int:
    """Print the counts of `CHOSEN`, or of the ten best rules of the grid, on train and val."""
    parser = argparse.ArgumentParser(
        description="The height and aspect-ratio rule on the splits train and val.",
        epilog="example: python -m research.peers.aspect_rule videos/manifest.csv --choose",
    )
    add_clip_arguments(parser)
    parser.add_argument("--choose", action="store_true", help="search the grid and print the ten best rules")
    arguments = parser.parse_args()
    clips, config = read_clips(arguments, CHOOSING_SPLITS), Config()
    cache = pose_cache(arguments.poses, config)
    frames = [tracked_frames(cache.poses(clip.path), config.tracker) for clip in tqdm(clips, unit="clip", disable=None)]
    if arguments.choose:
        best = search(clips, frames)[:10]
    else:
        best = [(count(clips, [clip_alerts(each) for each in frames]), CHOSEN)]
    for counts, rule in best:
        sys.stdout.write(
            f"F1 {counts.f1:.3f}  {counts.true_positives} true positives, {counts.false_negatives} false negatives, "
            f"{counts.false_positives} false positives  {rule}\n"
        )
    return EXIT_OK


if __name__ == "__main__":
    run(main)
