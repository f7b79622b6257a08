"""Sport before the recognizer: captured motions seen by virtual cameras, none of them a fall.

    pip download --no-deps pybullet && unzip pybullet-*.whl 'pybullet_data/data/motions/*'
    python research/synthetic_data/athletics.py --motions pybullet_data/data/motions --out work_dirs/athletics.pkl

plays DeepMimic's motion captures (walk, run, jump, backflip, cartwheel, dance, kicks, a roll, getting up), which the
package pybullet carries under the zlib licence, before seeded cameras at heights of 1 to 4 m and distances of 3 to 9 m;
makes the joints as uncertain as a pose model would; prints in how many views the chain raises an alert; and writes the
clips as annotations with label 0, to train on:

    python tools/train.py configs/stgcn_fall_best.py --add-ann-file work_dirs/athletics.pkl

Cyclic motions go on for about five seconds, in whole rounds; the others begin and end with 0.7 s of stillness. Every
second camera moves along with the person; the others stand still, and a clip is what they see of the person. Half the
views are mirrored. No motion is in two splits, nor are two of a kind, such as both kicks. The roll goes down to the
floor as a fall does, so nothing is ever to be trained on it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from falldet.config import read_settings
from falldet.data.annotations import dump_annotations
from falldet.errors import FalldetError
from falldet.evaluation.markdown import table
from falldet.evaluation.replay import judge
from falldet.pipeline.detector import Pipeline, Settings
from falldet.pose.source import NoPoseSource
from falldet.runtime import signals as cli
from falldet.skeleton import FLIP_INDICES, HIPS, JOINT_COUNT
from falldet.synthetic.camera import NEAR_M, Camera
from research.synthetic_data.pose_noise import add_pose_noise
from research.accuracy.keypoint_events import CONFIG, observed_clip
from research.synthetic_data.mocap import CHARACTER_M, Motion, read_motion

FPS = 30.0
CYCLIC_S = 5.0
STILL_S = 0.7
SHORTEST_S = 2.0
"""A clip is at least this long, or the camera is moved."""
TRIES = 200
HEIGHTS_M = (1.55, 1.85)
TRAINING = ("walk", "turn_", "jump", "cartwheel", "dance", "punch", "getup")
"""Motions whose names have one of these in them are in the split train, all others in test."""


def main() -> int:
    """Write the clips and print in how many views of each motion there is an alert."""
    parser = argparse.ArgumentParser(
        description="Measure false alarms on captured sport, and write it as training data.",
        epilog="example: python research/synthetic_data/athletics.py --motions pybullet_data/data/motions",
    )
    parser.add_argument("--motions", type=Path, help="folder with humanoid3d_*.txt (default: that of pybullet_data)")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/athletics.pkl"), help="(default: %(default)s)")
    parser.add_argument("--cameras", type=int, default=12, help="views of each motion (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same clips (default: 0)")
    parser.add_argument("--checkpoint", default="stgcn_fall", help="recognizer, .onnx or .pth (default: the shipped)")
    arguments = parser.parse_args()
    if arguments.cameras < 1:
        parser.error("--cameras must be at least 1")
    clips = {
        motion.name: clips_of(motion, arguments.cameras, _generator(arguments.seed, motion.name))
        for motion in read_motions(arguments.motions)
    }
    write_clips(clips, arguments.out)
    settings = Settings.from_groups(read_settings(CONFIG))
    settings = replace(settings, recognizer=replace(settings.recognizer, checkpoint=arguments.checkpoint))
    sys.stdout.write("\n".join(alert_table(clips, settings)) + "\n")
    return cli.EXIT_OK


def read_motions(folder: Path | None) -> list[Motion]:
    """Return the humanoid motions in `folder`, or in the installed pybullet_data, ordered by name.

    Raises:
        FalldetError: there is no such folder, no motion in it, or a file isn't one.
    """
    cure = "run `pip download --no-deps pybullet`, unpack the wheel and give its pybullet_data/data/motions"
    if folder is None:
        found = find_spec("pybullet_data")
        if found is None or found.origin is None:
            raise FalldetError(f"no motions: pybullet_data isn't installed; {cure} with --motions")
        folder = Path(found.origin).parent / "data" / "motions"
    paths = [*folder.glob("humanoid3d_*.txt"), *folder.glob("walker/*.txt")]
    if not paths:
        raise FalldetError(f"{folder} holds no humanoid3d_*.txt; {cure} with --motions")
    return sorted(map(read_motion, paths), key=lambda motion: motion.name)


def _generator(seed: int, name: str) -> np.random.Generator:
    """Return the chance of one motion, which other motions in the folder don't change."""
    return np.random.default_rng([seed, *name.encode()])


