"""Hard negatives: false alarms as training data, labeled not a fall, each with a strip of thumbnails for review.

A false alarm is left out where it overlaps a labeled fall, where its clip has a fall of unknown time, or where its clip
belongs to the test split.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from falldet.data.annotations import Annotation, dump_annotations
from falldet.data.manifest import ClipRecord
from falldet.evaluation.matching import ClipResult
from falldet.evaluation.replay import replay_clip
from falldet.evaluation.thumbnails import draw_strip
from falldet.extraction.clips import frame_dirs
from falldet.extraction.pose_cache import PoseCache, PoseSequence
from falldet.io.files import atomic_write
from falldet.io.video import Rotation
from falldet.pipeline.analyzer import load_recognizer
from falldet.pipeline.config import Config
from falldet.skeleton import JOINT_COUNT
from falldet.stages.recognizer import WindowRecognizer
from falldet.types import Event

logger = logging.getLogger(__name__)

SAMPLE_BEFORE_S = 5.0
"""Taken from before the alert's onset: one window of four seconds, and a second of the motion before it."""

SAMPLE_AFTER_S = 2.0
"""Taken from after the alert: the time in which a window would be a fall, had it been one."""

FILE_NAME = "hard_negatives.pkl"
MAX_NAME = 56
"""Characters of a thumbnail's name, longer ones give their end with a hash; a character may take four bytes."""

MARK = "_false_alarm_"
"""Between the clip's name and the alert's time, in the names of annotations and thumbnails."""


@dataclass(frozen=True, slots=True)
class FalseAlarmSample:
    """A false alarm to train on: the clip's result, its name among all clips, and the event."""

    result: ClipResult
    clip_name: str
    event: Event


@dataclass(frozen=True, slots=True)
class HardNegatives:
    """The hard negatives of an evaluation.

    Attributes:
        path: the annotation file; None, and no file, where no false alarm was taken.
        taken: number of annotations in it.
        thumbnails: a strip of images for each.
        left_out: false alarms that were not taken: video, alert time in seconds, reason.
    """

    path: Path | None
    taken: int
    thumbnails: list[Path]
    left_out: list[tuple[Path, float, str]]


@dataclass(frozen=True, slots=True)
class TrackPoses:
    """Poses of one track over a whole video.

    Attributes:
        time_s: (T,) float64, times of the processed frames in seconds.
        keypoints: (T, K, 2) float32, pixels; 0 where the person was not seen.
        scores: (T, K) float32; 0 where the person was not seen.
        image_hw: height and width of the frames in pixels.
    """

    time_s: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    image_hw: tuple[int, int]

    def between(self, start_s: float, stop_s: float) -> TrackPoses:
        """Return the part in [start_s, stop_s)."""
        rows = (self.time_s >= start_s) & (self.time_s < stop_s)
        return replace(self, time_s=self.time_s[rows], keypoints=self.keypoints[rows], scores=self.scores[rows])


def mine_hard_negatives(folder: Path, results: Sequence[ClipResult], cache: PoseCache, config: Config) -> HardNegatives:
    """Write the false alarms of `results` to `folder`: hard_negatives.pkl and a strip of thumbnails each.

    Files of an earlier run are removed.

    Args:
        folder: made where it doesn't exist.
        results: the evaluated clips.
        cache: the poses of their videos.
        config: the configuration that the clips were evaluated with.

    Raises:
        FalldetError: a video can't be read or the folder can't be written.
    """
    samples, left_out = _select(results)
    _warn(samples, left_out)
    recognizer = load_recognizer(config)
    annotations, thumbnails = [], []
    for sample in tqdm(samples, unit="alarm", desc="hard negatives", disable=None):
        clip = sample.result.clip
        poses = track_poses(clip, cache.poses(clip.path), config, recognizer, sample.event.track_id)
        annotation = annotate_false_alarm(sample, poses)
        annotations.append(annotation)
        thumbnails.append(folder / f"{_file_name(annotation['frame_dir'])}.png")
        _write_thumbnails(thumbnails[-1], sample, poses, config.video.rotate)
    for earlier in {*folder.glob(f"*{MARK}*.png")} - {*thumbnails}:
        earlier.unlink()
    path = folder / FILE_NAME
    if not annotations:
        path.unlink(missing_ok=True)
        return HardNegatives(None, 0, [], left_out)
    split = {"train": [annotation["frame_dir"] for annotation in annotations], "val": [], "test": []}
    dump_annotations({"split": split, "annotations": annotations}, path)
    return HardNegatives(path, len(annotations), thumbnails, left_out)


