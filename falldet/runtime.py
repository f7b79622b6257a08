"""The one OpenVINO core of the process, on which all models run."""

from __future__ import annotations

import functools

import openvino


@functools.cache
def openvino_core() -> openvino.Core:
    """Return the core, made once and kept until the process ends.

    Each core hands the kernel a stack for signal handlers and puts the former one back when it goes. Of two cores that
    go in the order they came, the second puts back a stack that is no longer there, and the next Ctrl-C is a
    segmentation fault. https://github.com/openvinotoolkit/openvino/pull/11894
    Delete when cores may come and go in any order.
    """
    return openvino.Core()
