"""Fusion: the scores of overlapping windows in, one score per track and frame out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from falldet.types import NO_TRACK, PersonScore, WindowScore

Rule = Literal["higher_score", "mean", "noisy_or"]


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """Rules and times of the fusion.

    Attributes:
        rule: rule of the scores for events: "higher_score", "mean" or "noisy_or", which is 1 - product of (1 - score).
        latency_s: seconds a frame waits for further windows that cover it. Higher: steadier scores, later alerts.
        max_wait_s: seconds after which a frame that no window covers is dropped. Higher: more memory.
        final_rule: rule of the final scores, over all windows that cover a frame; these are written to scores.csv.
    """

    rule: Rule = "noisy_or"
    latency_s: float = 0.5
    max_wait_s: float = 3.0
    final_rule: Rule = "higher_score"

    def __post_init__(self) -> None:
        """Raise ValueError if `latency_s` is negative or above `max_wait_s`."""
        if not 0 <= self.latency_s <= self.max_wait_s:
            raise ValueError(f"latency_s = {self.latency_s} must lie between 0 and max_wait_s = {self.max_wait_s}")


@dataclass(slots=True)
class _Track:
    frames: deque[tuple[int, float]] = field(default_factory=deque)  # (index, time_s), not finalized yet
    windows: deque[WindowScore] = field(default_factory=deque)


class Fuser:
    """Takes frames and window scores in order of time; returns the fused score of each track and frame once, in order.

    A frame is finalized when it has waited `latency_s` and at least one window covers it. A frame that no window covers
    within `max_wait_s`, as of a track too short for a window, gets no score. So memory is bounded.

    Example:
        >>> fuser = Fuser(FusionSettings(rule="mean"))
        >>> scores = fuser.push(frame.index, frame.time_s, people.track_ids, window_scores)

    Args:
        settings: see `FusionSettings`.
    """

    def __init__(self, settings: FusionSettings | None = None) -> None:
        self.settings = settings or FusionSettings()
        self.reset()

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracks: dict[int, _Track] = {}

    def push(
        self, frame_index: int, time_s: float, track_ids: Iterable[int], window_scores: Iterable[WindowScore]
    ) -> list[PersonScore]:
        """Take one frame and the windows that ended by then; return the scores that are now finalized.

        Args:
            frame_index: index of the frame.
            time_s: time of the frame, seconds.
            track_ids: (N,) track ids of the people in the frame; `NO_TRACK` is ignored.
            window_scores: scores of the windows that end at or before `time_s`.
        """
        self._add(window_scores)
        finalized = self._finalize_all(time_s)
        for track_id in track_ids:
            if track_id != NO_TRACK:
                self._tracks.setdefault(int(track_id), _Track()).frames.append((frame_index, time_s))
        return finalized

    def flush(self, window_scores: Iterable[WindowScore] = ()) -> list[PersonScore]:
        """Take the last windows, return all pending scores, and forget all tracks."""
        self._add(window_scores)
        finalized = self._finalize_all(np.inf)
        self.reset()
        return finalized

    def _add(self, window_scores: Iterable[WindowScore]) -> None:
        for score in window_scores:
            self._tracks.setdefault(score.track_id, _Track()).windows.append(score)

    def _finalize_all(self, time_s: float) -> list[PersonScore]:
        finalized: list[PersonScore] = []
        for track_id, track in list(self._tracks.items()):
            finalized += self._finalize(track_id, track, time_s)
            oldest_s = track.frames[0][1] if track.frames else time_s
            while track.windows and track.windows[0].stop_s <= oldest_s:
                track.windows.popleft()
            if not track.frames and not track.windows:
                del self._tracks[track_id]
        return finalized

    def _finalize(self, track_id: int, track: _Track, time_s: float) -> list[PersonScore]:
        finalized = []
        while track.frames and track.frames[0][1] <= time_s - self.settings.latency_s:
            index, frame_s = track.frames[0]
            covering = [w.probability for w in track.windows if w.start_s <= frame_s < w.stop_s]
            if covering:
                finalized.append(PersonScore(track_id, index, frame_s, self._fuse(covering)))
            elif time_s - frame_s <= self.settings.max_wait_s:
                break
            track.frames.popleft()
        return finalized

    def _fuse(self, scores: list[float]) -> float:
        """Return the fused score of a frame from the scores of the windows that cover it."""
        if self.settings.rule == "higher_score":
            return max(scores)
        if self.settings.rule == "mean":
            return float(np.mean(scores))
        return float(1 - np.prod(1 - np.asarray(scores)))
