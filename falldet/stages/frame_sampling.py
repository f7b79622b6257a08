"""Adaptive frame sampling: choose the frames on which pose estimation runs.

Three rates: idle (no person moves), active (a person moves, or may have been lost), full (every frame, while a recent
window scored high). A skipped frame keeps the people of the last processed one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TypeVar

from falldet.types import WindowScore

Item = TypeVar("Item")

JITTER_S = 0.008
"""Time by which a frame may be early, seconds: a camera's clock is not exact, and files round their timestamps."""


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """Rates of pose estimation and the conditions that switch between them.

    Attributes:
        active_fps: inferences per second while a person moves; 0 processes every frame. Higher: more computation.
        idle_fps: inferences per second while no person moves. Higher: motion is noticed earlier.
        motion_threshold: speed of a moving person, box lengths (longer side) per second. Higher: fewer inferences.
        motion_hold_s: seconds for which the active rate is kept after the last motion. Higher: more inferences.
        empty_hold_s: seconds for which frames without people count as motion. Higher: more inferences in an empty room.
        full_rate_threshold: window score [0, 1] from which every frame is processed. Higher: fewer inferences.
        full_rate_hold_s: seconds of processing every frame after such a window; 0 never. Higher: more inferences.
    """

    active_fps: float = 15.0
    idle_fps: float = 5.0
    motion_threshold: float = 0.2
    motion_hold_s: float = 0.3
    empty_hold_s: float = 10.0
    full_rate_threshold: float = 0.2
    full_rate_hold_s: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError if a value is out of range."""
        if self.active_fps < 0:
            raise ValueError(f"active_fps = {self.active_fps} must not be negative; 0 processes every frame")
        if self.idle_fps <= 0:
            raise ValueError(f"idle_fps = {self.idle_fps} must be above 0, or motion is never noticed")
        for name in ("motion_threshold", "motion_hold_s", "empty_hold_s", "full_rate_hold_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)} must not be negative")


class FrameSampler:
    """Decides for each frame in turn whether pose estimation runs on it.

    Example:
        >>> sampler = FrameSampler(SamplingSettings(active_fps=15))
        >>> for frame, process in sampler.sample(read_frames("video.mp4"), lambda frame: frame.time_s):
        ...     people = pose_source.submit(frame.image).result() if process else people

    Args:
        settings: see `SamplingSettings`.
    """

    def __init__(self, settings: SamplingSettings | None = None) -> None:
        self.settings = settings or SamplingSettings()
        self.reset()

    def reset(self) -> None:
        """Forget the source: the next frame is processed."""
        self._credit = 1.0  # inferences due since the last one
        self._last_s: float | None = None
        self._person_s: float | None = None  # last observation of a person
        self._moving_until_s = math.inf  # until the first inference
        self._full_rate_until_s = -math.inf

    def should_process(self, time_s: float) -> bool:
        """Return whether to process the frame at `time_s`, later than the last one."""
        settings = self.settings
        if settings.active_fps == 0:
            return True
        rate = settings.active_fps if time_s < self._moving_until_s else settings.idle_fps
        if self._last_s is not None:
            self._credit += rate * (time_s - self._last_s)
        self._last_s = time_s
        early = rate * JITTER_S
        due = self._credit >= 1 - early or time_s < self._full_rate_until_s
        if due:  # the remainder counts for the next inference, which keeps the rate; a gap is not made up for
            remainder = self._credit - 1
            self._credit = remainder if -early <= remainder < 1 - early else 0.0
        return due

    def forecast(self) -> Callable[[float], bool]:
        """Return a predictor: `should_process` of the coming frames, in order, if no `update` changes the rate."""
        return copy(self).should_process

    def update(self, time_s: float, speed: float | None, scores: Sequence[WindowScore]) -> None:
        """Set the rate by the result of the processed frame at `time_s`, before the next frame is decided.

        Args:
            time_s: time of the frame, seconds.
            speed: speed of the fastest person, box lengths per second; infinite if unknown, None without people.
            scores: scores of the windows that ended with this frame.
        """
        if speed is not None or self._person_s is None:
            self._person_s = time_s
        if speed is None:
            moving = time_s - self._person_s < self.settings.empty_hold_s
        else:
            moving = speed > self.settings.motion_threshold
        if moving:
            self._moving_until_s = time_s + self.settings.motion_hold_s
        elif self._moving_until_s == math.inf:
            self._moving_until_s = time_s
        if any(score.probability >= self.settings.full_rate_threshold for score in scores):
            self._full_rate_until_s = time_s + self.settings.full_rate_hold_s

    def sample(self, frames: Iterable[Item], time_s: Callable[[Item], float]) -> Iterator[tuple[Item, bool]]:
        """Yield each frame and whether to process it; the last frame of a source is always processed.

        A skipped frame is yielded when the next one has been read.

        Args:
            frames: frames in order of time.
            time_s: returns the time of a frame, seconds.
        """
        skipped: list[Item] = []
        for frame in frames:
            yield from ((earlier, False) for earlier in skipped)
            process = self.should_process(time_s(frame))
            skipped = [] if process else [frame]
            if process:
                yield frame, True
        yield from ((frame, True) for frame in skipped)
