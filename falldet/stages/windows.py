"""Cuts each person's track into overlapping windows, in seconds, and labels the windows of annotated clips.

The live chain (`WindowBuffer`) and training (`label_windows`) resample with the same function, so a window means the same
thing on both sides and at every frame rate.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from falldet.stages.frame_sampling import FrameSampler, SamplingSettings
from falldet.types import NO_TRACK, People, Window

WINDOW_FRAMES = 48
"""Frames every window is resampled to: the clip length of the reference recipe."""

FALL = 1
NOT_FALL = 0


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How tracks are cut.

    Attributes:
        length_s: length of a window.
        stride_s: time from one window to the next; all people's windows stop at the same moments.
        min_track_s: a track is scored from this age on, so that nobody who enters the picture falling is missed.
        linger_s: how long windows go on after a person was last seen, the last pose held.
    """

    length_s: float = 2.0
    stride_s: float = 0.25
    min_track_s: float = 0.4
    linger_s: float = 0.5

    def __post_init__(self) -> None:
        """Raise ValueError where a time is out of order."""
        if not 0 < self.stride_s <= self.length_s:
            raise ValueError(f"stride_s = {self.stride_s} must be above 0 and at most length_s = {self.length_s}")
        if self.min_track_s < 0 or self.linger_s < 0:
            raise ValueError("min_track_s and linger_s must not be negative")


@dataclass(slots=True)
class _Track:
    first_s: float
    times: deque[float] = field(default_factory=deque)
    poses: deque[tuple[np.ndarray, np.ndarray]] = field(default_factory=deque)


class WindowBuffer:
    """Collects poses and hands out the windows that are complete.

    Memory is bounded: observations older than a window are dropped, and so are people who have gone.
    """

    def __init__(self, settings: WindowSettings | None = None) -> None:
        self.settings = settings or WindowSettings()
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        self._tracks: dict[int, _Track] = {}
        self._next_stop_s: float | None = None
        self._last_s = 0.0
        self._image_hw = (0, 0)

    def push(self, time_s: float, people: People, image_hw: tuple[int, int]) -> list[Window]:
        """Take the tracked people of the frame at `time_s`; return the windows that end by then.

        Args:
            time_s: time of the frame, later than the last one.
            people: with track ids; people without one are passed over.
            image_hw: height and width of the frame in pixels.
        """
        if self._next_stop_s is None:
            self._next_stop_s = time_s + self.settings.stride_s
        windows = []
        while time_s >= self._next_stop_s:
            windows += self._cut(self._next_stop_s)
            empty = 0 if self._tracks else (time_s - self._next_stop_s) // self.settings.stride_s  # nobody to cut for
            self._next_stop_s += (empty + 1) * self.settings.stride_s
        for row in np.flatnonzero(people.track_ids != NO_TRACK):
            track = self._tracks.setdefault(int(people.track_ids[row]), _Track(first_s=time_s))
            track.times.append(time_s)
            track.poses.append((people.keypoints[row], people.scores[row]))
        self._last_s, self._image_hw = time_s, image_hw
        return windows

    def flush(self) -> list[Window]:
        """Return one last window per person, up to and including the last frame, and forget everybody."""
        windows = self._cut(np.nextafter(self._last_s, np.inf)) if self._tracks else []
        self.reset()
        return windows

    def _cut(self, stop_s: float) -> list[Window]:
        start_s = stop_s - self.settings.length_s
        windows = []
        for track_id, track in list(self._tracks.items()):
            while track.times and track.times[0] < start_s:
                track.times.popleft()
                track.poses.popleft()
            if not track.times:
                del self._tracks[track_id]
            elif self._is_due(track, stop_s):
                windows.append(self._window(track_id, track, start_s, stop_s))
        return windows

    def _is_due(self, track: _Track, stop_s: float) -> bool:
        seen_s = track.times[-1]
        return seen_s - track.first_s >= self.settings.min_track_s and stop_s - seen_s <= self.settings.linger_s

    def _window(self, track_id: int, track: _Track, start_s: float, stop_s: float) -> Window:
        keypoints, scores = zip(*track.poses, strict=True)
        return Window(
            track_id, start_s, stop_s, np.array(track.times), np.stack(keypoints), np.stack(scores), self._image_hw
        )


