"""Several sources at once in one process: shared models, separate state; a failing source doesn't stop the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import TypeVar

from falldet.errors import FalldetError
from falldet.io.addresses import output_name
from falldet.pipeline.detector import FallDetector
from falldet.runtime.runner import OutputOptions, RunResult, run_into_folder
from falldet.runtime.signals import stop_on_request

logger = logging.getLogger(__name__)

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
        sources: files, addresses of streams, pipes, or webcam numbers.
        first: a detector whose configuration and models all sources share.
        options: the outputs.

    Returns:
        The result of each source, in order, or why it failed.

    Raises:
        KeyboardInterrupt: after Ctrl-C, `Interrupted` after another signal; the outputs are complete up to there.
    """
    names = unique_names([output_name(source) for source in sources])
    detectors = shared_detectors(first, names)
    with stop_on_request() as stop:

        def run_one(index: int) -> RunResult | FalldetError:
            own = replace(options, out_dir=options.out_dir / names[index], name=names[index])
            return _result_or_error(sources[index], detectors[index], own, stop)

        results = list(map_in_threads(run_one, range(len(sources))))
        if stop.is_set():
            raise stop.interruption()
    return results


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names with -2, -3, ... after those that come again, as cameras whose files are called alike.

    Example:
        >>> unique_names(["hall", "video", "video"])
        ['hall', 'video', 'video-2']
    """
    unique: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        unique.append(next(each for each in chain([name], numbered) if each not in unique))
    return unique


def _result_or_error(
    source: str | Path, detector: FallDetector, options: OutputOptions, stop: threading.Event
) -> RunResult | FalldetError:
    try:
        return run_into_folder(source, detector, options, stop)
    except FalldetError as error:
        return error
    except Exception as error:  # a defect must not stop the other sources
        logger.exception("%s failed", options.name)
        return FalldetError(f"{type(error).__name__}: {error}; this is a defect of falldet, see the traceback above")


def map_in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield `work` of each item, in order, with a thread per item; an error is raised in place of its result."""
    with ThreadPoolExecutor(len(items), thread_name_prefix="source") as pool:
        yield from pool.map(work, items)
