"""The cost of a program: time and processor time per second of video."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, and processor seconds of all threads, per second of video."""

    wall_s: float
    cpu_s: float


def measured(work: Callable[[], object], duration_s: float) -> Cost:
    """Return the cost of `work`, which processes `duration_s` seconds of video."""
    started_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return Cost((time.perf_counter() - started_s) / duration_s, (time.process_time() - cpu_s) / duration_s)
