"""How close do the networks come to the machine's limit? Their operations per second against a matrix product's.

    python -m research.speed.limits

Prints a table in Markdown. The limit is the fastest run of a large matrix product in OpenVINO, measured with the same
threads, and the rate at which memory is copied. Operations are counted from the networks' shapes: two per
multiplication with addition in convolutions and matrix products, none for anything else. Everything runs in f32.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from math import prod

import numpy as np

from falldet.cli.process import EXIT_OK, run
from falldet.models.checkpoints import find_checkpoint
from falldet.models.openvino import openvino, openvino_core
from falldet.profiling.report import machine
from falldet.skeleton import JOINT_COUNT
from falldet.stages.preprocessing import WINDOW_FRAMES
from falldet.visualization.tables import markdown_table

SIDE = 768
"""Rows and columns of the matrices."""

HEADER = ("network", "threads", "GFLOP", "ms", "GFLOP per second", "of the matrix product")


def main() -> int:
    """Measure the limit and every network with each number of threads, and print the table."""
    parser = argparse.ArgumentParser(
        description="Compare the networks' speed with the machine's limit.",
        epilog="example: python -m research.speed.limits --repeat 20",
    )
    parser.add_argument("--repeat", type=int, default=15, help="runs, of which the fastest counts (default: 15)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    arguments = parser.parse_args()
    sys.stdout.write(", ".join(f"{key} {value}" for key, value in machine().items()) + "\n\n")
    rows = []
    for threads in arguments.threads:
        limit = _matrix_gflops(threads, arguments.repeat)
        rows.append((f"matrix product {SIDE} x {SIDE}", str(threads), "", "", f"{limit:.0f}", "100%"))
        for name, model in _networks():
            gflop = _gflop(model)
            seconds = _fastest(_runner(model, threads), arguments.repeat)
            rate = gflop / seconds
            row = (name, str(threads), f"{gflop:.2f}", f"{1000 * seconds:.1f}", f"{rate:.0f}", f"{rate / limit:.0%}")
            rows.append(row)
    sys.stdout.write("\n".join(markdown_table(HEADER, rows)) + "\n\n")
    sys.stdout.write(f"memory copied: {_copy_gb_per_s(arguments.repeat):.1f} GB per second, read and written\n")
    return EXIT_OK


def _networks() -> list[tuple[str, openvino.Model]]:
    """Return name and network, the inputs at fixed shapes."""
    movenet = openvino_core().read_model(find_checkpoint("movenet_multipose"))
    movenet.reshape([1, 192, 256, 3])
    networks = [("MoveNet MultiPose, a 4:3 image at 256", movenet)]
    for windows in (1, 4):
        recognizer = openvino_core().read_model(find_checkpoint("stgcn_fall"))
        recognizer.reshape([windows, 1, WINDOW_FRAMES, JOINT_COUNT, 3])
        networks.append((f"the shipped recognizer, {windows} window{'s' * (windows > 1)}", recognizer))
    return networks


def _gflop(model: openvino.Model) -> float:
    """Return the operations of one inference in billions."""
    total = 0
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind not in ("Convolution", "GroupConvolution", "MatMul"):
            continue
        results = prod(node.output(0).get_shape())
        weights = list(node.input(1).get_shape())
        if kind == "Convolution":  # (out, in, ...)
            products = prod(weights[1:])
        elif kind == "GroupConvolution":  # (groups, out, in, ...)
            products = prod(weights[2:])
        else:
            left = list(node.input(0).get_shape())
            products = left[-2] if node.get_attributes()["transpose_a"] else left[-1]
        total += 2 * results * products
    return total / 1e9


def _runner(model: openvino.Model, threads: int) -> Callable[[], object]:
    """Return a function that runs one inference in f32 on inputs of ones."""
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino_core().compile_model(model, "CPU", config).create_infer_request()
    for index, port in enumerate(model.inputs):
        request.set_input_tensor(
            index, openvino.Tensor(np.ones(list(port.get_shape()), port.get_element_type().to_dtype()))
        )
    return request.infer


def _matrix_gflops(threads: int, repeat: int) -> float:
    """Return the best rate of a square product in OpenVINO, whose right-hand side OpenVINO may rearrange beforehand."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(SIDE, SIDE)).astype(np.float32)
    given = openvino.opset13.parameter([SIDE, SIDE], np.float32)
    model = openvino.Model([openvino.opset13.matmul(given, openvino.opset13.constant(weights), False, False)], [given])
    return _gflop(model) / _fastest(_runner(model, threads), 10 * repeat)


def _copy_gb_per_s(repeat: int) -> float:
    """Return the rate at which memory is copied, bytes read and written counted."""
    source = np.ones(64 * 1024 * 1024, np.uint8)
    target = np.empty_like(source)
    return 2 * source.nbytes / 1e9 / _fastest(lambda: np.copyto(target, source), repeat)


def _fastest(work: Callable[[], object], repeat: int) -> float:
    """Return the seconds of the fastest of `repeat` runs, after one that warms up."""
    taken_s = []
    for _ in range(repeat + 1):
        started = time.perf_counter()
        work()
        taken_s.append(time.perf_counter() - started)
    return min(taken_s[1:])


if __name__ == "__main__":
    run(main)
