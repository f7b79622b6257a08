"""Training samples: an annotated clip cut into the windows that the pipeline would score, each with its own label."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from falldet.data.annotations import Annotation
from falldet.stages.frame_sampling import FrameSampler, SamplingSettings
from falldet.stages.preprocessing import WINDOW_FRAMES, resample
from falldet.stages.windows import WindowBuffer, WindowSettings
from falldet.types import People, Window

FALL = 1
NOT_FALL = 0

FALL_OVERLAP = 0.5
"""Share of a descent from which a window that covers it is a fall."""

CLEAR_OVERLAP = 0.15
"""Share of a descent up to which a window that covers it is not a fall."""


def label_windows(
    annotation: Annotation,
    settings: WindowSettings | None = None,
    *,
    fall_overlap: float = FALL_OVERLAP,
    clear_overlap: float = CLEAR_OVERLAP,
    speeds: Sequence[float] = (1.0,),
    pose_fps: Sequence[float] = (0.0,),
) -> list[Annotation]:
    """Cut one annotated clip into the windows that the pipeline would score, each labeled `FALL` or `NOT_FALL`.

    A window is a fall where the person was visible in it over at least `fall_overlap` of a descent, and not a fall
    where it was at most `clear_overlap`. Windows in between are ambiguous and left out. Lying after the descent is not
    a fall.

    The fall intervals are those of the clip's first person. A person visible together with the first one during a fall
    is a bystander: the bystander's fall windows are left out. Any other person is taken for the first one under another
    track id.

    Args:
        annotation: a clip with `time_s` and `fall_intervals`.
        settings: how tracks are cut into windows.
        fall_overlap: share of a descent that makes a window a fall. Higher: fewer, clearer falls.
        clear_overlap: share up to which a window is not a fall. Higher: more windows, less clear ones.
        speeds: playback speeds, taken by the windows in turn. At 1.25 a window holds 1.25 times its length, so that
            motion in it is 1.25 times as fast as at 1.
        pose_fps: rates of pose estimation, taken by the windows in turn; as `SamplingSettings.active_fps`, 0 takes
            every frame.

    Returns:
        Annotations of `WINDOW_FRAMES` frames and one person (M = 1), named `<frame_dir>@<person>@<stop_s>`.
    """
    settings = settings or WindowSettings()
    variants = [
        (replace(settings, length_s=settings.length_s * speed), rate)
        for speed, rate in itertools.product(speeds, pose_fps)
    ]
    falls = annotation.get("fall_intervals", [])
    samples = []
    for person in range(len(annotation["keypoint"])):
        bystander = _is_bystander(annotation, person)
        for turn, variant in enumerate(variants):
            for window in _person_windows(annotation, person, *variant):
                stride = round((window.stop_s - annotation["time_s"][0]) / settings.stride_s)
                label = _label(window, falls, fall_overlap, clear_overlap)
                if stride % len(variants) == turn and label is not None and not (label == FALL and bystander):
                    samples.append(_sample(annotation, window, label))
    return samples


def _person_windows(annotation: Annotation, person: int, settings: WindowSettings, pose_fps: float) -> list[Window]:
    """Return the windows of one person, cut by the pipeline's own buffer in the frames that its sampler processes."""
    buffer, sampler = WindowBuffer(settings), FrameSampler(SamplingSettings(pose_fps))
    windows: list[Window] = []
    poses = zip(
        annotation["time_s"].tolist(), annotation["keypoint"][person], annotation["keypoint_score"][person], strict=True
    )
    for (time_s, keypoints, scores), process in sampler.sample(poses, lambda pose: pose[0]):
        if process:
            windows += buffer.push(time_s, _as_people(keypoints, scores, person), annotation["img_shape"])
    return windows + buffer.flush()


def _as_people(keypoints: np.ndarray, scores: np.ndarray, track_id: int) -> People:
    """Return the person with pose (K, 2) and joint scores (K,), or no person where every joint is missing."""
    rows = slice(0, int(scores.any()))
    return People(keypoints[None], scores[None], np.zeros((1, 4)), np.ones(1), np.array([track_id]))[rows]


def _is_bystander(annotation: Annotation, person: int) -> bool:
    """Whether `person` is another than the first one: both are visible at once during a fall."""
    if person == 0:
        return False
    together = (annotation["keypoint_score"][[0, person]] > 0).any(axis=2).all(axis=0)  # (T,)
    times = annotation["time_s"][together]
    return any(((times >= start_s) & (times < end_s)).any() for start_s, end_s in annotation.get("fall_intervals", []))


def _label(window: Window, falls: list[list[float]], fall_overlap: float, clear_overlap: float) -> int | None:
    first_s, last_s = window.time_s[0], window.time_s[-1]
    share = 0.0
    for start_s, end_s in falls:
        overlap_s = min(end_s, last_s) - max(start_s, first_s)
        share = max(share, overlap_s / max(end_s - start_s, 1e-6))
    if share >= fall_overlap:
        return FALL
    return NOT_FALL if share <= clear_overlap else None


def _sample(annotation: Annotation, window: Window, label: int) -> Annotation:
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
