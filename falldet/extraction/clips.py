"""Videos in, keypoint pickle out: the dataset that training reads, made by the demo's own pose and tracking code."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from falldet.data.annotations import SPLIT_NAMES, dump_annotations
from falldet.data.manifest import ClipRecord
from falldet.data.splits import complete_splits
from falldet.errors import FalldetError
from falldet.extraction.pose_cache import PoseSequence, pose_cache
from falldet.io.files import atomic_write
from falldet.pipeline.config import Config
from falldet.runtime.parallel import map_clips
from falldet.skeleton import JOINT_COUNT
from falldet.stages.tracking import PoseTracker, TrackerSettings
from falldet.types import NO_TRACK

logger = logging.getLogger(__name__)

NamedClip = tuple[str, ClipRecord]
"""A clip and the name of its annotation."""

FALL_WEIGHT = 3.0
"""A frame within a labeled fall counts as much as this many others when the main person is chosen."""


@dataclass(frozen=True, slots=True)
class ExtractResult:
    """What came out: annotations written, clips by (split, label), and the clips left out with the reason."""

    path: Path
    counts: Counter[tuple[str, int]]
    left_out: list[tuple[Path, str]]
    report: Path


@dataclass(frozen=True, slots=True)
class ExtractionJob:
    """How clips become annotations; a `falldet.runtime.parallel.ClipTask`.

    Attributes:
        config: of pose source and tracker.
        cache: folder that keeps the poses.
        people: how many people of a clip to keep at most, the main person first.
    """

    config: Config
    cache: Path
    people: int = 1

    def load(self, threads: int, stop_if_asked: Callable[[], None]) -> Callable[[NamedClip], dict[str, Any]]:
        """Return the function that annotates one clip; it raises FalldetError where no person is found."""
        config = self.config.with_threads(threads) if threads else self.config
        cache = pose_cache(self.cache, config)

        def annotate_one(named: NamedClip) -> dict[str, Any]:
            name, clip = named
            return annotate(clip, name, cache.poses(clip.path, stop_if_asked), config.tracker, self.people)

        return annotate_one


def extract(clips: Sequence[ClipRecord], out: Path, job: ExtractionJob, seed: int = 0, jobs: int = 1) -> ExtractResult:
    """Write the keypoint pickle of `clips` to `out`, and what became of each clip to `<out stem>_report.csv` beside it.

    Every video's poses are kept in the cache as soon as they are known, so a stopped run resumes where it was.

    Args:
        clips: the videos and their labels.
        out: the pickle.
        job: how they are annotated.
        seed: for the split of clips that have none.
        jobs: processes side by side; the pickle does not depend on it.

    Raises:
        FalldetError: not one clip could be used, or a file can't be written.
        KeyboardInterrupt: after Ctrl-C, once the videos in hand have been dropped.
    """
    if job.people < 1 or seed < 0:
        raise FalldetError(f"people = {job.people} must be at least 1 and seed = {seed} at least 0")
    names = frame_dirs([clip.path for clip in clips])
    outcomes = map_clips(job, list(zip(names, clips, strict=True)), jobs, "poses")
    used, annotations, left_out = [], [], []
    for clip, outcome in zip(clips, outcomes, strict=True):
        if isinstance(outcome, FalldetError):
            left_out.append((clip.path, str(outcome)))
        else:
            used.append(clip)
            annotations.append(outcome)
    report = out.with_name(f"{out.stem}_report.csv")
    if not used:
        _write_report(report, [], left_out)
        raise FalldetError(f"none of the {len(clips)} videos could be used; {report} says why")
    splits = complete_splits(used, seed)
    split = {
        name: [a["frame_dir"] for a, home in zip(annotations, splits, strict=True) if home == name]
        for name in SPLIT_NAMES
    }
    dump_annotations({"split": split, "annotations": annotations}, out)
    _write_report(report, list(zip(used, annotations, splits, strict=True)), left_out)
    counts = Counter((home, clip.label) for clip, home in zip(used, splits, strict=True))
    return ExtractResult(out, counts, left_out, report)


def frame_dirs(paths: Sequence[Path]) -> list[str]:
    """Return a name for each clip: its path below what all have in common, without the suffix where that is unique."""
    resolved = [path.absolute() for path in paths]
    shared = min((path.parent for path in resolved), key=lambda parent: len(parent.parts))
    while not all(path.is_relative_to(shared) for path in resolved):
        shared = shared.parent
    full = [path.relative_to(shared).as_posix() for path in resolved]
    short = [str(Path(name).with_suffix("")) for name in full]
    counts = Counter(short)
    return [name if counts[stem] > 1 else stem for name, stem in zip(full, short, strict=True)]


def annotate(
    clip: ClipRecord, name: str, poses: PoseSequence, tracker: TrackerSettings, people: int = 1
) -> dict[str, Any]:
    """Return the annotation of one clip: its main person, or the first `people` of them.

    The main person is who is seen longest and surest, frames within a labeled fall counting `FALL_WEIGHT` times.

    Raises:
        FalldetError: nobody was found in the clip.
    """
    falls = [interval.descent for interval in clip.fall_intervals]
    weights = np.ones(len(poses.time_s))
    for start_s, end_s in falls:
        weights[(poses.time_s >= start_s) & (poses.time_s < end_s)] = FALL_WEIGHT
    keypoints, scores, presence = _tracks(poses, tracker)
    if not len(keypoints):
        raise FalldetError(f"{clip.path}: nobody was found; a clip needs one person in sight for a few frames")
    chosen = np.argsort(-(presence * weights).sum(axis=1), kind="stable")[:people]
    annotation = {
        "frame_dir": name,
        "label": clip.label,
        "img_shape": poses.image_hw,
        "original_shape": poses.image_hw,
        "total_frames": len(poses.time_s),
        "keypoint": keypoints[chosen],
        "keypoint_score": scores[chosen],
        "time_s": poses.time_s,
        "subject": clip.subject,
    }
    if clip.label == 0 or falls:
        annotation["fall_intervals"] = [list(fall) for fall in falls]
    if clip.source:
        annotation["source"] = clip.source
    return annotation


def _tracks(poses: PoseSequence, settings: TrackerSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return everybody's track: keypoints (M, T, K, 2), scores (M, T, K), person scores (M, T), 0 where not seen."""
    tracker = PoseTracker(settings)
    frames = [tracker.update(people, time_s) for time_s, people in poses.frames()]
    ids = sorted({int(i) for people in frames for i in people.track_ids if i != NO_TRACK})
    row_of = {track_id: row for row, track_id in enumerate(ids)}
    shape = (len(ids), len(frames))
    keypoints, scores = np.zeros((*shape, JOINT_COUNT, 2), np.float32), np.zeros((*shape, JOINT_COUNT), np.float32)
    presence = np.zeros(shape, np.float32)
    for step, people in enumerate(frames):
        for person in np.flatnonzero(people.track_ids != NO_TRACK):
            row = row_of[int(people.track_ids[person])]
            keypoints[row, step], scores[row, step] = people.keypoints[person], people.scores[person]
            presence[row, step] = people.box_scores[person]
    return keypoints, scores, presence


def _write_report(
    path: Path, used: Sequence[tuple[ClipRecord, dict[str, Any], str]], left_out: Sequence[tuple[Path, str]]
) -> None:
    with atomic_write(path) as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "used", "split", "label", "frames", "frames_with_main_person", "reason"))
        for clip, annotation, split in used:
            seen = int((annotation["keypoint_score"][0] > 0).any(axis=1).sum())
            rows.writerow((clip.path, 1, split, clip.label, annotation["total_frames"], seen, ""))
        for video, reason in left_out:
            rows.writerow((video, 0, "", "", "", "", reason))
