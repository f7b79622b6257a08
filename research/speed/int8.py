"""What int8 costs in exactness and brings in speed: an exported network in f32 and in int8 on the same pictures.

    python research/speed/int8.py hrnet_w32 yolox_s --calibrate a.mp4 --on b.mp4 c.mp4

Joints (f32 score above 0.3) and box edges (boxes paired by IoU above 0.5) are compared in pixels of the picture; people
are found by MoveNet for both. Times are the median of runs that alternate between both, one picture or one crop a run.
Without --on only the times are taken, which is all that random weights can show.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from falldet.geometry import box_iou
from falldet.io.video import read_frames
from falldet.pose.detector import YoloxDetector
from falldet.pose.estimator import CropPoseEstimator
from falldet.pose.exported import Precision, compile_network, exported_network, find_network, read_network
from falldet.pose.movenet import MoveNet
from falldet.pose.quantize import quantize
from falldet.runtime import signals as cli

PICTURES = 20
"""Pictures of each video that are compared, evenly spread."""

HEAD = """\
| network | compared | moved, median px | p95 px | f32 / int8 boxes | f32 ms | int8 ms | times as fast |
|---|---|---|---|---|---|---|---|
"""


def main() -> int:
    """Quantize, compare, print a table."""
    parser = argparse.ArgumentParser(description="Compare exported networks in f32 and int8.")
    parser.add_argument("networks", nargs="+", help="names as in yolox_s, or exported .onnx or .xml files")
    parser.add_argument("--calibrate", nargs="+", required=True, metavar="VIDEO", help="videos that int8 is made with")
    parser.add_argument("--on", nargs="+", default=[], metavar="VIDEO", help="other videos, to compare on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=20, help="timed runs of each (default: 20)")
    arguments = parser.parse_args()
    find_people = MoveNet()
    pictures = [(image, find_people(image).boxes) for image in _pictures(arguments.on)]
    sys.stdout.write(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks:
            f32 = Path(name) if Path(name).is_file() else exported_network(find_network(name))
            int8 = quantize(f32, arguments.calibrate, Path(folder) / f"{f32.stem}-int8.xml")
            cells = _movement(f32, int8, pictures, arguments.threads) + _times(f32, int8, arguments)
            sys.stdout.write(f"| {f32.stem} | " + " | ".join(cells) + " |\n")
            sys.stdout.flush()
    return cli.EXIT_OK


def _pictures(videos: Sequence[str]) -> Iterator[np.ndarray]:
    for video in videos:
        images = [frame.image for frame in read_frames(video)]
        yield from (images[i] for i in np.linspace(0, len(images) - 1, min(PICTURES, len(images))).astype(int))


def _movement(
    f32: Path, int8: Path, pictures: Sequence[tuple[np.ndarray, np.ndarray]], threads: int
) -> tuple[str, ...]:
    if not pictures:
        return "-", "-", "-", "-"
    kind = read_network(f32, "detector", "pose")[1]["kind"]
    moved, counts = (_boxes if kind == "detector" else _joints)(f32, int8, pictures, threads)
    what = "box edges" if kind == "detector" else "joints"
    if not len(moved):
        return f"0 {what}", "-", "-", counts
    return f"{len(moved)} {what}", f"{np.median(moved):.2f}", f"{np.percentile(moved, 95):.2f}", counts


def _joints(
    f32: Path, int8: Path, pictures: Sequence[tuple[np.ndarray, np.ndarray]], threads: int
) -> tuple[np.ndarray, str]:
    first, second = CropPoseEstimator(f32, "CPU", "f32", threads), CropPoseEstimator(int8, "CPU", "int8", threads)
    moved = [np.zeros(0)]
    for image, boxes in pictures:
        (keypoints, scores), (others, _) = first(image, boxes), second(image, boxes)
        moved.append(np.linalg.norm(keypoints - others, axis=2)[scores > 0.3])
    return np.concatenate(moved), "-"


def _boxes(
    f32: Path, int8: Path, pictures: Sequence[tuple[np.ndarray, np.ndarray]], threads: int
) -> tuple[np.ndarray, str]:
    first, second = YoloxDetector(f32, "CPU", "f32", threads), YoloxDetector(int8, "CPU", "int8", threads)
    moved, counts = [np.zeros(0)], np.zeros(2, int)
    for image, _ in pictures:
        (boxes, _), (others, _) = first(image), second(image)
        counts += len(boxes), len(others)
        if len(boxes) and len(others):
            overlap = box_iou(boxes, others)
            paired = overlap.max(axis=1) > 0.5
            moved.append(np.abs(boxes - others[overlap.argmax(axis=1)])[paired].ravel())
    return np.concatenate(moved), f"{counts[0]} / {counts[1]}"


def _times(f32: Path, int8: Path, arguments: argparse.Namespace) -> tuple[str, ...]:
    precisions: tuple[tuple[Path, Precision], ...] = ((f32, "f32"), (int8, "int8"))
    requests, times_ms = [], np.zeros((arguments.runs, 2))
    for path, precision in precisions:
        model, _ = read_network(path, "detector", "pose")
        shape = [1, *(model.input(0).partial_shape[axis].get_length() for axis in (1, 2, 3))]
        requests.append(compile_network(model, "CPU", precision, arguments.threads).create_infer_request())
    example = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for request in requests * 3:
        request.infer([example])
    for run in times_ms:
        for place, request in enumerate(requests):
            started = time.perf_counter()
            request.infer([example])
            run[place] = (time.perf_counter() - started) * 1000
    before, after = np.median(times_ms, axis=0)
    return f"{before:.1f}", f"{after:.1f}", f"{before / after:.2f}"


if __name__ == "__main__":
    cli.run(main)
