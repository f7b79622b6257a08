"""One track over time: posture, evidence and event, from which the event rule decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from falldet.geometry import box_iou, square_boxes
from falldet.types import Event, PersonScore


class TrackState(Enum):
    """State of a track in the event rule; drawn in `falldet.stages.events`."""

    IDLE = auto()
    CANDIDATE = auto()
    ACTIVE = auto()


@dataclass(slots=True)
class FallTrack:
    """What the event rule knows of one track; all times in seconds of the source.

    Attributes:
        first_s: first observation.
        last_s: last observation.
        box: (4,) box at the last observation, x0 y0 x1 y1 in pixels.
        in_ignore_zone: whether the hips were in an ignore zone at the last observation.
        lying_since_s: start of the present lying posture; None if not lying.
        upright_since_s: start of the present upright posture; None if not upright.
        onset_s: start of the present run of evidence at or above the low threshold; None below it.
        reported: whether an event has been raised, or was known already, for this run.
        high_s: last time of evidence at or above the alert threshold.
        quiet_until_s: end of the cool-down after the last alert.
        candidate_onset_s: the onset of the fall candidate; None if the track is no candidate.
        peak: highest evidence of the run, the candidate or the event.
        event: the active event, as of the last update.
        lay_down_s: first lying posture within the event.
        was_upright: whether the person has been upright for `hold_s` since the first observation.
    """

    first_s: float
    last_s: float
    box: np.ndarray
    in_ignore_zone: bool = False
    lying_since_s: float | None = None
    upright_since_s: float | None = None
    onset_s: float | None = None
    reported: bool = False
    high_s: float = -np.inf
    quiet_until_s: float = -np.inf
    candidate_onset_s: float | None = None
    peak: PersonScore | None = None
    event: Event | None = None
    lay_down_s: float | None = None
    was_upright: bool = False

    @property
    def state(self) -> TrackState:
        """State in the event rule."""
        if self.event is not None:
            return TrackState.ACTIVE
        return TrackState.IDLE if self.candidate_onset_s is None else TrackState.CANDIDATE

    def observe(self, time_s: float, box: np.ndarray, lying: bool, upright: bool, hold_s: float) -> None:
        """Take an observation.

        Args:
            time_s: its time, seconds.
            box: (4,) of the person.
            lying: whether the person is lying.
            upright: whether the person is upright.
            hold_s: duration of an upright posture that is no error of a single frame, seconds.
        """
        self.last_s, self.box = time_s, box
        self.lying_since_s = _since(self.lying_since_s, lying, time_s)
        self.upright_since_s = _since(self.upright_since_s, upright, time_s)
        if self.upright_since_s is not None and time_s - self.upright_since_s >= hold_s:
            self.was_upright = True

    def take_evidence(self, evidence: PersonScore, low_threshold: float, alert_threshold: float) -> None:
        """Take evidence: update onset and peak; become a candidate at the alert threshold, once a run."""
        if evidence.score < low_threshold:
            self.onset_s, self.reported = None, False
            if self.state is not TrackState.CANDIDATE:
                self.peak = None
            return
        if self.onset_s is None:
            self.onset_s = evidence.time_s
        if self.peak is None or evidence.score > self.peak.score:
            self.peak = evidence
        if evidence.score < alert_threshold:
            return
        self.high_s = evidence.time_s
        if self.state is TrackState.IDLE and not self.reported and evidence.time_s >= self.quiet_until_s:
            self.candidate_onset_s = self.onset_s

    def start_event(self, event: Event, quiet_until_s: float) -> None:
        """Turn the candidate into an event; a posture before the alert is no evidence of recovery."""
        self.event, self.quiet_until_s = event, quiet_until_s
        self.candidate_onset_s, self.reported = None, True
        self.upright_since_s = self.lay_down_s = None

    def take_over_event(self, lost: FallTrack) -> None:
        """Continue the event of a lost track; it may be another person's from now on if this one was upright."""
        assert lost.event is not None  # noqa: S101
        self.event = replace(lost.event, handed_over=lost.event.handed_over or self.was_upright)
        self.lay_down_s, self.quiet_until_s = lost.lay_down_s, lost.quiet_until_s
        self.candidate_onset_s, self.reported = None, True

    def drop_candidate(self, reported: bool) -> None:
        """Return to the idle state without an event.

        Args:
            reported: whether the fall has an event already; then this run of evidence raises none.
        """
        self.candidate_onset_s, self.reported = None, reported
        if self.onset_s is None:
            self.peak = None

    def is_at(self, box: np.ndarray) -> bool:
        """Return whether the squares around the person and around `box` (4,) overlap."""
        return bool(box_iou(square_boxes(self.box[None]), square_boxes(box[None]))[0, 0] > 0)


def _since(since_s: float | None, holds: bool, time_s: float) -> float | None:
    """Return the time since which a condition holds without a break; None if it does not hold."""
    if not holds:
        return None
    return time_s if since_s is None else since_s
