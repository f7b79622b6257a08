"""Fusion of the scores of overlapping windows: the evidence of each track, and a final score per track and frame.

Events are decided on the evidence, which is there at once; the final score of a frame waits for all windows that cover
it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from falldet.types import NO_TRACK, PersonScore, WindowScore

Rule = Literal["higher_score", "mean"]


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """Rules and times of the fusion.

    Attributes:
        evidence_windows: number of a track's last windows whose mean score is its evidence, on which events are
            decided. Higher: fewer false alarms, later alerts.
        max_wait_s: seconds after which a frame that no window covers is dropped. Higher: more memory.
        final_rule: rule of the final scores, over all windows that cover a frame: "higher_score" or "mean"; these are
            written to scores.csv.
    """

    evidence_windows: int = 2
    max_wait_s: float = 3.0
    final_rule: Rule = "higher_score"

    def __post_init__(self) -> None:
        """Raise ValueError if a value is out of range."""
        if self.evidence_windows < 1:
            raise ValueError(f"evidence_windows = {self.evidence_windows} must be at least 1")
        if self.max_wait_s < 0:
            raise ValueError(f"max_wait_s = {self.max_wait_s} must not be negative")


class EvidenceFuser:
    """Takes window scores in order of time; returns each track's evidence, the mean score of its last windows.

    A window that is missing, as before the first one of a track, counts as 0. Memory is bounded: a track is forgotten
    when it has no window for as long as the evidence reaches back.

    Example:
        >>> fuser = EvidenceFuser(FusionSettings(evidence_windows=2), stride_s=0.25)
        >>> evidence = fuser.push(frame.index, frame.time_s, window_scores)

    Args:
        settings: see `FusionSettings`.
        stride_s: seconds from one window of a track to the next.
    """

    def __init__(self, settings: FusionSettings, stride_s: float) -> None:
        self._count = settings.evidence_windows
        self._reach_s = (self._count - 0.5) * stride_s
        self.reset()

    def reset(self) -> None:
        """Forget all tracks."""
        self._recent: dict[int, deque[WindowScore]] = {}

    def push(self, frame_index: int, time_s: float, window_scores: Iterable[WindowScore]) -> list[PersonScore]:
        """Take the windows that ended by a frame; return the evidence at the end of each.

        Args:
            frame_index: index of the frame.
            time_s: time of the frame, seconds.
            window_scores: scores of the windows that end at or before `time_s`, in order of time.
        """
        evidence = []
        for score in window_scores:
            recent = self._recent.setdefault(score.track_id, deque(maxlen=self._count))
            while recent and recent[0].stop_s <= score.stop_s - self._reach_s:
                recent.popleft()
            recent.append(score)
            mean = sum(each.probability for each in recent) / self._count
            evidence.append(PersonScore(score.track_id, frame_index, min(score.stop_s, time_s), mean))
        oldest_s = time_s - self._reach_s
        self._recent = {i: recent for i, recent in self._recent.items() if recent[-1].stop_s > oldest_s}
        return evidence


@dataclass(slots=True)
class _Track:
    frames: deque[tuple[int, float]] = field(default_factory=deque)  # (index, time_s), not finalized yet
    windows: deque[WindowScore] = field(default_factory=deque)


class Fuser:
    """Takes frames and window scores in order of time; returns the fused score of each track and frame once, in order.

    A frame is finalized when it has waited `latency_s` and at least one window covers it. A frame that no window covers
    within `FusionSettings.max_wait_s`, as of a track too short for a window, gets no score. So memory is bounded.

    Example:
        >>> fuser = Fuser(FusionSettings(final_rule="mean"), latency_s=4.0)
        >>> scores = fuser.push(frame.index, frame.time_s, people.track_ids, window_scores)

    Args:
        settings: see `FusionSettings`.
        latency_s: seconds a frame waits for further windows that cover it; the length of a window gives all of them.
    """

    def __init__(self, settings: FusionSettings, latency_s: float) -> None:
        self._rule, self._latency_s = settings.final_rule, latency_s
        self._max_wait_s = max(latency_s, settings.max_wait_s)
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
        while track.frames and track.frames[0][1] <= time_s - self._latency_s:
            index, frame_s = track.frames[0]
            covering = [w.probability for w in track.windows if w.start_s <= frame_s < w.stop_s]
            if covering:
                finalized.append(PersonScore(track_id, index, frame_s, self._fuse(covering)))
            elif time_s - frame_s <= self._max_wait_s:
                break
            track.frames.popleft()
        return finalized

    def _fuse(self, scores: list[float]) -> float:
        """Return the fused score of a frame from the scores of the windows that cover it."""
        return max(scores) if self._rule == "higher_score" else float(np.mean(scores))
