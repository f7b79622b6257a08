"""How fast is falldet compared with its peers? The same video, in turn, several rounds.

    python -m research.speed.compare_peers VIDEO [--rounds 3] [--frames 150] [--people 4]

Prints a table in Markdown: seconds and processor seconds per second of video. Ratios are taken within each round, so
that a busy machine disturbs both sides alike; the table gives their median and range. Loading models is not counted.
Rows:

- falldet, which like its peers writes no video; falldet with video out; both with pose estimation on every frame.
- falldet's YOLOX-s and HRNet-w32: the baseline pipeline in OpenVINO with the networks of the mm APIs, the same weights
  (random ones, research/speed/random_weights.py, unless FALLDET_CHECKPOINTS names others) and the same `--people`. What
  random weights find neither moves nor falls; it is sampled at the active rate, as moving people are.
- mm APIs: MMAction2's own demo, see research/peers/mm_speed.py, on the first `--mm-frames` frames, because it is slow.
- reference demo: the reference project's algorithm, see research/speed/reference_demo.py.
- neura-fall-detection: research/peers/neura_events.py, in its own environment, eight frames per second as it asks for.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from falldet.build import build_pose_source
from falldet.cli.process import EXIT_OK, run
from falldet.errors import FalldetError
from falldet.geometry import box_iou
from falldet.io.files import atomic_write
from falldet.io.video import probe, read_frames
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.pose.source import PoseSettings
from falldet.profiling.report import machine
from falldet.runtime.runner import OutputOptions, output_sinks, process
from falldet.visualization.tables import markdown_table
from research import WORK_DIRS
from research.peers.environment import NEURA
from research.speed.cost import Cost, measured
from research.speed.reference_demo import run_reference_demo

logger = logging.getLogger(__name__)

RANDOM_WEIGHTS = WORK_DIRS / "random_weights"
BASELINE = "falldet's YOLOX-s and HRNet-w32"
SAME_BOX_IOU = 0.9

Peer = Callable[[], Cost]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare falldet's speed with its peers' on one video.",
        epilog="example: python -m research.speed.compare_peers video.mp4 --rounds 5 --without mm",
    )
    parser.add_argument("video", type=Path, help="a video file")
    parser.add_argument("--rounds", type=int, default=3, help="after one that warms up (default: 3)")
    parser.add_argument("--frames", type=int, default=150, help="of the video, from its start (default: 150)")
    parser.add_argument("--mm-frames", type=int, default=4, help="for the mm APIs (default: 4)")
    parser.add_argument("--people", type=int, default=1, help="found by YOLOX-s in every frame (default: 1)")
    choices = ("movenet", "mm", "reference", "neura")
    parser.add_argument("--without", nargs="+", default=[], choices=choices, help="rows to leave out")
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="replace falldet's settings")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the costs of every round there")
    return parser.parse_args()


def main() -> int:
    """Measure every peer in turn and print the tables."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="falldet-speed-") as folder:
        clip = Path(folder) / "clip.mp4"
        with VideoWriter(clip, probe(arguments.video).fps, crf=18) as writer:
            for frame in islice(read_frames(arguments.video), arguments.frames):
                writer.write(frame.image, frame.time_s)
        rounds = measure_rounds(peers(clip, arguments), arguments.rounds)
    sys.stdout.write(", ".join(f"{key} {value}" for key, value in machine().items()) + "\n\n")
    for base in ("falldet", BASELINE):
        if base in rounds:
            sys.stdout.write("\n".join(as_table(rounds, base)) + "\n\n")
    if arguments.json:
        costs = {name: [[cost.wall_s, cost.cpu_s] for cost in found] for name, found in rounds.items()}
        with atomic_write(arguments.json) as stream:
            json.dump(costs, stream, indent=1)
    return EXIT_OK


def measure_rounds(peers: Mapping[str, Peer], rounds: int) -> dict[str, list[Cost]]:
    """Run all peers in turn, once to warm up and then `rounds` times; return each one's costs."""
    costs: dict[str, list[Cost]] = {name: [] for name in peers}
    for number in range(rounds + 1):
        for name, peer in peers.items():
            cost = peer()
            if number:
                costs[name].append(cost)
            logger.info("round %d: %s: %.2f s, processor %.2f s", number, name, cost.wall_s, cost.cpu_s)
    return costs


def as_table(rounds: Mapping[str, Sequence[Cost]], base: str) -> list[str]:
    """Return the lines of the table, with ratios to the row `base`."""
    rows = []
    for name, costs in rounds.items():
        row = [name]
        for kind in ("wall_s", "cpu_s"):
            values = [getattr(cost, kind) for cost in costs]
            ratios = [value / getattr(own, kind) for value, own in zip(values, rounds[base], strict=True)]
            row.append(f"{statistics.median(values):.2f}")
            row.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        rows.append(row)
    return markdown_table(("", "s per second of video", f"times {base}", "processor s", f"times {base}"), rows)


