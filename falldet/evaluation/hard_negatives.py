"""False alarms turned into training data: what the alarmed person did, labeled as no fall, with a picture to check it.

A false alarm is not taken when it overlaps a labeled fall, when its clip has a fall of unknown time, or when its clip
belongs to the test split.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from falldet.data.annotations import dump_annotations
from falldet.data.manifest import ClipRecord
from falldet.evaluation.matching import ClipResult
from falldet.evaluation.replay import replay_clip
from falldet.extraction.clips import frame_dirs
from falldet.extraction.pose_cache import PoseCache, PoseSequence
from falldet.io.files import atomic_write
from falldet.io.video import read_frames
from falldet.pipeline.analyzer import load_recognizer
from falldet.pipeline.config import Config
from falldet.skeleton import JOINT_COUNT
from falldet.stages.recognizer import WindowRecognizer
from falldet.types import Event
from falldet.visualization.overlay import RED, WHITE, draw_skeleton

logger = logging.getLogger(__name__)

BEFORE_S = 3.0
"""Taken from before the alert's onset: one window of two seconds, and one of ordinary life before it."""

AFTER_S = 2.0
"""Taken from after the alert: one window's length, in which the alarm could have been raised again."""

STRIP_FRAMES = 5
STRIP_MARGIN_S = 1.0
"""The picture shows `STRIP_FRAMES` frames from this long before the onset to this long after the alert."""

STRIP_HEIGHT = 360

FILE_NAME = "hard_negatives.pkl"
MARK = "_false_alarm_"
"""Between the clip's name and the alert's time, in the names of annotations and pictures."""


@dataclass(frozen=True, slots=True)
class HardNegatives:
    """What was made of the false alarms.

    Attributes:
        path: the annotation file; None where nothing was taken, and then none is there.
        taken: clips in it.
        pictures: one for each.
        left_out: false alarms that were not taken: the video, the alert's time in seconds and the reason.
    """

    path: Path | None
    taken: int
    pictures: list[Path]
    left_out: list[tuple[Path, float, str]]


def mine_hard_negatives(folder: Path, results: Sequence[ClipResult], cache: PoseCache, config: Config) -> HardNegatives:
    """Write the false alarms of `results` to `folder`: hard_negatives.pkl and a picture each, instead of older ones.

    Args:
        folder: made if it is not there.
        results: the evaluated clips.
        cache: where their poses come from.
        config: that the clips were evaluated with.

    Raises:
        FalldetError: a video can't be read or the folder can't be written.
    """
    names = frame_dirs([result.clip.path for result in results])
    chosen, left_out = [], []
    for result, name in zip(results, names, strict=True):
        for event in (result.events[number] for number in result.match.false_positives):
            reason = _reason_against(result, event)
            if reason:
                left_out.append((result.clip.path, event.alert_s, reason))
            else:
                chosen.append((result, name, event))
    _warn(left_out, chosen)
    recognizer = load_recognizer(config)
    annotations, pictures = [], []
    for result, name, event in tqdm(chosen, unit="alarm", desc="hard negatives", disable=None):
        track = track_of(result.clip, cache.poses(result.clip.path), config, recognizer, event.track_id)
        annotation = annotate_alarm(result, name, event, track)
        annotations.append(annotation)
        picture = folder / f"{annotation['frame_dir'].replace('/', '__')}.png"
        with atomic_write(picture, binary=True) as stream:
            stream.write(cv2.imencode(".png", draw_strip(result.clip.path, event, track))[1].tobytes())
        pictures.append(picture)
    path = folder / FILE_NAME
    for earlier in {*folder.glob(f"*{MARK}*.png")} - {*pictures}:
        earlier.unlink()
    if not annotations:
        path.unlink(missing_ok=True)
        return HardNegatives(None, 0, [], left_out)
    split = {"train": [annotation["frame_dir"] for annotation in annotations], "val": [], "test": []}
    dump_annotations({"split": split, "annotations": annotations}, path)
    return HardNegatives(path, len(annotations), pictures, left_out)


def span_of(event: Event) -> tuple[float, float]:
    """Return the half-open range of seconds that is taken around an alert."""
    return event.start_s - BEFORE_S, event.alert_s + AFTER_S


@dataclass(frozen=True, slots=True)
class Track:
    """One person over a whole video.

    Attributes:
        time_s: (T,) float64, times of the frames that were looked at, in seconds.
        keypoints: (T, K, 2) float32, pixels; 0 where the person was not seen.
        scores: (T, K) float32; 0 where the person was not seen.
        image_hw: height and width of the frames in pixels.
    """

    time_s: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    image_hw: tuple[int, int]

    def between(self, start_s: float, stop_s: float) -> Track:
        """Return the part in [start_s, stop_s)."""
        rows = (self.time_s >= start_s) & (self.time_s < stop_s)
        return replace(self, time_s=self.time_s[rows], keypoints=self.keypoints[rows], scores=self.scores[rows])


