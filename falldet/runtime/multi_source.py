"""Several sources at once in one process: shared models, separate state; a failing source doesn't stop the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from falldet.errors import FalldetError
from falldet.pipeline.detector import FallDetector
from falldet.runtime.runner import OutputOptions, RunResult, output_name, output_sinks, process
from falldet.runtime.signals import stop_on_request

Item = TypeVar("Item")
Result = TypeVar("Result")


def shared_detectors(first: FallDetector, names: Sequence[str]) -> list[FallDetector]:
    """Return a detector per source name, which share the models of `first` and no state.

    A pose source that carries state between images (`max_in_flight` of 1) is not shared: each detector gets its own.

    Raises:
        FalldetError: a model can't be had.
    """
    pose_source = first.pose_source if first.pose_source.max_in_flight > 1 else None
    recognizer = first.analyzer.recognizer
    return [FallDetector(first.config, recognizer, pose_source, first.device, source=name) for name in names]


def run_sources(
    sources: Sequence[str | Path], first: FallDetector, options: OutputOptions
) -> list[RunResult | FalldetError]:
    """Run several sources at once, each as `run_source` does, into a folder of its own below `options.out_dir`.

    Args:
        sources: files, addresses of streams, or webcam numbers.
        first: a detector whose configuration and models all sources share.
        options: the outputs.

    Returns:
        The result of each source, in order, or why it failed.

    Raises:
        FalldetError: two sources would share a folder.
        KeyboardInterrupt: after Ctrl-C; the outputs are complete up to there.
    """
    names = [output_name(source) for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise FalldetError(f"several sources are called {name} and would share a folder; run them one by one")
    detectors = shared_detectors(first, names)
    with stop_on_request() as stop:

        def run_one(index: int) -> RunResult | FalldetError:
            own = replace(options, out_dir=options.out_dir / names[index])
            return _result_or_error(sources[index], detectors[index], own, stop)

        results = list(map_in_threads(run_one, range(len(sources))))
        if stop.is_set():
            raise KeyboardInterrupt
    return results


def _result_or_error(
    source: str | Path, detector: FallDetector, options: OutputOptions, stop: threading.Event
) -> RunResult | FalldetError:
    try:
        return process(source, detector, output_sinks(source, detector.config, options), stop)
    except FalldetError as error:
        return error


def map_in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield `work` of each item, in order, with a thread per item; an error is raised in place of its result."""
    with ThreadPoolExecutor(len(items), thread_name_prefix="source") as pool:
        yield from pool.map(work, items)
