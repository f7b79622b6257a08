"""The result of a benchmark as JSON and as Markdown tables."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from falldet.pipeline.config import Config
from falldet.profiling.stages import STAGES, Timing
from falldet.runtime.parallel import available_cores
from falldet.visualization.tables import markdown_table


def as_record(timing: Timing, start_s: float, video: bool, config: Config) -> dict[str, Any]:
    """Return the contents of the benchmark's JSON file."""
    return {
        **dataclasses.asdict(timing),
        "start_s": start_s,
        "video": video,
        "machine": machine(),
        "config": dataclasses.asdict(config),
    }


def as_text(record: Mapping[str, Any]) -> str:
    """Return the result of `as_record` as Markdown tables."""
    total_ms = sum(stage["mean"] for stage in record["ms"].values())
    stage_rows = [
        (name, *(f"{stage[key]:.2f}" for key in ("p50", "p95", "mean")), f"{stage['mean'] / total_ms:.0%}")
        for name, stage in record["ms"].items()
    ]
    runs = ", ".join(f"{fps:.1f}" for fps in record["runs_fps"])
    fps_row = [f"{record['fps']:.1f}", runs, *(f"{record[key]:.1f}" for key in ("cpu_ms", "peak_mb", "start_s"))]
    stage_head = ("stage, one after the other", "p50 ms", "p95 ms", "mean ms per frame", "share")
    fps_head = ("frames per second, all together", "each run", "processor ms per frame", "peak MB", "start s")
    inferences = (
        f"pose inferences on {record['inferences']} of {record['frames']} frames, {record['people']:.1f} people in each"
    )
    machine_line = ", ".join(f"{key} {value}" for key, value in record["machine"].items())
    tables = [*markdown_table(stage_head, stage_rows), "", *markdown_table(fps_head, [fps_row])]
    return "\n".join([machine_line, "", inferences, "", *tables])


def as_comparison(timings: Mapping[str, Timing]) -> str:
    """Return a Markdown table of the median time of each stage and of all together, one row per settings by name."""
    stages = [stage for stage in STAGES if any(stage in timing.ms for timing in timings.values())]
    rows = [
        (
            name,
            *(f"{timing.ms[stage].p50:.2f}" if stage in timing.ms else "" for stage in stages),
            f"{timing.fps:.1f}",
            f"{timing.cpu_ms:.1f}",
        )
        for name, timing in timings.items()
    ]
    head = ("settings", *(f"{stage}, p50 ms" for stage in stages), "frames per second", "processor ms per frame")
    return "\n".join(markdown_table(head, rows))


def machine() -> dict[str, Any]:
    """Return what the times depend on: processor, cores that this process may use, versions."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    versions = {
        package: importlib.metadata.version(package) for package in ("openvino", "av", "opencv-python", "numpy")
    }
    return {"processor": name, "cores": available_cores(), "python": platform.python_version(), **versions}
