"""Labels for training: an annotated clip cut into the windows that the pipeline would see, each fall or not fall."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from falldet.stages.frame_sampling import FrameSampler, SamplingSettings
from falldet.stages.preprocessing import WINDOW_FRAMES, resample
from falldet.stages.windows import WindowBuffer, WindowSettings
from falldet.types import People, Window

FALL = 1
NOT_FALL = 0

FALL_OVERLAP = 0.5
"""Share of a descent that must lie in a window to make it a fall."""


def label_windows(
    annotation: dict[str, Any],
    length_s: float = 2.0,
    stride_s: float = 0.25,
    min_track_s: float = 0.4,
    linger_s: float = 0.5,
    fall_overlap: float = FALL_OVERLAP,
    clear_overlap: float = 0.15,
    speeds: Sequence[float] = (1.0,),
    pose_fps: Sequence[float] = (0.0,),
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
        pose_fps: windows take these rates in turn, as `falldet.stages.frame_sampling.SamplingSettings`; 0 takes every frame.

    Returns:
        Annotations of `WINDOW_FRAMES` frames and one person (M = 1), named `<frame_dir>@<track>@<stop_s>`.
    """
    kinds = [
        (WindowSettings(length_s * speed, stride_s, min_track_s, linger_s), rate)
        for speed, rate in itertools.product(speeds, pose_fps)
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
    annotation: dict[str, Any], person: int, settings: WindowSettings, pose_fps: float
) -> list[Window]:
    buffer, sampler = WindowBuffer(settings), FrameSampler(SamplingSettings(pose_fps))
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
