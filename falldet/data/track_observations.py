"""The tracks of an annotated clip as the pipeline would have observed them at a rate of pose estimation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from falldet.data.annotations import Annotation
from falldet.geometry import keypoint_boxes
from falldet.stages.frame_sampling import FrameSampler, SamplingSettings
from falldet.stages.tracking import PoseTracker
from falldet.stages.windows import WindowSettings
from falldet.types import People, Window

Rate = float | Sequence[float]
"""Inferences per second; 0 for every frame; a pair for moving and still people."""


@dataclass(frozen=True, slots=True)
class TrackObservations:
    """One track of a clip in the processed frames in which it was visible.

    Attributes:
        track_id: index of the person in the annotation.
        time_s: (T,) float64, ascending, seconds.
        keypoints: (T, K, 2) float32, pixels.
        scores: (T, K) float32.
    """

    track_id: int
    time_s: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray

    def due_at(self, stop_s: float, settings: WindowSettings) -> int:
        """Return the number of observations before `stop_s`, or 0 where `WindowBuffer` would cut no window there."""
        count = int(np.searchsorted(self.time_s, stop_s))
        if not count or self.time_s[count - 1] - self.time_s[0] < settings.min_track_s:
            return 0
        return count if stop_s - self.time_s[count - 1] <= settings.linger_s else 0

    def window(self, stop_s: float, count: int, length_s: float, image_hw: tuple[int, int]) -> Window:
        """Return the window of `length_s` that ends at `stop_s`, from the first `count` observations."""
        start_s = stop_s - length_s
        first = max(int(np.searchsorted(self.time_s[:count], start_s)) - 1, 0)
        part = slice(first, count)
        return Window(
            self.track_id, start_s, stop_s, self.time_s[part], self.keypoints[part], self.scores[part], image_hw
        )


def observe_tracks(annotation: Annotation, rate: Rate) -> list[TrackObservations]:
    """Return the tracks of a clip in the frames that the pipeline's sampler processes at `rate`."""
    frames = _processed_frames(annotation, rate)
    time_s = np.asarray(annotation["time_s"])[frames]
    tracks = []
    for person, (keypoints, scores) in enumerate(
        zip(annotation["keypoint"], annotation["keypoint_score"], strict=True)
    ):
        keypoints, scores = keypoints[frames], scores[frames]
        visible = scores.any(axis=1)
        if visible.any():
            tracks.append(TrackObservations(person, time_s[visible], keypoints[visible], scores[visible]))
    return tracks


def _processed_frames(annotation: Annotation, rate: Rate) -> np.ndarray:
    """Return the indices (F,) int64 of the frames that the sampler processes."""
    active_fps, idle_fps = (rate, rate) if isinstance(rate, int | float) else rate
    total = len(annotation["time_s"])
    if active_fps == 0:
        return np.arange(total)
    sampler = FrameSampler(SamplingSettings(active_fps, idle_fps, full_rate_hold_s=0))
    tracker = PoseTracker()
    frames = []
    for (index, time_s), process in sampler.sample(enumerate(annotation["time_s"].tolist()), lambda frame: frame[1]):
        if process:
            frames.append(index)
            if active_fps != idle_fps:
                tracker.update(_people(annotation, index), time_s)
                sampler.update(time_s, tracker.speed(time_s), [])
    return np.array(frames, dtype=np.int64)


def _people(annotation: Annotation, index: int) -> People:
    """Return the people of one frame of an annotation, without track ids."""
    scores = annotation["keypoint_score"][:, index]
    visible = scores.any(axis=1)
    keypoints, scores = annotation["keypoint"][visible, index], scores[visible]
    return People(keypoints, scores, keypoint_boxes(keypoints, scores), scores.mean(axis=1))
