"""Pose estimation started before its result is needed, so that the pose source is never without work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from falldet.pose.source import PoseSource
from falldet.stages.frame_sampling import FrameSampler
from falldet.types import Frame, People

LOOKAHEAD_FRAMES = 8
"""Frames that wait at most for their turn: they are large."""


class PosePrefetcher:
    """Samples frames and starts pose estimation on those that the sampler forecasts.

    The results are those of estimating each frame in its turn: a frame that the sampler decides to skip after all is
    skipped, and its people are dropped.

    Args:
        sampler: decides which frames are processed; updated by the caller between frames.
        pose_source: estimates poses.
        prefetch: inferences in flight beyond the frame in hand. 0 minimizes latency, more raises throughput.
    """

    def __init__(self, sampler: FrameSampler, pose_source: PoseSource, prefetch: int = 0) -> None:
        self._sampler, self._pose_source, self._prefetch = sampler, pose_source, prefetch
        self._futures: dict[int, Future[People]] = {}  # by frame index

    def run(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Future[People] | None]]:
        """Yield each frame with the future of its people, or None where it is skipped."""
        if self._prefetch:
            frames = self._started(frames)
        for frame, process in self._sampler.sample(frames, lambda frame: frame.time_s):
            future = self._futures.pop(frame.index, None)
            if process:
                yield frame, future or self._pose_source.submit(frame.image)
            else:
                if future:
                    future.result()  # the forecast was wrong: motion has ended since
                yield frame, None

    def _started(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield `frames`, with pose estimation started on up to `prefetch` more that are forecast to be processed."""
        source, waiting = iter(frames), deque[Frame]()
        while True:
            will_process = self._sampler.forecast()
            for frame in self._coming(source, waiting):
                if will_process(frame.time_s) and self._has_room and frame.index not in self._futures:
                    self._futures[frame.index] = self._pose_source.submit(frame.image)
            if not waiting:
                return
            yield waiting.popleft()

    @property
    def _has_room(self) -> bool:
        return len(self._futures) <= self._prefetch

    def _coming(self, source: Iterator[Frame], waiting: deque[Frame]) -> Iterator[Frame]:
        """Yield the frames that wait, then read more while there is room for them and for their inferences."""
        yield from tuple(waiting)
        while len(waiting) < LOOKAHEAD_FRAMES and (not waiting or self._has_room):
            frame = next(source, None)
            if frame is None:
                return
            waiting.append(frame)
            yield frame