def resample(window: Window, frames: int = WINDOW_FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """Return `frames` poses at evenly spaced moments of the window: keypoints (frames, K, 2), scores (frames, K).

    Each moment, the middle of one of `frames` equal parts, takes the observation nearest in time; before the first
    and after the last one their pose is held. Speed stays true, whatever the frame rate.
    """
    length_s = window.stop_s - window.start_s
    moments = window.start_s + (np.arange(frames) + 0.5) * (length_s / frames)
    if len(window.time_s) == 1:
        nearest = np.zeros(frames, np.int64)
    else:
        halfway = (window.time_s[1:] + window.time_s[:-1]) / 2
        nearest = np.searchsorted(halfway, moments)
    return window.keypoints[nearest], window.scores[nearest]


def label_windows(
    annotation: dict[str, Any],
    length_s: float = 2.0,
    stride_s: float = 0.25,
    min_track_s: float = 0.4,
    linger_s: float = 0.5,
    fall_overlap: float = 0.6,
    clear_overlap: float = 0.15,
    speeds: Sequence[float] = (1.0,),
    poses_per_s: Sequence[float] = (0.0,),
) -> list[dict[str, Any]]:
    """Cut one annotated clip into the windows that the live chain would see, each with its own label.

    A window is a fall when at least `fall_overlap` of the going down of one interval lies in it and the person was
    seen during it; not a fall when at most `clear_overlap` does; in between it teaches nothing and is left out. Lying
    afterwards is not a fall. The first person of a clip is the one who falls. Another who is in sight beside the first
    during a fall is a bystander, whose windows of that time are left out; one who isn't is taken for the first under
    another track id.

    Args:
        annotation: an entry of the keypoint pickle with `time_s` (T,) and `fall_intervals`, seconds.
        length_s: window length, as in `WindowSettings`; so are `stride_s`, `min_track_s` and `linger_s`.
        stride_s: time from one window to the next.
        min_track_s: age from which a track is scored.
        linger_s: how long windows go on after a person was last seen.
        fall_overlap: share of the going down that makes a window a fall.
        clear_overlap: share up to which a window is not a fall.
        speeds: windows take these speeds in turn. At 1.25 a window holds 1.25 * length_s, so that everybody in it
            moves 1.25 times as fast as at 1.
        poses_per_s: windows take these rates in turn, as `falldet.stages.frame_sampling.SamplingSettings`; 0 takes every frame.

    Returns:
        Annotations of `WINDOW_FRAMES` frames and one person (M = 1), named `<frame_dir>@<track>@<stop_s>`.
    """
    kinds = [
        (WindowSettings(length_s * speed, stride_s, min_track_s, linger_s), rate)
        for speed, rate in itertools.product(speeds, poses_per_s)
    ]
    falls = annotation.get("fall_intervals", [])
    samples = []
    for person in range(len(annotation["keypoint"])):
        bystander = _sees_fall(annotation, person)
        for turn, kind in enumerate(kinds):
            for window in _person_windows(annotation, person, *kind):
                stride = round((window.stop_s - annotation["time_s"][0]) / stride_s)
                label = _label(window, falls, fall_overlap, clear_overlap)
                if stride % len(kinds) == turn and label is not None and not (label == FALL and bystander):
                    samples.append(_sample(annotation, window, label))
    return samples


def _person_windows(
    annotation: dict[str, Any], person: int, settings: WindowSettings, poses_per_s: float
) -> list[Window]:
    buffer, pace = WindowBuffer(settings), FrameSampler(SamplingSettings(poses_per_s))
    windows: list[Window] = []
    image_hw = tuple(annotation["img_shape"])
    times, scores = annotation["time_s"], annotation["keypoint_score"][person]
    poses = zip(times.tolist(), annotation["keypoint"][person], scores, strict=True)
    for (time_s, pose, score), due in sampling.chosen(poses, lambda pose: pose[0]):
        if not due:
            continue
        seen = slice(0, 1 if score.any() else 0)
        people = People(
            pose[None][seen], score[None][seen], np.zeros((1, 4))[seen], np.ones(1)[seen], np.full(1, person)[seen]
        )
        windows += buffer.push(time_s, people, image_hw)
    return windows + buffer.flush()


def _sees_fall(annotation: dict[str, Any], person: int) -> bool:
    """Whether `person` and the first one are in sight together while the first one falls."""
    if person == 0:
        return False
    together = (annotation["keypoint_score"][[0, person]] > 0).any(axis=2).all(axis=0)  # (T,)
    times = annotation["time_s"][together]
    return any(((times >= start_s) & (times < end_s)).any() for start_s, end_s in annotation.get("fall_intervals", []))


def _label(window: Window, falls: list[list[float]], fall_overlap: float, clear_overlap: float) -> int | None:
    first_s, last_s = window.time_s[0], window.time_s[-1]
    share = 0.0
    for start_s, stop_s in falls:
        overlap_s = min(stop_s, last_s) - max(start_s, first_s)
        share = max(share, overlap_s / max(stop_s - start_s, 1e-6))
    if share >= fall_overlap:
        return FALL
    return NOT_FALL if share <= clear_overlap else None


def _sample(annotation: dict[str, Any], window: Window, label: int) -> dict[str, Any]:
    keypoints, scores = resample(window)
    return {
        "frame_dir": f"{annotation['frame_dir']}@{window.track_id}@{window.stop_s:.2f}",
        "label": label,
        "img_shape": annotation["img_shape"],
        "original_shape": annotation["original_shape"],
        "total_frames": WINDOW_FRAMES,
        "keypoint": keypoints[None].astype(np.float32),
        "keypoint_score": scores[None].astype(np.float32),
    }
