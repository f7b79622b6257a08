"""The one OpenVINO core of the process, compiled models kept from one run to the next, and metadata of model files."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Literal

import openvino

from falldet.errors import FalldetError
from falldet.io.files import atomic_write
from falldet.models.checkpoints import cache_folder

logger = logging.getLogger(__name__)

Precision = Literal["f32", "fastest", "int8"]

METADATA_PREFIX = "falldet."
"""Begins the names of falldet's own entries in the metadata of an ONNX file."""


@functools.cache
def openvino_core() -> openvino.Core:
    """Return the core, made once and kept until the process ends.

    Each core hands the kernel a stack for signal handlers and puts the former one back when it goes. Of two cores that
    go in the order they came, the second puts back a stack that is no longer there, and the next Ctrl-C is a
    segmentation fault. https://github.com/openvinotoolkit/openvino/pull/11894
    Delete when cores may come and go in any order.
    """
    return openvino.Core()


def compile_options(precision: Precision, threads: int = 0, streams: int = 0) -> dict[str, object]:
    """Return OpenVINO properties.

    Args:
        precision: "f32" gives the same numbers everywhere; "fastest" is what the device is best at, such as bfloat16;
            "int8" runs the layers that are float in an int8 network as "fastest" does.
        threads: processor threads; 0 lets OpenVINO choose.
        streams: inferences in flight at once; 0 compiles for the lowest latency of one.
    """
    options: dict[str, object] = {"NUM_STREAMS": streams} if streams else {"PERFORMANCE_HINT": "LATENCY"}
    if precision == "f32":
        options["INFERENCE_PRECISION_HINT"] = "f32"
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    return options


def compile_model(
    read: Callable[[], openvino.Model], name: str, device: str, options: Mapping[str, object]
) -> openvino.CompiledModel:
    """Return the model compiled for `device`, from the cache folder where an earlier run has left it there.

    Taking a compiled model back in saves reading the file and optimizing the graph, most of a second for a .tflite.
    A cache that can't be written is done without.

    Args:
        read: gives the model; called only where it has to be compiled.
        name: says which model `read` gives; must change when the model does.
        device: OpenVINO device name.
        options: OpenVINO properties.

    Raises:
        FalldetError: there is no such device.
        RuntimeError: OpenVINO can't compile the model.
    """
    core = openvino_core()
    abilities = core.get_property(device, "OPTIMIZATION_CAPABILITIES")  # another processor, another model
    key = repr((name, device, sorted(options.items()), openvino.__version__, sorted(abilities)))
    kept = cache_folder() / "compiled" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.blob"
    try:
        return core.import_model(kept.read_bytes(), device, dict(options))
    except OSError:
        pass
    except RuntimeError as error:
        logger.debug("%s can't be used, compiling again: %s", kept, error)
    compiled = core.compile_model(read(), device, dict(options))
    try:
        with atomic_write(kept, binary=True) as stream:
            stream.write(compiled.export_model().getvalue())
    except (OSError, RuntimeError, FalldetError) as error:
        logger.debug("the compiled model is not kept: %s", error)
    return compiled


def known_devices() -> str:
    """Return the names of OpenVINO's devices on this machine, for an error message."""
    return ", ".join(openvino_core().available_devices)


def read_metadata(model: openvino.Model, *names: str) -> dict[str, str]:
    """Return those of falldet's own metadata entries `names` that the model file has, as text."""
    found = {}
    for name in names:
        place = ["framework", f"{METADATA_PREFIX}{name}"]
        if model.has_rt_info(place):
            found[name] = str(model.get_rt_info(place).astype(str))
    return found
