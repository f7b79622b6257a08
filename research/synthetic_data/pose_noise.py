"""Pose noise: the true joints of a scene with the errors of a pose model, and annotations to train on.

The parameters follow MoveNet MultiPose on real clips: scores around 0.5 with a wide spread, lowest for wrists and
ankles, lower on the far side of the body, and people lost in fast motion.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from falldet.skeleton import JOINT_NAMES
from falldet.synthetic.scene import Scene
from research.synthetic_data.random_scenes import random_scene

_SCORES = {"shoulder": 0.62, "hip": 0.62, "elbow": 0.46, "wrist": 0.36, "knee": 0.44, "ankle": 0.40}
_TYPICAL_SCORE = np.array([_SCORES.get(name.split("_")[-1], 0.46) for name in JOINT_NAMES])
_LEGS = np.array([name.split("_")[-1] in ("knee", "ankle") for name in JOINT_NAMES])


def keypoint_clips(count: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield `count` annotations of one person each, as in `falldet.data.annotations`, every second one with a fall."""
    made = 0
    while made < count:
        scene = random_scene(rng, falls=made % 2 == 0)
        annotation = annotate_scene(scene, f"scenes/{made:05d}", rng)
        if annotation["keypoint_score"].any(axis=(0, 2)).mean() > 0.5:
            made += 1
            yield annotation


def annotate_scene(scene: Scene, name: str, rng: np.random.Generator) -> dict[str, Any]:
    """Return the annotation of the first person of a scene, with pose noise."""
    keypoints, scores = scene.keypoints()
    depth = scene.camera.project(scene.points(scene.frame_times())[:, 0, : len(JOINT_NAMES)])[1]
    keypoints, scores = add_pose_noise(keypoints[:, 0], scores[:, 0], depth, rng)
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


def add_pose_noise(
    keypoints: np.ndarray, visible: np.ndarray, depth: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return keypoints (T, K, 2) and scores (T, K) with the errors of a pose model; a missing joint is (0, 0) with 0.

    Args:
        keypoints: (T, K, 2) true pixels.
        visible: (T, K), 0 where a joint is outside the image.
        depth: (T, K) metres from the camera.
        rng: source of randomness.
    """
    frames, joints = visible.shape
    far_m = depth - np.median(depth, axis=1, keepdims=True)
    clarity = rng.normal(0, 0.7) + rng.normal(0, 0.4, joints) + _drift(rng, frames, joints, 0.5)
    clarity = clarity - np.clip(far_m, 0, 0.4) * 4
    if rng.random() < 0.2:
        clarity = clarity - 2.5 * _LEGS  # hidden behind furniture
    odds = np.log(_TYPICAL_SCORE / (1 - _TYPICAL_SCORE)) + clarity
    scores = 1 / (1 + np.exp(-odds))
    size = _size(keypoints, visible)
    blur = rng.uniform(0.006, 0.02) + 0.05 * (1 - scores) ** 2
    shaken = keypoints + size * blur[..., None] * _drift(rng, frames, joints * 2, 1.0).reshape(frames, joints, 2)
    present = _presence(keypoints, size, rng)
    scores = np.where((visible > 0) & present[:, None], scores, 0)
    return np.where(scores[..., None] > 0, shaken, 0), scores


def _size(keypoints: np.ndarray, visible: np.ndarray) -> float:
    """Return the median longer box side in pixels, over the frames with all joints if there are any."""
    whole = (visible > 0).all(axis=1)
    sides = np.ptp(keypoints[whole if whole.any() else slice(None)], axis=1).max(axis=1)
    return float(max(np.median(sides), 1.0))


def _drift(rng: np.random.Generator, frames: int, columns: int, spread: float) -> np.ndarray:
    """Return autocorrelated noise (T, columns) of standard deviation `spread`."""
    steps = rng.normal(0, spread, (frames, columns))
    noise = np.empty_like(steps)
    last = steps[0]
    for frame in range(frames):
        last = 0.7 * last + np.sqrt(1 - 0.7**2) * steps[frame]
        noise[frame] = last
    return noise


def _presence(keypoints: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Return a mask (T,) of the frames in which the person is detected; fast motion has more gaps."""
    frames = len(keypoints)
    speed = np.linalg.norm(np.diff(keypoints.mean(axis=1), axis=0, prepend=keypoints[:1].mean(axis=1)), axis=1) / size
    present = rng.random(frames) > 0.02 + np.clip(speed * 2, 0, 0.3) * rng.random()
    if rng.random() < 0.25:
        start, length = rng.integers(frames), rng.integers(1, max(2, frames // 6))
        present[start : start + length] = False
    if rng.random() < 0.2:
        present[: rng.integers(max(1, frames // 3))] = False
    return present
