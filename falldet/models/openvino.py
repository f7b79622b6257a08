"""The one OpenVINO core of the process, on which all models run, and compiled models kept from one run to the next."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import openvino

from falldet.errors import FalldetError
from falldet.io.files import atomic_write

logger = logging.getLogger(__name__)


@functools.cache
def openvino_core() -> openvino.Core:
    """Return the core, made once and kept until the process ends.

    Each core hands the kernel a stack for signal handlers and puts the former one back when it goes. Of two cores that
    go in the order they came, the second puts back a stack that is no longer there, and the next Ctrl-C is a
    segmentation fault. https://github.com/openvinotoolkit/openvino/pull/11894
    Delete when cores may come and go in any order.
    """
    return openvino.Core()


def compile_model(
    read: Callable[[], openvino.Model], name: str, device: str, config: Mapping[str, object], folder: Path
) -> openvino.CompiledModel:
    """Return the model compiled for `device`, from `folder` where an earlier run has left it there.

    Taking a compiled model back in saves reading the file and optimizing the graph, most of a second for a .tflite.

    Args:
        read: gives the model; called only where it has to be compiled.
        name: says which model `read` gives; must change when the model does.
        device: OpenVINO device name.
        config: OpenVINO properties.
        folder: where compiled models are kept; one that can't be written is passed over.

    Raises:
        RuntimeError: OpenVINO can't compile it.
    """
    core = openvino_core()
    abilities = core.get_property(device, "OPTIMIZATION_CAPABILITIES")  # another processor, another model
    key = repr((name, device, sorted(config.items()), openvino.__version__, sorted(abilities)))
    kept = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.blob"
    try:
        return core.import_model(kept.read_bytes(), device, dict(config))
    except OSError:
        pass
    except RuntimeError as error:
        logger.debug("%s can't be used, compiling again: %s", kept, error)
    compiled = core.compile_model(read(), device, dict(config))
    try:
        with atomic_write(kept, binary=True) as stream:
            stream.write(compiled.export_model().getvalue())
    except (OSError, RuntimeError, FalldetError) as error:
        logger.debug("the compiled model is not kept: %s", error)
    return compiled
