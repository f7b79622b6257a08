"""OpenVINO: its import, the one core of the process, the cache of compiled models, and the metadata of model files.

Importing OpenVINO or NNCF sends a usage message to an analytics service of its maker and keeps an identifier in the
home folder, unless the package openvino_telemetry is missing. This module makes it missing before the first import:
all of falldet imports OpenVINO from here, in worker processes as well. `tests/unit/test_layers.py` holds it.
https://github.com/openvinotoolkit/telemetry  Delete when it asks first.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from falldet.errors import FalldetError
from falldet.io.files import atomic_write
from falldet.models.checkpoints import cache_folder
from falldet.terminal import shown

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # its import fails: callers have a substitute
import openvino  # noqa: E402

logger = logging.getLogger(__name__)

Precision = Literal["f32", "fastest", "int8"]

METADATA_PREFIX = "falldet."
"""Prefix of falldet's own entries in the metadata of an ONNX file."""


@functools.cache
def openvino_core() -> openvino.Core:
    """Return the core, created once and kept until the process ends.

    Each core hands the kernel a stack for signal handlers and restores the former one when it is deleted. Of two cores
    deleted in the order of their creation, the second restores a stack that no longer exists, and the next Ctrl-C is a
    segmentation fault. https://github.com/openvinotoolkit/openvino/pull/11894
    Delete when cores may be created and deleted in any order.
    """
    return openvino.Core()


def compile_options(precision: Precision, threads: int = 0, streams: int = 0) -> dict[str, object]:
    """Return OpenVINO properties.

    Args:
        precision: "f32" gives the same numbers on every device; "fastest" is the device's fastest type, such as
            bfloat16; "int8" runs the layers that are float in an int8 network as "fastest" does.
        threads: processor threads; 0 lets OpenVINO choose.
        streams: inferences in flight at once. Higher: more throughput, more latency each; 0 minimizes the latency.
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
    """Return the model compiled for `device`, from the cache folder if an earlier run has stored it there.

    A compiled model from the cache saves reading the file and optimizing the graph, most of a second for a .tflite.
    A cache that can't be written is not an error.

    Args:
        read: returns the model; called only when it has to be compiled.
        name: identifies the model that `read` returns, such as the sha256 of its file.
        device: OpenVINO device name.
        options: OpenVINO properties.

    Raises:
        FalldetError: there is no such device.
        RuntimeError: OpenVINO can't compile the model.
    """
    core = openvino_core()
    capabilities = core.get_property(device, "OPTIMIZATION_CAPABILITIES")  # a compiled model runs on no other processor
    key = repr((name, device, sorted(options.items()), openvino.__version__, sorted(capabilities)))
    cached = cache_folder() / "compiled" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.blob"
    try:
        return core.import_model(cached.read_bytes(), device, dict(options))
    except OSError:
        pass
    except RuntimeError as error:
        logger.debug("%s can't be used, compiling again: %s", cached, error)
    compiled = core.compile_model(read(), device, dict(options))
    try:
        with atomic_write(cached, binary=True) as stream:
            stream.write(compiled.export_model().getvalue())
    except (OSError, RuntimeError, FalldetError) as error:
        logger.debug("the compiled model is not cached: %s", error)
    return compiled


def known_devices() -> str:
    """Return the names of OpenVINO's devices on this machine, separated by commas, for an error message."""
    return ", ".join(openvino_core().available_devices)


def read_metadata(model: openvino.Model, *names: str) -> dict[str, str]:
    """Return falldet's own entries in the metadata of a model file, as text.

    Args:
        model: as OpenVINO read it from the file.
        names: entries to read, without the prefix; those that are missing or no text are left out of the result.
    """
    found = {}
    for name in names:
        path = ["framework", f"{METADATA_PREFIX}{name}"]
        try:
            if model.has_rt_info(path):
                found[name] = str(model.get_rt_info(path).astype(str))
        except (UnicodeDecodeError, RuntimeError):
            logger.debug("the entry %s of the metadata is no text", name)
    return found


def metadata_number(written: Mapping[str, str], name: str, low: float, high: float, path: Path) -> float:
    """Return an entry of a model file's metadata as a number.

    Args:
        written: the entries, of `read_metadata`.
        name: the entry.
        low: smallest number allowed.
        high: largest number allowed.
        path: the model file, for the message.

    Raises:
        FalldetError: the entry is missing, no number, or out of range.
    """
    text = written.get(name, "")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise FalldetError(
            f"{path}: its metadata has {name} = {shown(text)}, not a number from {low:g} to {high:g}; export it again "
            "with tools/export.py"
        )
    return number
