"""What does int8 cost in precision and bring in speed? An exported network in f32 and in int8 on the same images.

    python -m research.speed.int8 hrnet_w32 yolox_s --calibrate a.mp4 --evaluate b.mp4 c.mp4

Prints a table in Markdown. Joints (f32 score above 0.3) and box edges (boxes paired by IoU above 0.5) are compared in
pixels of the image; MoveNet finds the people for both. Times are the median of runs that alternate between both, one
image or one crop per run. Without --evaluate only times are measured, which is all that random weights can show.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from falldet.build import exported_network
from falldet.cli.process import EXIT_OK, run
from falldet.geometry import box_iou
from falldet.io.video import read_frames
from falldet.pose.detector import YoloxDetector
from falldet.pose.estimator import CropPoseEstimator
from falldet.pose.exported import Precision, compile_network, find_network, read_network
from falldet.pose.movenet import MoveNet
from falldet.pose.quantize import quantize
from falldet.visualization.tables import markdown_table

IMAGES_PER_VIDEO = 20
"""Compared images of each video, evenly spread."""

CONFIDENT_JOINT, PAIRED_IOU = 0.3, 0.5

HEADER = ("network", "compared", "moved, median px", "p95 px", "f32 / int8 boxes", "f32 ms", "int8 ms", "speed-up")

Example = tuple[np.ndarray, np.ndarray]
"""An image (H, W, 3) uint8 BGR and the boxes (N, 4) of the people in it, xyxy pixels."""


def main() -> int:
    """Quantize and compare each network, and print the table."""
    parser = argparse.ArgumentParser(
        description="Compare exported networks in f32 and int8.",
        epilog="example: python -m research.speed.int8 yolox_s --calibrate a.mp4 --evaluate b.mp4",
    )
    parser.add_argument("networks", nargs="+", help="names such as yolox_s, or exported .onnx or .xml files")
    parser.add_argument("--calibrate", nargs="+", required=True, metavar="VIDEO", help="videos to quantize with")
    parser.add_argument("--evaluate", nargs="+", default=[], metavar="VIDEO", help="other videos, to compare on")
    parser.add_argument("--threads", type=int, default=2, help="(default: 2)")
    parser.add_argument("--runs", type=int, default=20, help="timed runs of each (default: 20)")
    arguments = parser.parse_args()
    find_people = MoveNet()
    examples = [(image, find_people.submit(image).result().boxes) for image in spread_images(arguments.evaluate)]
    rows = []
    with tempfile.TemporaryDirectory(prefix="falldet-int8-") as folder:
        for name in arguments.networks:
            f32 = Path(name) if Path(name).is_file() else exported_network(find_network(name))
            int8 = quantize(f32, arguments.calibrate, Path(folder) / f"{f32.stem}-int8.xml")
            moved = movement(f32, int8, examples, arguments.threads)
            rows.append((f32.stem, *moved, *times(f32, int8, arguments.threads, arguments.runs)))
    sys.stdout.write("\n".join(markdown_table(HEADER, rows)) + "\n")
    return EXIT_OK


def spread_images(videos: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield `IMAGES_PER_VIDEO` images of each video."""
    for video in videos:
        images = [frame.image for frame in read_frames(video)]
        chosen = np.linspace(0, len(images) - 1, min(IMAGES_PER_VIDEO, len(images))).astype(int)
        yield from (images[index] for index in chosen)


def movement(f32: Path, int8: Path, examples: Sequence[Example], threads: int) -> tuple[str, ...]:
    """Return the cells for how far joints or box edges move between both networks."""
    if not examples:
        return "-", "-", "-", "-"
    kind = read_network(f32, "detector", "pose")[1]["kind"]
    if kind == "detector":
        what, (moved, counts) = "box edges", _moved_edges(f32, int8, examples, threads)
    else:
        what, moved, counts = "joints", _moved_joints(f32, int8, examples, threads), "-"
    if not len(moved):
        return f"0 {what}", "-", "-", counts
    return f"{len(moved)} {what}", f"{np.median(moved):.2f}", f"{np.percentile(moved, 95):.2f}", counts


def _moved_joints(f32: Path, int8: Path, examples: Sequence[Example], threads: int) -> np.ndarray:
    """Return the distances (J,) of the confident joints in pixels."""
    exact, quantized = CropPoseEstimator(f32, "CPU", "f32", threads), CropPoseEstimator(int8, "CPU", "int8", threads)
    moved = [np.zeros(0)]
    for image, boxes in examples:
        (keypoints, scores), (others, _) = exact(image, boxes), quantized(image, boxes)
        moved.append(np.linalg.norm(keypoints - others, axis=2)[scores > CONFIDENT_JOINT])
    return np.concatenate(moved)


def _moved_edges(f32: Path, int8: Path, examples: Sequence[Example], threads: int) -> tuple[np.ndarray, str]:
    """Return the distances (E,) of the paired boxes' edges in pixels, and the numbers of boxes as text."""
    exact, quantized = YoloxDetector(f32, "CPU", "f32", threads), YoloxDetector(int8, "CPU", "int8", threads)
    moved, counts = [np.zeros(0)], np.zeros(2, int)
    for image, _ in examples:
        (boxes, _), (others, _) = exact(image), quantized(image)
        counts += len(boxes), len(others)
        if len(boxes) and len(others):
            overlap = box_iou(boxes, others)
            paired = overlap.max(axis=1) > PAIRED_IOU
            moved.append(np.abs(boxes - others[overlap.argmax(axis=1)])[paired].ravel())
    return np.concatenate(moved), f"{counts[0]} / {counts[1]}"


def times(f32: Path, int8: Path, threads: int, runs: int) -> tuple[str, str, str]:
    """Return the cells for the median times of both networks in milliseconds and their ratio."""
    precisions: tuple[tuple[Path, Precision], ...] = ((f32, "f32"), (int8, "int8"))
    requests, times_ms = [], np.zeros((runs, 2))
    for path, precision in precisions:
        model, _ = read_network(path, "detector", "pose")
        shape = [1, *(model.input(0).partial_shape[axis].get_length() for axis in (1, 2, 3))]
        requests.append(compile_network(model, path, "CPU", precision, threads).create_infer_request())
    example = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for request in requests * 3:
        request.infer([example])
    for row in times_ms:
        for column, request in enumerate(requests):
            started = time.perf_counter()
            request.infer([example])
            row[column] = (time.perf_counter() - started) * 1000
    f32_ms, int8_ms = np.median(times_ms, axis=0)
    return f"{f32_ms:.1f}", f"{int8_ms:.1f}", f"{f32_ms / int8_ms:.2f}"


if __name__ == "__main__":
    run(main)