def track_of(
    clip: ClipRecord, poses: PoseSequence, config: Config, recognizer: WindowRecognizer, track_id: int
) -> Track:
    """Return the person to whom the chain gives the number `track_id`, in the frames that it looks at."""
    frames = replay_clip(clip, poses, config, recognizer).frames
    keypoints = np.zeros((len(frames), JOINT_COUNT, 2), np.float32)
    scores = np.zeros((len(frames), JOINT_COUNT), np.float32)
    for step, frame in enumerate(frames):
        for row in np.flatnonzero(frame.people.track_ids == track_id):
            keypoints[step], scores[step] = frame.people.keypoints[row], frame.people.scores[row]
    return Track(np.array([frame.time_s for frame in frames]), keypoints, scores, poses.image_hw)


def annotate_alarm(result: ClipResult, name: str, event: Event, track: Track) -> dict[str, Any]:
    """Return the annotation of a false alarm: the alarmed person alone, labeled 0, in the video's own seconds."""
    part = track.between(*span_of(event))
    annotation = {
        "frame_dir": f"{name}{MARK}{event.alert_s:.2f}s_{event.track_id}",
        "label": 0,
        "img_shape": part.image_hw,
        "original_shape": part.image_hw,
        "total_frames": len(part.time_s),
        "keypoint": part.keypoints[None],
        "keypoint_score": part.scores[None],
        "time_s": part.time_s,
        "fall_intervals": [],
        "subject": result.clip.subject,
    }
    if result.clip.source:
        annotation["source"] = result.clip.source
    return annotation


def draw_strip(video: Path, event: Event, track: Track) -> np.ndarray:
    """Return (H, W, 3) uint8 BGR: frames around the alert that show the person, with skeleton and time."""
    first_s = max(event.start_s - STRIP_MARGIN_S, float(track.time_s[0]))
    last_s = min(event.alert_s + STRIP_MARGIN_S, float(track.time_s[-1]))
    moments = np.linspace(first_s, last_s, STRIP_FRAMES)
    seen = np.flatnonzero(track.scores.any(axis=1))
    wanted = [int(seen[np.argmin(np.abs(track.time_s[seen] - moment))]) for moment in moments]
    rows = {round(float(track.time_s[row]), 3): row for row in wanted}
    tiles: dict[int, np.ndarray] = {}
    for frame in read_frames(video):
        row = rows.get(round(frame.time_s, 3))
        if row is not None:
            unit = max(frame.image.shape[:2]) / 640
            draw_skeleton(frame.image, track.keypoints[row], track.scores[row], RED, unit)
            tiles[row] = _tile(frame.image, f"{frame.time_s:.2f} s")
        if len(tiles) == len(rows):
            break
    return np.hstack([tiles[row] for row in wanted])


def _tile(image: np.ndarray, text: str) -> np.ndarray:
    width = max(1, round(image.shape[1] * STRIP_HEIGHT / image.shape[0]))
    tile = cv2.resize(image, (width, STRIP_HEIGHT), interpolation=cv2.INTER_AREA)
    for color, thickness in (((0, 0, 0), 4), (WHITE, 1)):
        cv2.putText(tile, text, (8, STRIP_HEIGHT - 10), cv2.FONT_HERSHEY_DUPLEX, 0.6, color, thickness, cv2.LINE_AA)
    return tile


def _reason_against(result: ClipResult, event: Event) -> str | None:
    start_s, stop_s = span_of(event)
    if result.clip.split == "test":
        return "the clip belongs to the test split"
    if result.clip.label and not result.clip.fall_intervals:
        return "the clip has a fall of unknown time"
    if any(fall.start_s < stop_s and fall.end_s > start_s for fall in result.clip.fall_intervals):
        return "somebody falls there, as labeled"
    return None


def _warn(left_out: Sequence[tuple[Path, float, str]], chosen: Sequence[tuple[ClipResult, str, Event]]) -> None:
    """Say which false alarms must not be learnt from, and which make the validation split less of a test."""
    for reason, count in Counter(reason for _, _, reason in left_out).items():
        logger.warning("false alarms not taken as hard negatives: %d, %s", count, reason)
    from_val = sum(result.clip.split == "val" for result, _, _ in chosen)
    if from_val:
        logger.warning("%d hard negatives are of split val; figures on val say less once they are trained on", from_val)
