"""Result of one step of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from falldet.types import Event, Frame, People, PersonScore, WindowScore


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Result of one pipeline step.

    Attributes:
        frame: the frame; None in the last result, which flushes the source, and from a `FallAnalyzer`.
        people: people of the frame, with track ids.
        window_scores: scores of the windows that ended in this step.
        scores: evidence of the tracks whose windows ended in this step; events are decided on it.
        final_scores: scores over all windows that cover a frame (`fusion.final_rule`), finalized in this step.
        events: events that began or changed in this step.
        active_events: events in progress, by track id.
    """

    frame: Frame | None
    people: People
    window_scores: list[WindowScore]
    scores: list[PersonScore]
    final_scores: list[PersonScore]
    events: list[Event]
    active_events: Mapping[int, Event]
