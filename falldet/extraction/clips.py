"""Videos in, annotation file out: the training data, made by the pose and tracking code of the pipeline."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from falldet.data.annotations import SPLIT_NAMES, Annotation, dump_annotations
from falldet.data.consistency import warn_of_shared_subjects
from falldet.data.manifest import ClipRecord, check_times
from falldet.data.splits import complete_splits
from falldet.errors import FalldetError
from falldet.extraction.pose_cache import PoseSequence, pose_cache
from falldet.io.files import atomic_write
from falldet.pipeline.config import Config
from falldet.runtime.parallel import map_clips
from falldet.skeleton import JOINT_COUNT
from falldet.stages.tracking import PoseTracker, TrackerSettings
from falldet.terminal import printable
from falldet.types import NO_TRACK

NamedClip = tuple[str, ClipRecord]
"""A clip and the name of its annotation."""

FALL_WEIGHT = 3.0
"""Weight of a frame within a labeled fall in the choice of the main person; other frames have weight 1."""


@dataclass(frozen=True, slots=True)
class ExtractionJob:
    """The annotation of one clip after the other; a `falldet.runtime.parallel.ClipTask`.

    Attributes:
        config: names the pose source and the tracker's settings.
        cache: folder of the cached poses.
        people: most people kept of a clip, the main person first. Higher: more training data, bystanders included.
    """

    config: Config
    cache: Path
    people: int = 1

    def __post_init__(self) -> None:
        """Raise FalldetError where `people` is below 1."""
        if self.people < 1:
            raise FalldetError(f"people = {self.people} must be at least 1")

    def load(self, stop_if_asked: Callable[[], None]) -> Callable[[NamedClip], Annotation]:
        """Return the function that annotates one clip; it raises FalldetError where no person is found."""
        cache = pose_cache(self.cache, self.config)

        def annotate_one(named: NamedClip) -> Annotation:
            name, clip = named
            return annotate(clip, name, cache.poses(clip.path, stop_if_asked), self.config.tracker, self.people)

        return annotate_one


@dataclass(frozen=True, slots=True)
class AnnotatedClip:
    """A clip that could be used, with its annotation and its split."""

    clip: ClipRecord
    annotation: Annotation
    split: str


@dataclass(frozen=True, slots=True)
class ExtractionResult:
    """Result of an extraction.

    Attributes:
        path: the annotation file.
        counts: number of clips by (split, label).
        left_out: the videos that could not be used, with the reason.
        report: a CSV file with a line per video.
    """

    path: Path
    counts: Counter[tuple[str, int]]
    left_out: list[tuple[Path, str]]
    report: Path


def extract(
    clips: Sequence[ClipRecord],
    out: Path,
    job: ExtractionJob,
    seed: int = 0,
    jobs: int = 1,
    skipped: Sequence[tuple[Path, str]] = (),
) -> ExtractionResult:
    """Write the annotations of `clips` to `out`, and a line on every clip to `<out stem>_report.csv` in its folder.

    The poses of a video are cached as soon as they are complete: a stopped run resumes with the next video.

    Args:
        clips: the videos and their labels.
        out: the annotation file.
        job: how clips are annotated.
        seed: seed of the split of clips that have none.
        jobs: number of processes; the annotation file doesn't depend on it.
        skipped: files that were left out before, with the reason, for the report.

    Raises:
        FalldetError: no clip can be used, or a file can't be written.
        KeyboardInterrupt: after Ctrl-C; the videos in progress are dropped.
    """
    if seed < 0:
        raise FalldetError(f"seed = {seed} must be at least 0")
    names = frame_dirs([clip.path for clip in clips])
    outcomes = map_clips(job, list(zip(names, clips, strict=True)), jobs, "poses")
    used, annotations, left_out = [], [], list(skipped)
    for clip, outcome in zip(clips, outcomes, strict=True):
        if isinstance(outcome, FalldetError):
            left_out.append((clip.path, str(outcome)))
        else:
            used.append(clip)
            annotations.append(outcome)
    splits = complete_splits(used, seed)
    warn_of_shared_subjects(used, splits)
    annotated = [AnnotatedClip(*each) for each in zip(used, annotations, splits, strict=True)]
    report = out.with_name(f"{out.stem}_report.csv")
    _write_report(report, annotated, left_out)
    if not annotated:
        raise FalldetError(f"none of the {len(clips)} videos could be used; {report} says why")
    dump_annotations({"split": _names_by_split(annotated), "annotations": annotations}, out)
    return ExtractionResult(out, Counter((each.split, each.clip.label) for each in annotated), left_out, report)


def frame_dirs(paths: Sequence[Path]) -> list[str]:
    """Return a printable name for each clip: its path below the common folder, without suffix where that is unique."""
    absolute = [path.absolute() for path in paths]
    shared = min((path.parent for path in absolute), key=lambda parent: len(parent.parts))
    while not all(path.is_relative_to(shared) for path in absolute):
        shared = shared.parent
    full = [path.relative_to(shared).as_posix() for path in absolute]
    short = [str(Path(name).with_suffix("")) for name in full]
    counts = Counter(short)
    names = [printable(name if counts[stem] > 1 else stem) for name, stem in zip(full, short, strict=True)]
    repeated = Counter(names)
    return [f"{name}_{row}" if repeated[name] > 1 else name for row, name in enumerate(names)]


def annotate(clip: ClipRecord, name: str, poses: PoseSequence, tracker: TrackerSettings, people: int = 1) -> Annotation:
    """Return the annotation of one clip: the poses of its main person, or of its first `people` people.

    The main person has the largest sum of person scores over the frames; frames within a labeled fall count
    `FALL_WEIGHT` times.

    Args:
        clip: the clip and its labels.
        name: name of the annotation.
        poses: the people of every frame.
        tracker: settings of the tracker.
        people: most people kept.

    Raises:
        FalldetError: no person was tracked in the clip, or its labeled falls reach beyond its end.
    """
    check_times(clip, float(poses.time_s[-1]))
    falls = [interval.descent for interval in clip.fall_intervals]
    weights = np.ones(len(poses.time_s))
    for start_s, end_s in falls:
        weights[(poses.time_s >= start_s) & (poses.time_s < end_s)] = FALL_WEIGHT
    keypoints, scores, person_scores = _tracks(poses, tracker)
    if not len(keypoints):
        raise FalldetError(f"{clip.path}: no person was found; a clip needs a person in sight for a few frames")
    chosen = np.argsort(-(person_scores * weights).sum(axis=1), kind="stable")[:people]
    annotation: Annotation = {
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
    """Return all tracks: keypoints (M, T, K, 2), joint scores (M, T, K), person scores (M, T); 0 where not seen."""
    tracker = PoseTracker(settings)
    frames = [tracker.update(people, time_s) for time_s, people in poses.frames()]
    ids = sorted({int(i) for people in frames for i in people.track_ids if i != NO_TRACK})
    row_of = {track_id: row for row, track_id in enumerate(ids)}
    shape = (len(ids), len(frames))
    keypoints, scores = np.zeros((*shape, JOINT_COUNT, 2), np.float32), np.zeros((*shape, JOINT_COUNT), np.float32)
    person_scores = np.zeros(shape, np.float32)
    for step, people in enumerate(frames):
        for person in np.flatnonzero(people.track_ids != NO_TRACK):
            row = row_of[int(people.track_ids[person])]
            keypoints[row, step], scores[row, step] = people.keypoints[person], people.scores[person]
            person_scores[row, step] = people.box_scores[person]
    return keypoints, scores, person_scores


def _names_by_split(annotated: Sequence[AnnotatedClip]) -> dict[str, list[str]]:
    return {name: [each.annotation["frame_dir"] for each in annotated if each.split == name] for name in SPLIT_NAMES}


def _write_report(path: Path, annotated: Sequence[AnnotatedClip], left_out: Sequence[tuple[Path, str]]) -> None:
    with atomic_write(path) as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "used", "split", "label", "frames", "frames_with_main_person", "reason"))
        for each in annotated:
            visible = int((each.annotation["keypoint_score"][0] > 0).any(axis=1).sum())
            rows.writerow(
                (
                    printable(each.clip.path),
                    1,
                    each.split,
                    each.clip.label,
                    each.annotation["total_frames"],
                    visible,
                    "",
                )
            )
        for video, reason in left_out:
            rows.writerow((printable(video), 0, "", "", "", "", printable(reason)))