def play(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Return times (T,) float64 in seconds from 0 and joints (T, 17, 3) in metres of a motion as it is shown."""
    if motion.cyclic:
        length_s = max(1, round(CYCLIC_S / motion.duration_s)) * motion.duration_s
        times = np.arange(0, length_s, 1 / FPS)
    else:
        times = np.arange(-STILL_S, motion.duration_s + STILL_S, 1 / FPS)
    return times - times[0], motion.joints(times)


def clips_of(motion: Motion, count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return `count` annotations of a motion, seen from all around; every second camera moves along."""
    times, joints = play(motion)
    width = 360 / count
    return [
        _clip(f"athletics/{motion.name}/{view:02d}", times, joints, (view * width, width), view % 2 == 1, rng)
        for view in range(count)
    ]


def split_of(name: str) -> str:
    """Return the split that a motion of this name belongs to."""
    return "train" if any(part in name for part in TRAINING) else "test"


def write_clips(clips: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Write the clips of all motions as one annotation file."""
    split: dict[str, list[str]] = {"train": [], "test": []}
    for name, views in clips.items():
        split[split_of(name)] += [view["frame_dir"] for view in views]
    dump_annotations({"split": split, "annotations": [view for views in clips.values() for view in views]}, path)
    sys.stdout.write(f"{len(split['train'])} clips to train on and {len(split['test'])} to test, in {path}\n\n")


def alert_table(clips: dict[str, list[dict[str, Any]]], settings: Settings) -> list[str]:
    """Return the lines of a table: each motion's views with an alert, and how high windows score, the median view."""
    pipeline = Pipeline(settings, pose_source=NoPoseSource())
    rows, totals = [], {"train": np.zeros(2, int), "test": np.zeros(2, int)}
    for name, views in tqdm(clips.items(), unit="motion", disable=None):
        observed = [observed_clip(view, pipeline) for view in views]
        alarmed = sum(bool(judge(each, settings)[0].events) for each in observed)
        peak = np.median([max((score.fall for score in each.window_scores), default=0.0) for each in observed])
        totals[split_of(name)] += alarmed, len(views)
        rows.append((name, split_of(name), str(len(views)), f"{alarmed} ({alarmed / len(views):.0%})", f"{peak:.2f}"))
    for split, (alarmed, count) in totals.items():
        if count:
            rows.append((f"all of {split}", split, str(count), f"{alarmed} ({alarmed / count:.0%})", ""))
    return table(("motion", "split", "views", "views with an alert", "highest window score, median"), rows)


def _clip(
    name: str, times: np.ndarray, joints: np.ndarray, sector: tuple[float, float], moves: bool, rng: np.random.Generator
) -> dict[str, Any]:
    """Return the annotation of one view.

    Args:
        name: its frame_dir.
        times: (T,) seconds.
        joints: (T, 17, 3) metres.
        sector: from which direction the camera looks: least azimuth and width, degrees.
        moves: whether the camera moves along with the person.
        rng: where chance comes from.
    """
    for _ in range(TRIES):
        points = _person(joints, moves, rng)
        camera = _camera(points, sector[0] + sector[1] * rng.random(), rng)
        pixels, depth = camera.project(points)
        inside = (depth > NEAR_M) & (pixels >= 0).all(axis=2) & (pixels < (camera.width, camera.height)).all(axis=2)
        shown = _longest_run(inside.sum(axis=1) > JOINT_COUNT // 2)
        if shown.stop - shown.start < min(SHORTEST_S * FPS, len(times)):
            continue
        keypoints, scores = add_pose_noise(pixels[shown], inside[shown], depth[shown], rng)
        if scores.any(axis=1).mean() > 0.5:
            shape = (camera.height, camera.width)
            return _annotation(name, times[shown] - times[shown.start], keypoints, scores, shape)
    raise FalldetError(f"{name}: no camera within {TRIES} tries sees {SHORTEST_S:g} s of it; leave this motion out")


def _annotation(
    name: str, times: np.ndarray, keypoints: np.ndarray, scores: np.ndarray, shape: tuple[int, int]
) -> dict[str, Any]:
    """Return the clip in the form of `falldet.data.annotations`."""
    return {
        "frame_dir": name,
        "label": 0,
        "img_shape": shape,
        "original_shape": shape,
        "total_frames": len(times),
        "keypoint": keypoints[None].astype(np.float32),
        "keypoint_score": scores[None].astype(np.float32),
        "time_s": times,
        "fall_intervals": [],
        "subject": name.split("/")[1],
        "source": "athletics",
    }


def _person(joints: np.ndarray, moves: bool, rng: np.random.Generator) -> np.ndarray:
    """Return the joints (T, 17, 3) of somebody of some height, mirrored or not, seen from a moving camera or not."""
    points = joints * rng.uniform(*HEIGHTS_M) / CHARACTER_M
    if rng.random() < 0.5:
        points = points[:, FLIP_INDICES] * [1, -1, 1]
    if moves:
        hips = points[:, HIPS, :2].mean(axis=1)
        points[..., :2] -= (np.linspace(0, 1, len(points))[:, None] * (hips[-1] - hips[0]))[:, None]
    return points


def _camera(points: np.ndarray, azimuth_deg: float, rng: np.random.Generator) -> Camera:
    """Return a camera that looks from this azimuth at the middle of the way that `points` (T, 17, 3) take."""
    azimuth = np.radians(azimuth_deg)
    hips = points[:, HIPS].mean(axis=1)
    middle = (hips.min(axis=0) + hips.max(axis=0)) / 2
    distance, height = rng.uniform(3.0, 9.0), rng.uniform(1.0, 4.0)
    return Camera(
        position=(middle[0] + distance * np.sin(azimuth), middle[1] - distance * np.cos(azimuth), height),
        yaw_deg=float(azimuth_deg + rng.normal(0, 3)),
        pitch_deg=float(np.degrees(np.arctan2(height - 0.9, distance)) + rng.normal(0, 2)),
        roll_deg=float(rng.normal(0, 3)),
        focal_px=float(rng.uniform(0.75, 1.1) * 640),
    )


def _longest_run(shown: Sequence[bool] | np.ndarray) -> slice:
    """Return the longest stretch of true values.

    >>> _longest_run([True, False, True, True])
    slice(2, 4, None)
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(shown, int), [0]])))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return slice(0, 0)
    longest = int(np.argmax(stops - starts))
    return slice(int(starts[longest]), int(stops[longest]))


if __name__ == "__main__":
    cli.run(main)