def peers(clip: Path, arguments: argparse.Namespace) -> dict[str, Peer]:
    """Return the peers that are not left out and can run here, by the names of their rows."""
    config, without = Config().with_overrides(arguments.cfg_options), arguments.without
    found: dict[str, Peer] = {}
    if "movenet" not in without:
        found |= falldet_peers("falldet", clip, config, with_video=True)
    if "reference" not in without:
        detector = FallDetector(config)
        found["reference demo"] = timed(clip, lambda: run_reference_demo(clip, detector))
    if "neura" not in without:
        if NEURA.python.is_file():
            found["neura-fall-detection"] = lambda: neura_cost(clip)
        else:
            logger.warning("%s is left out; %s installs it", NEURA.name, NEURA.installation)
    if "mm" not in without:
        try:
            import falldet.openmmlab  # noqa: F401
        except (FalldetError, ImportError) as error:
            logger.warning("the mm APIs are left out: %s", error)
        else:
            found |= mm_peers(clip, config, arguments.people, arguments.mm_frames)
    return found


def falldet_peers(name: str, clip: Path, config: Config, with_video: bool) -> dict[str, Peer]:
    """Return falldet as configured and on every frame, without video out and, if wanted, with it."""
    found = {}
    for suffix, active_fps in (("", config.sampling.active_fps), (", every frame", 0.0)):
        detector = FallDetector(replace(config, sampling=replace(config.sampling, active_fps=active_fps)))
        if with_video:
            found[f"{name} with video out{suffix}"] = detector_peer(clip, detector, video=True)
        found[f"{name}{suffix}"] = detector_peer(clip, detector, video=False)
    return found


def detector_peer(clip: Path, detector: FallDetector, video: bool) -> Peer:
    """Return a peer that runs `detector` as the demo does."""

    def detect() -> None:
        with tempfile.TemporaryDirectory() as folder:
            sinks = output_sinks(clip, detector.config, OutputOptions(Path(folder), video))
            process(clip, detector, sinks, threading.Event())

    return timed(clip, detect)


def mm_peers(clip: Path, config: Config, people: int, count: int) -> dict[str, Peer]:
    """Return the baseline pipeline and the mm APIs; needs OpenMMLab."""
    from research.peers import mm_speed
    from research.speed.random_weights import write_random_weights

    if "FALLDET_CHECKPOINTS" not in os.environ:
        write_random_weights(RANDOM_WEIGHTS)
        os.environ["FALLDET_CHECKPOINTS"] = str(RANDOM_WEIGHTS)
    sampling = replace(config.sampling, idle_fps=config.sampling.active_fps, full_rate_hold_s=0.0)
    baseline = replace(
        config,
        pose=PoseSettings("yolox_s+hrnet_w32"),
        topdown=replace(config.topdown, max_people=people),
        sampling=sampling,
    )
    pipeline = mm_speed.MmPipeline()
    images = [frame.image for frame in islice(read_frames(clip), count)]
    _compare_boxes(mm_speed.boxes_in(pipeline, images[0], people), baseline, images[0])
    fps = probe(clip).fps
    return {
        **falldet_peers(BASELINE, clip, baseline, with_video=False),
        "mm APIs": lambda: mm_speed.measure(pipeline, images, people, fps),
    }


def _compare_boxes(theirs: np.ndarray, baseline: Config, image: np.ndarray) -> None:
    """Log how many of the mm APIs' boxes (N, 4) the baseline pipeline finds as well."""
    source = build_pose_source(baseline.pose, baseline.movenet, baseline.topdown)
    overlap = box_iou(theirs, source.submit(image).result().boxes)
    same = int((overlap.max(axis=1, initial=0) > SAME_BOX_IOU).sum())
    logger.info("of %d people both detectors find %d at the same place", len(theirs), same)


def neura_cost(clip: Path) -> Cost:
    """Return the cost that neura-fall-detection tells."""
    (answer,) = NEURA.ask([str(clip.resolve())]).values()
    return Cost(answer["wall_s"] / answer["duration_s"], answer["cpu_s"] / answer["duration_s"])


def timed(clip: Path, work: Callable[[], object]) -> Peer:
    """Return a peer that does `work`, which processes `clip`."""
    duration_s = probe(clip).duration_s
    if not duration_s:
        raise FalldetError(f"{clip} does not tell its length; take another video")
    return lambda: measured(work, duration_s)


if __name__ == "__main__":
    run(main)
