"""How close the networks come to the machine's limit: their operations a second beside those of a matrix product.

    python research/speed/limits.py

The limit is the quickest run of a large matrix product in OpenVINO, measured in the same run with the same
threads, and the speed at which memory is copied. Operations are counted from the networks' shapes: two for each
multiplication with addition in convolutions and matrix products, none for anything else.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from math import prod

import numpy as np
import openvino
from openvino import opset13

from falldet.evaluation.markdown import table
from falldet.models.checkpoints import find_checkpoint
from falldet.models.openvino import openvino_core
from falldet.profiling.stages import machine
from falldet.runtime import signals as cli
from falldet.stages.recognizer import WINDOW_FRAMES

SIDE = 768


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the networks' speed with the machine's limit.")
    parser.add_argument("--repeat", type=int, default=15, help="runs of which the quickest counts (default: 15)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    arguments = parser.parse_args()
    sys.stdout.write(", ".join(f"{key} {value}" for key, value in machine().items()) + "\n\n")
    rows = []
    for threads in arguments.threads:
        limit = _matrix_gflops(threads, arguments.repeat)
        rows.append((f"matrix product {SIDE} x {SIDE}", str(threads), "", "", f"{limit:.0f}", "100%"))
        for name, model in _networks():
            gflop = _gflop(model)
            seconds = _quickest(_runner(model, threads), arguments.repeat)
            rate = gflop / seconds
            row = (name, str(threads), f"{gflop:.2f}", f"{1000 * seconds:.1f}", f"{rate:.0f}", f"{rate / limit:.0%}")
            rows.append(row)
    head = ("network", "threads", "GFLOP", "ms", "GFLOP a second", "of the matrix product")
    sys.stdout.write("\n".join(table(head, rows)) + "\n\n")
    sys.stdout.write(f"memory copied: {_copy_gb_per_s(arguments.repeat):.1f} GB a second, read and written\n")
    return cli.EXIT_OK


def _networks() -> list[tuple[str, openvino.Model]]:
    movenet = openvino_core().read_model(find_checkpoint("movenet_multipose"))
    movenet.reshape([1, 192, 256, 3])
    networks = [("MoveNet MultiPose, a 4:3 picture at 256", movenet)]
    for windows in (1, 4):
        recognizer = openvino_core().read_model(find_checkpoint("stgcn_fall"))
        recognizer.reshape([windows, 1, WINDOW_FRAMES, 17, 3])
        networks.append((f"the shipped recognizer, {windows} window{'s' * (windows > 1)}", recognizer))
    return networks


def _gflop(model: openvino.Model) -> float:
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
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino_core().compile_model(model, "CPU", config).create_infer_request()
    for number, port in enumerate(model.inputs):
        request.set_input_tensor(
            number, openvino.Tensor(np.ones(list(port.get_shape()), port.get_element_type().to_dtype()))
        )
    return request.infer


def _matrix_gflops(threads: int, repeat: int) -> float:
    """Return the best rate of a square product in OpenVINO, whose right side it may rearrange beforehand."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(SIDE, SIDE)).astype(np.float32)
    given = opset13.parameter([SIDE, SIDE], np.float32)
    model = openvino.Model([opset13.matmul(given, opset13.constant(weights), False, False)], [given])
    return _gflop(model) / _quickest(_runner(model, threads), 10 * repeat)


def _copy_gb_per_s(repeat: int) -> float:
    source = np.ones(64 * 1024 * 1024, np.uint8)
    target = np.empty_like(source)
    return 2 * source.nbytes / 1e9 / _quickest(lambda: np.copyto(target, source), repeat)


def _quickest(run: Callable[[], object], repeat: int) -> float:
    taken = []
    for _ in range(repeat + 1):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


if __name__ == "__main__":
    cli.run(main)
