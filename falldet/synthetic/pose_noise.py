"""What a pose model would report of a scene: true joints made uncertain, and the annotations to train on.

The numbers follow MoveNet MultiPose on real clips: scores around 0.5 with a wide spread, wrists and ankles the least
sure, joints on the far side of the body weaker, people lost in quick motion.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from falldet.skeleton import JOINT_NAMES
from falldet.synthetic.random_scenes import random_scene
from falldet.synthetic.scene import Scene

_SURE = {"shoulder": 0.62, "hip": 0.62, "elbow": 0.46, "wrist": 0.36, "knee": 0.44, "ankle": 0.40}
_TYPICAL_SCORE = np.array([_SURE.get(name.split("_")[-1], 0.46) for name in JOINT_NAMES])
_LEGS = np.array([name.split("_")[-1] in ("knee", "ankle") for name in JOINT_NAMES])


def keypoint_clips(count: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield `count` annotations in the form of `falldet.data.annotations`, one person each, every second one a fall."""
    made = 0
    while made < count:
        scene = random_scene(rng, falls=made % 2 == 0)
        annotation = annotate_scene(scene, f"scenes/{made:05d}", rng)
        if annotation["keypoint_score"].any(axis=(0, 2)).mean() > 0.5:
            made += 1
            yield annotation


def annotate_scene(scene: Scene, name: str, rng: np.random.Generator) -> dict[str, Any]:
    """Return the annotation of the first person of a scene as a pose model would see it."""
    keypoints, scores = scene.keypoints()
    depth = scene.camera.project(scene.points(scene.frame_times())[:, 0, : len(JOINT_NAMES)])[1]
    keypoints, scores = observe_joints(keypoints[:, 0], scores[:, 0], depth, rng)
    falls = [[start_s, stop_s] for person, start_s, stop_s in scene.falls() if person == 0]
    shape = (scene.camera.height, scene.camera.width)
    return {
        "frame_dir": name,
        "label": int(bool(falls)),
        "img_shape": shape,
        "original_shape": shape,
        "total_frames": len(scores),
        "keypoint": keypoints[None].astype(np.float32),
        "keypoint_score": scores[None].astype(np.float32),
        "time_s": scene.frame_times(),
        "fall_intervals": falls,
        "source": "scenes",
    }


def observe_joints(
    keypoints: np.ndarray, seen: np.ndarray, depth: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return keypoints (T, K, 2) and scores (T, K) with the faults of a pose model; a missing joint is (0, 0) with 0.

    Args:
        keypoints: (T, K, 2) true pixels.
        seen: (T, K), 0 where a joint is out of the picture.
        depth: (T, K) metres from the camera.
        rng: where chance comes from.
    """
    frames, joints = seen.shape
    far_m = depth - np.median(depth, axis=1, keepdims=True)
    clarity = rng.normal(0, 0.7) + rng.normal(0, 0.4, joints) + _wander(rng, frames, joints, 0.5)
    clarity = clarity - np.clip(far_m, 0, 0.4) * 4
    if rng.random() < 0.2:
        clarity = clarity - 2.5 * _LEGS  # hidden behind furniture
    odds = np.log(_TYPICAL_SCORE / (1 - _TYPICAL_SCORE)) + clarity
    scores = 1 / (1 + np.exp(-odds))
    size = _size(keypoints, seen)
    blur = rng.uniform(0.006, 0.02) + 0.05 * (1 - scores) ** 2
    shaken = keypoints + size * blur[..., None] * _wander(rng, frames, joints * 2, 1.0).reshape(frames, joints, 2)
    present = _presence(keypoints, size, rng)
    scores = np.where((seen > 0) & present[:, None], scores, 0)
    return np.where(scores[..., None] > 0, shaken, 0), scores


def _size(keypoints: np.ndarray, seen: np.ndarray) -> float:
    """Return the median longer side of the person's box in pixels, over the frames with all joints, or else any."""
    whole = (seen > 0).all(axis=1)
    sides = np.ptp(keypoints[whole if whole.any() else slice(None)], axis=1).max(axis=1)
    return float(max(np.median(sides), 1.0))


def _wander(rng: np.random.Generator, frames: int, columns: int, spread: float) -> np.ndarray:
    """Return noise (T, columns) of standard deviation `spread` that lasts over a few frames."""
    steps = rng.normal(0, spread, (frames, columns))
    noise = np.empty_like(steps)
    last = steps[0]
    for frame in range(frames):
        last = 0.7 * last + np.sqrt(1 - 0.7**2) * steps[frame]
        noise[frame] = last
    return noise


def _presence(keypoints: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Return in which frames (T,) the person is found: lost now and then, most of all in quick motion."""
    frames = len(keypoints)
    pace = np.linalg.norm(np.diff(keypoints.mean(axis=1), axis=0, prepend=keypoints[:1].mean(axis=1)), axis=1) / size
    present = rng.random(frames) > 0.02 + np.clip(pace * 2, 0, 0.3) * rng.random()
    if rng.random() < 0.25:
        start, length = rng.integers(frames), rng.integers(1, max(2, frames // 6))
        present[start : start + length] = False
    if rng.random() < 0.2:
        present[: rng.integers(max(1, frames // 3))] = False
    return present
