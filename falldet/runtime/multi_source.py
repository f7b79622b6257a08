"""Several sources at once in one process: one set of models, one state a source; a source that fails fails alone."""

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
    """Return a detector per source name, with the models of `first`.

    A pose source with state from image to image (`max_in_flight` of 1) can't be shared: each detector gets its own.
    """
    pose_source = first.pose_source if first.pose_source.max_in_flight > 1 else None
    recognizer = first.analyzer.recognizer
    return [FallDetector(first.config, recognizer, pose_source, first.device, source=name) for name in names]


def run_sources(
    sources: Sequence[str | Path], first: FallDetector, options: OutputOptions
) -> list[RunResult | FalldetError]:
    """Run every source as `run_source` does, all at once, into a folder each below `options.out_dir`.

    Returns:
        What came out of each source, in order: its result, or why it failed.

    Raises:
        FalldetError: two sources would write into the same folder.
        KeyboardInterrupt: after Ctrl-C; the results so far are written.
    """
    names = [output_name(source) for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise FalldetError(f"several sources are called {name} and would share a folder; run them one by one")
    detectors = shared_detectors(first, names)
    with stop_on_request() as stop:

        def run_one(number: int) -> RunResult | FalldetError:
            own = replace(options, out_dir=options.out_dir / names[number])
            return _run_alone(sources[number], detectors[number], own, stop)

        results = list(side_by_side(run_one, range(len(sources))))
        if stop.is_set():
            raise KeyboardInterrupt
    return results


def _run_alone(
    source: str | Path, detector: FallDetector, options: OutputOptions, stop: threading.Event
) -> RunResult | FalldetError:
    try:
        return process(source, detector, output_sinks(source, detector.config, options), stop)
    except FalldetError as error:
        return error


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield `work` of each item, in order, all running at once in threads; an error is raised in its turn."""
    with ThreadPoolExecutor(len(items), thread_name_prefix="source") as pool:
        yield from pool.map(work, items)
