"""Prefetching of pose estimation: inferences start before their frames are due, which keeps the pose source busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from falldet.pose.source import PoseSource
from falldet.stages.frame_sampling import FrameSampler
from falldet.types import Frame, People

LOOKAHEAD_FRAMES = 8
"""Frames read in advance at most. More: bridges more skipped frames, more memory."""


class PosePrefetcher:
    """Samples frames and starts pose estimation on frames that the sampler forecasts to process.

    The results are those without prefetching: the sampler decides on each frame in its turn, after the update by the
    frame before. The people of a frame that is skipped against the forecast are dropped.

    A pose source whose `max_in_flight` is 1 may carry state from image to image, so it is not prefetched.

    Example:
        >>> for frame, future in PosePrefetcher(sampler, MoveNet(), prefetch=2).run(read_frames("video.mp4")):
        ...     if future is not None:
        ...         people = tracker.update(future.result(), frame.time_s)
        ...         sampler.update(frame.time_s, tracker.speed(frame.time_s), scores=[])

    Args:
        sampler: decides which frames are processed; the caller updates it after each processed frame.
        pose_source: estimates poses.
        prefetch: inferences in flight beyond that of the present frame. 0 minimizes latency. Higher: more throughput.
    """

    def __init__(self, sampler: FrameSampler, pose_source: PoseSource, prefetch: int = 0) -> None:
        self._sampler, self._pose_source = sampler, pose_source
        self._prefetch = prefetch if pose_source.max_in_flight > 1 else 0
        self._futures: dict[int, Future[People]] = {}  # by frame index

    def run(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Future[People] | None]]:
        """Yield each frame with the future of its people; None for a skipped frame."""
        if self._prefetch:
            frames = self._with_inferences_started(frames)
        for frame, process in self._sampler.sample(frames, lambda frame: frame.time_s):
            future = self._futures.pop(frame.index, None)
            if process:
                yield frame, future or self._pose_source.submit(frame.image)
            else:
                if future:
                    future.result()  # a wrong forecast: wait, so that no more than `prefetch` are in flight
                yield frame, None

    def _with_inferences_started(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield `frames`; before each one, start pose estimation on coming frames while there is room."""
        source, waiting = iter(frames), deque[Frame]()
        while True:
            will_process = self._sampler.forecast()
            for frame in self._coming_frames(source, waiting):
                if will_process(frame.time_s) and self._has_room and frame.index not in self._futures:
                    self._futures[frame.index] = self._pose_source.submit(frame.image)
            if not waiting:
                return
            yield waiting.popleft()

    def _coming_frames(self, source: Iterator[Frame], waiting: deque[Frame]) -> Iterator[Frame]:
        """Yield the waiting frames; then, while there is room, read further frames into `waiting` and yield them."""
        yield from tuple(waiting)
        while len(waiting) < LOOKAHEAD_FRAMES and (not waiting or self._has_room):
            frame = next(source, None)
            if frame is None:
                return
            waiting.append(frame)
            yield frame

    @property
    def _has_room(self) -> bool:
        """Whether another inference may start."""
        return len(self._futures) <= self._prefetch
