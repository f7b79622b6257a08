"""Data passed between the stages: frame, people, window, window score, person score, event.

Arrays are checked once, on construction. Coordinates are pixels of the frame, x to the right and y down. Times are
seconds from the start of the source. A missing joint has score 0 and lies at (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import numpy as np

NO_TRACK = -1
"""Track id of a person without a confirmed track."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a source and its time.

    Attributes:
        index: position in the source, from 0.
        time_s: presentation time from the start of the source, in seconds.
        image: (H, W, 3) uint8, BGR, rotated upright.
    """

    index: int
    time_s: float
    image: np.ndarray

    def __post_init__(self) -> None:
        """Raise ValueError if the image is not (H, W, 3) uint8."""
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(f"image must be (H, W, 3) uint8, got {self.image.shape} {self.image.dtype}")


@dataclass(frozen=True, slots=True)
class People:
    """The N people of one frame.

    Attributes:
        keypoints: (N, K, 2) float32, pixels.
        scores: (N, K) float32 in [0, 1], one per joint.
        boxes: (N, 4) float32, x0 y0 x1 y1 in pixels.
        box_scores: (N,) float32 in [0, 1].
        track_ids: (N,) int64, `NO_TRACK` where a person has no confirmed track.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    track_ids: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Convert to the stated dtypes; raise ValueError if shapes disagree or a number is not finite."""
        for name in ("keypoints", "scores", "boxes", "box_scores"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float32))
        count, joints = self.keypoints.shape[:2]
        ids = np.full(count, NO_TRACK) if self.track_ids is None else self.track_ids
        object.__setattr__(self, "track_ids", np.asarray(ids, dtype=np.int64))
        expected = {
            "keypoints": (count, joints, 2),
            "scores": (count, joints),
            "boxes": (count, 4),
            "box_scores": (count,),
            "track_ids": (count,),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value.shape != shape:
                raise ValueError(f"People.{name} must be {shape}, got {value.shape}")
            if not np.isfinite(value).all():
                raise ValueError(f"People.{name} holds a number that is not finite")

    def __len__(self) -> int:
        """Return the number of people, N."""
        return len(self.keypoints)

    def __getitem__(self, rows: np.ndarray | slice) -> People:
        """Return the people of `rows`: an index array, a mask (N,) or a slice."""
        return People(
            self.keypoints[rows], self.scores[rows], self.boxes[rows], self.box_scores[rows], self.track_ids[rows]
        )

    def with_track_ids(self, track_ids: np.ndarray) -> People:
        """Return the same people, in the same order, with `track_ids` (N,)."""
        return replace(self, track_ids=track_ids)

    @classmethod
    def none(cls, joints: int = 17) -> People:
        """Return no people: N is 0."""
        return cls(np.zeros((0, joints, 2)), np.zeros((0, joints)), np.zeros((0, 4)), np.zeros(0))


@dataclass(frozen=True, slots=True)
class Window:
    """Poses of one track during [start_s, stop_s).

    Attributes:
        track_id: id of the track.
        start_s: start of the window, seconds.
        stop_s: end of the window, exclusive, seconds.
        time_s: (T,) float64, ascending times of the observations; all within the window, but for the last one before
            its start, which comes first where there is one.
        keypoints: (T, K, 2) float32, pixels.
        scores: (T, K) float32 in [0, 1].
        image_hw: height and width of the frames in pixels.
    """

    track_id: int
    start_s: float
    stop_s: float
    time_s: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    image_hw: tuple[int, int]

    def __post_init__(self) -> None:
        """Raise ValueError if the window is empty or the shapes disagree."""
        steps = len(self.time_s)
        if steps == 0 or self.keypoints.shape[0] != steps or self.scores.shape != self.keypoints.shape[:2]:
            raise ValueError(
                f"Window needs T >= 1 equal lengths, got time_s {self.time_s.shape}, "
                f"keypoints {self.keypoints.shape}, scores {self.scores.shape}"
            )


@dataclass(frozen=True, slots=True)
class WindowScore:
    """The recognizer's fall probability, in [0, 1], for the window [start_s, stop_s) of one track; times in seconds."""

    track_id: int
    start_s: float
    stop_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class PersonScore:
    """The fused score, in [0, 1], of one track in one frame; `time_s` is the frame's time in seconds."""

    track_id: int
    frame_index: int
    time_s: float
    score: float


class EventState(StrEnum):
    """State of a fall event; RECOVERED and LOST are final.

    FALLING: the scores are still high. FALLEN: the descent is over. RECOVERED: the person is upright again. LOST: the
    fallen person went out of sight before a recovery was observed.
    """

    FALLING = "falling"
    FALLEN = "fallen"
    RECOVERED = "recovered"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Event:
    """One fall of one person.

    Attributes:
        id: identifier, the same in all updates of the event and unique within a run.
        source: name of the video or camera.
        track_id: track of the fallen person when the alert was raised.
        start_s: estimated start of the descent, seconds.
        alert_s: time of the alert, seconds; never before the evidence for it.
        end_s: time of the recovery, seconds; None in every other state.
        peak_s: time of the highest score so far, seconds.
        score: the highest score so far, in [0, 1].
        state: falling, fallen, recovered or lost.
        box: box of the person at the alert, x0 y0 x1 y1 in pixels.
        lying_s: time on the floor, from the first lying posture until upright or last observed, seconds.
        long_lie: whether `lying_s` has reached `EventSettings.long_lie_s`.
        wall_time: UTC time of the alert; None for a source without a wall clock, such as a file.
        falls: number of falls that it joins: a person who falls at the same place within the cool-down after a recovery
            continues the event.
        handed_over: whether its present track was upright before it lay at the place of the lost one. Its recovery may
            be that of another person, such as a helper.
    """

    id: str
    source: str
    track_id: int
    start_s: float
    alert_s: float
    end_s: float | None
    peak_s: float
    score: float
    state: EventState
    box: tuple[float, ...]
    lying_s: float = 0.0
    long_lie: bool = False
    wall_time: datetime | None = None
    falls: int = 1
    handed_over: bool = False
