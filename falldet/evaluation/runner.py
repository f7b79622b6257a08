"""Videos watched and judged in this process or side by side in several; what comes out is the same."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.synchronize
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from falldet.data.manifest import ClipRecord
from falldet.errors import FalldetError
from falldet.evaluation.error_analysis import ErrorAnalysis, analyze_errors
from falldet.evaluation.matching import ClipResult
from falldet.evaluation.metrics import EventMetrics, compute_metrics
from falldet.evaluation.replay import judge, replay_clip
from falldet.pipeline.detector import Pipeline, Settings, pose_cache
from falldet.pose.source import NoPoseSource
from falldet.runtime.signals import stop_on_request
from falldet.stages.recognizer import make_recognizer

STOP_CHECK_S = 0.2
"""How long Ctrl-C may go unseen while workers are waited for."""


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """How videos are judged.

    Attributes:
        settings: of the live chain.
        thresholds: alert scores at which they are judged besides the one in `settings`.
        cache: folder that keeps the poses.
    """

    settings: Settings
    thresholds: tuple[float, ...]
    cache: Path


@dataclass(frozen=True, slots=True)
class ClipEvaluation:
    """One video: how it was judged, why it was judged wrongly, and how it would be judged at other thresholds."""

    result: ClipResult
    analysis: ErrorAnalysis
    at_thresholds: list[ClipResult]


Judge = Callable[[ClipRecord], ClipEvaluation | str]
"""A video in, and out how it was judged or, where it can't be read, the reason."""


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def evaluate_clips(
    clips: Sequence[ClipRecord], judging: EvaluationJob, jobs: int = 1
) -> tuple[list[ClipEvaluation], list[tuple[Path, str]]]:
    """Watch and judge every clip, in `jobs` processes with one thread each, or in this one where `jobs` is 1.

    Returns:
        The judged clips in their order, and those that couldn't be read with the reason.

    Raises:
        FalldetError: not one clip could be read, the recognizer can't be loaded, or a process was killed.
        KeyboardInterrupt: after Ctrl-C; poses of finished videos are kept.
    """
    if jobs < 1:
        raise FalldetError(f"jobs = {jobs} must be at least 1")
    recognize = Pipeline(judging.settings, pose_source=NoPoseSource()).recognize  # exported, and checked, once for all
    pose_cache(judging.cache, judging.settings)
    jobs = min(jobs, len(clips))
    outcomes: dict[int, ClipEvaluation | str] = {}
    with (
        stop_on_request() as stop,
        tqdm(total=len(clips), unit="video", desc="watching", smoothing=0.1, disable=None) as bar,
    ):
        if jobs > 1:
            arriving = _side_by_side(clips, judging, jobs, stop)
        else:
            arriving = _one_by_one(clips, _judge(judging, recognize, stop.is_set))
        with closing(arriving):
            for number, outcome in arriving:
                outcomes[number] = outcome
                bar.update()
    judged = [outcome for _, outcome in sorted(outcomes.items()) if isinstance(outcome, ClipEvaluation)]
    left_out = [(clips[n].path, reason) for n, reason in sorted(outcomes.items()) if isinstance(reason, str)]
    if not judged:
        reason = left_out[0][1] if left_out else "there are none"
        raise FalldetError(f"none of the {len(clips)} videos could be evaluated: {reason}")
    return judged, left_out


def operating_curve(judged: Sequence[ClipEvaluation], thresholds: Sequence[float]) -> list[tuple[float, EventMetrics]]:
    """Return the figures at each of the thresholds that the clips were judged at besides the one in use."""
    return [(score, compute_metrics([clip.at_thresholds[i] for clip in judged])) for i, score in enumerate(thresholds)]


def _judge(judging: EvaluationJob, recognize: Any, stopped: Callable[[], bool]) -> Judge:
    """Return what judges one clip in this process, and raises KeyboardInterrupt as soon as `stopped` says so."""
    settings = judging.settings
    pipeline = Pipeline(settings, recognize=recognize, pose_source=NoPoseSource())
    cache = pose_cache(judging.cache, settings)

    def on_frame() -> None:
        if stopped():
            raise KeyboardInterrupt

    def evaluate_one(clip: ClipRecord) -> ClipEvaluation | str:
        on_frame()
        try:
            observed = replay_clip(clip, cache.poses(clip.path, on_frame), pipeline)
        except FalldetError as error:
            return str(error)
        result, *others = judge(observed, settings, judging.thresholds)
        return ClipEvaluation(result, analyze_errors(observed, result, settings), others)

    return evaluate_one


def _one_by_one(clips: Sequence[ClipRecord], evaluate_one: Judge) -> Generator[tuple[int, ClipEvaluation | str], None, None]:
    for number, clip in enumerate(clips):
        yield number, evaluate_one(clip)


def _side_by_side(
    clips: Sequence[ClipRecord], judging: EvaluationJob, jobs: int, stop: threading.Event
) -> Generator[tuple[int, ClipEvaluation | str], None, None]:
    """Yield number and outcome of each clip as they come from `jobs` new processes."""
    context = multiprocessing.get_context("spawn")  # a fork would copy OpenVINO's threads' locks
    stopped = context.Event()
    with ProcessPoolExecutor(jobs, context, _start_worker, (judging, stopped)) as pool:
        with _ctrl_c_passed_over():
            running = {pool.submit(_work, clip): number for number, clip in enumerate(clips)}
        try:
            while running:
                done, _ = wait(running, STOP_CHECK_S, FIRST_COMPLETED)
                if stop.is_set():
                    raise KeyboardInterrupt
                for future in done:
                    yield running.pop(future), _outcome(future)
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def _outcome(future: Future[ClipEvaluation | str]) -> ClipEvaluation | str:
    try:
        return future.result()
    except BrokenProcessPool:
        raise FalldetError("a worker process was killed, perhaps for want of memory; take fewer --jobs") from None


@contextmanager
def _ctrl_c_passed_over() -> Iterator[None]:
    """Let the processes started in the block ignore Ctrl-C, which reaches the whole group: this one tells them to stop.

    A new process takes over that a signal is ignored, but no handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_worker: Judge
"""What judges a clip in a worker process."""


def _start_worker(judging: EvaluationJob, stopped: multiprocessing.synchronize.Event) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    settings = judging.settings
    single = replace(
        judging,
        settings=replace(
            settings,
            movenet=replace(settings.movenet, threads=settings.movenet.threads or 1),
            topdown=replace(settings.topdown, threads=settings.topdown.threads or 1),
            recognizer=replace(settings.recognizer, threads=settings.recognizer.threads or 1),
        ),
    )
    global _worker
    _worker = _judge(single, make_recognizer(single.settings.recognizer), stopped.is_set)


def _work(clip: ClipRecord) -> ClipEvaluation | str:
    return _worker(clip)


def _leave_with_parent() -> None:
    """End this process when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
