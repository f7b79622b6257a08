"""A task mapped over many clips, in this process or in several, with the same outcomes in the order of the clips."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from typing import Any, Protocol, TypeVar

import cv2
from tqdm import tqdm

from falldet.errors import FalldetError
from falldet.runtime.signals import StopRequest, stop_on_request
from falldet.terminal import log_to

Clip = TypeVar("Clip")
ClipIn = TypeVar("ClipIn", contravariant=True)
Outcome = TypeVar("Outcome")
OutcomeOut = TypeVar("OutcomeOut", covariant=True)

STOP_CHECK_S = 0.2
"""Longest delay between Ctrl-C and its effect while worker processes run, seconds."""


class ClipTask(Protocol[ClipIn, OutcomeOut]):
    """Work to be done on each clip; it is pickled for the worker processes.

    Example:
        >>> @dataclass(frozen=True)
        ... class FrameCount:
        ...     def load(self, stop_if_asked):
        ...         return lambda path: sum(1 for _ in read_frames(path))
        >>> map_clips(FrameCount(), ["a.mp4", "b.mp4"], jobs=2)
        [150, 93]
    """

    def load(self, stop_if_asked: Callable[[], None]) -> Callable[[ClipIn], OutcomeOut]:
        """Return the function that does the work on one clip, with its models loaded once for all clips.

        The function raises FalldetError where its clip can't be used. Its models should run on one processor thread:
        `jobs` processes then use as many cores, and outcomes don't depend on `jobs`.

        Args:
            stop_if_asked: to be called every frame or so; raises KeyboardInterrupt after Ctrl-C.
        """
        ...


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_clips(
    task: ClipTask[Clip, Outcome], clips: Sequence[Clip], jobs: int = 1, description: str = "clips"
) -> list[Outcome | FalldetError]:
    """Do the work of `task` on every clip, in `jobs` processes, or in this one where `jobs` is 1.

    Args:
        task: the work.
        clips: the clips, in any order.
        jobs: number of processes. Higher: faster up to the number of cores, and more memory.
        description: text of the progress bar.

    Returns:
        The outcome of each clip, in order, or why it can't be used.

    Raises:
        FalldetError: `jobs` is below 1, or a process was killed.
        KeyboardInterrupt: after Ctrl-C.
    """
    if jobs < 1:
        raise FalldetError(f"jobs = {jobs} must be at least 1")
    jobs = min(jobs, len(clips))
    outcomes: dict[int, Outcome | FalldetError] = {}
    with (
        stop_on_request() as stop,
        tqdm(total=len(clips), unit="video", desc=description, smoothing=0.1, disable=None) as bar,
    ):
        arriving = _in_processes(task, clips, jobs, stop) if jobs > 1 else _in_turn(task, clips, stop)
        with closing(arriving):
            for index, outcome in arriving:
                outcomes[index] = outcome
                bar.update()
    return [outcomes[index] for index in range(len(clips))]


def _in_turn(
    task: ClipTask[Clip, Outcome], clips: Sequence[Clip], stop: StopRequest
) -> Generator[tuple[int, Outcome | FalldetError], None, None]:
    """Yield index and outcome of each clip, worked on in this process."""
    if not clips:
        return
    stop_if_asked = _stopper(stop)
    work = task.load(stop_if_asked)
    for index, clip in enumerate(clips):
        stop_if_asked()
        yield index, _outcome_of(work, clip)
        stop_if_asked()


def _in_processes(
    task: ClipTask[Clip, Outcome], clips: Sequence[Clip], jobs: int, stop: StopRequest
) -> Generator[tuple[int, Outcome | FalldetError], None, None]:
    """Yield index and outcome of each clip as they arrive from `jobs` new processes."""
    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of OpenVINO's threads
    stopped = context.Event()
    with ProcessPoolExecutor(jobs, context, _start_worker, (task, stopped)) as pool:
        with _ctrl_c_ignored():
            running = {pool.submit(_work, clip): index for index, clip in enumerate(clips)}
        try:
            while running:
                done, _ = wait(running, STOP_CHECK_S, FIRST_COMPLETED)
                _stopper(stop)()
                for future in done:
                    yield running.pop(future), _result(future, stop)
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def _outcome_of(work: Callable[[Clip], Outcome], clip: Clip) -> Outcome | FalldetError:
    try:
        return work(clip)
    except FalldetError as error:
        return error


def _stopper(stop: StopRequest) -> Callable[[], None]:
    def stop_if_asked() -> None:
        if stop.is_set():
            raise stop.interruption()

    return stop_if_asked


def _result(future: Future[Any], stop: StopRequest) -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        if stop.wait(STOP_CHECK_S):  # the whole group was asked to end, as by a service manager
            raise stop.interruption() from None
        raise FalldetError("a worker process was killed, perhaps out of memory; use fewer --jobs") from None


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Let the processes started in the block ignore Ctrl-C, which reaches the whole group: this one stops them.

    A new process inherits that a signal is ignored, but no handler. SIGTERM is not ignored: the pool itself uses it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_worker: Callable[[Any], Any]
"""The work on one clip, in a worker process."""


def _start_worker(task: ClipTask[Any, Any], stopped: multiprocessing.synchronize.Event) -> None:
    log_to()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    global _worker

    def stop_if_asked() -> None:
        if stopped.is_set():
            raise KeyboardInterrupt

    _worker = task.load(stop_if_asked)


def _work(clip: Any) -> Any:
    return _outcome_of(_worker, clip)


def _leave_with_parent() -> None:
    """End this process when its parent has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