def _file_name(frame_dir: str) -> str:
    """Return a name for the thumbnails of an annotation, short enough for a file system, and its own."""
    name = frame_dir.replace("/", "__")
    if len(name) <= MAX_NAME:
        return name
    return f"{hashlib.sha256(name.encode()).hexdigest()[:8]}_{name[-MAX_NAME:]}"


def sample_span(event: Event) -> tuple[float, float]:
    """Return the half-open range of seconds that is taken around an alert."""
    return event.start_s - SAMPLE_BEFORE_S, event.alert_s + SAMPLE_AFTER_S


def track_poses(
    clip: ClipRecord, poses: PoseSequence, config: Config, recognizer: WindowRecognizer, track_id: int
) -> TrackPoses:
    """Return the poses of the track `track_id` of a clip, in the frames that the sampler processes."""
    frames = replay_clip(clip, poses, config, recognizer).frames
    keypoints = np.zeros((len(frames), JOINT_COUNT, 2), np.float32)
    scores = np.zeros((len(frames), JOINT_COUNT), np.float32)
    for step, frame in enumerate(frames):
        for row in np.flatnonzero(frame.people.track_ids == track_id):
            keypoints[step], scores[step] = frame.people.keypoints[row], frame.people.scores[row]
    return TrackPoses(np.array([frame.time_s for frame in frames]), keypoints, scores, poses.image_hw)


def annotate_false_alarm(sample: FalseAlarmSample, poses: TrackPoses) -> Annotation:
    """Return the annotation of a false alarm: its person alone, labeled 0, in the seconds of the video."""
    event, clip, part = sample.event, sample.result.clip, poses.between(*sample_span(sample.event))
    annotation: Annotation = {
        "frame_dir": f"{sample.clip_name}{MARK}{event.alert_s:.2f}s_{event.track_id}",
        "label": 0,
        "img_shape": part.image_hw,
        "original_shape": part.image_hw,
        "total_frames": len(part.time_s),
        "keypoint": part.keypoints[None],
        "keypoint_score": part.scores[None],
        "time_s": part.time_s,
        "fall_intervals": [],
        "subject": clip.subject,
    }
    if clip.source:
        annotation["source"] = clip.source
    return annotation


def _select(results: Sequence[ClipResult]) -> tuple[list[FalseAlarmSample], list[tuple[Path, float, str]]]:
    """Return the false alarms to train on, and the others with the reason."""
    names = frame_dirs([result.clip.path for result in results])
    samples, left_out = [], []
    for result, name in zip(results, names, strict=True):
        for event in (result.events[index] for index in result.match.false_positives):
            reason = _reason_against(result, event)
            if reason:
                left_out.append((result.clip.path, event.alert_s, reason))
            else:
                samples.append(FalseAlarmSample(result, name, event))
    return samples, left_out


def _reason_against(result: ClipResult, event: Event) -> str | None:
    start_s, stop_s = sample_span(event)
    if result.clip.split == "test":
        return "the clip belongs to the test split"
    if result.clip.label and not result.clip.fall_intervals:
        return "the clip has a fall of unknown time"
    if any(fall.start_s < stop_s and fall.end_s > start_s for fall in result.clip.fall_intervals):
        return "it overlaps a labeled fall"
    return None


def _warn(samples: Sequence[FalseAlarmSample], left_out: Sequence[tuple[Path, float, str]]) -> None:
    """Say which false alarms are left out, and which make the validation split less independent."""
    for reason, count in Counter(reason for _, _, reason in left_out).items():
        logger.warning("false alarms not taken as hard negatives: %d, %s", count, reason)
    from_val = sum(sample.result.clip.split == "val" for sample in samples)
    if from_val:
        logger.warning("%d hard negatives are of split val; metrics on val say less once they are trained on", from_val)


def _write_thumbnails(path: Path, sample: FalseAlarmSample, poses: TrackPoses, rotate: Rotation) -> None:
    strip = draw_strip(sample.result.clip.path, sample.event, poses.time_s, poses.keypoints, poses.scores, rotate)
    with atomic_write(path, binary=True) as stream:
        stream.write(cv2.imencode(".png", strip)[1].tobytes())
