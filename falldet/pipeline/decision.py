"""Window scores in, fall events out: fusion, postures and event rule, the second half of `FallAnalyzer`."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

from falldet.pipeline.result import FrameResult
from falldet.stages.events import EventDecoder, EventSettings
from falldet.stages.fusion import Fuser, FusionSettings
from falldet.stages.posture import read_postures
from falldet.types import People, WindowScore


class EventDecision:
    """Fuses the scores of overlapping windows and decides fall events on the fused scores.

    Args:
        fusion: settings of the fusion.
        events: settings of the event rule.
        window_s: length of a window, seconds: the latency of the final scores.
        source: name of the video or camera, stored in the events.
        started: UTC time at 0 s of the source; None for a source without a wall clock.
    """

    def __init__(
        self,
        fusion: FusionSettings,
        events: EventSettings,
        window_s: float,
        source: str = "",
        started: datetime | None = None,
    ) -> None:
        self.fuser = Fuser(fusion)
        self.final_fuser = Fuser(FusionSettings(fusion.final_rule, window_s, max(window_s, fusion.max_wait_s)))
        self.decoder = EventDecoder(events, source, started)

    def push(
        self, index: int, time_s: float, people: People, image_hw: tuple[int, int], window_scores: list[WindowScore]
    ) -> FrameResult:
        """Take one frame with pose estimation; return the result of this step, without the frame.

        Args:
            index: index of the frame.
            time_s: time of the frame, seconds.
            people: people of the frame, with track ids.
            image_hw: height and width of the frame in pixels.
            window_scores: scores of the windows that end by this frame.
        """
        scores = self.fuser.push(index, time_s, people.track_ids, window_scores)
        final_scores = self.final_fuser.push(index, time_s, people.track_ids, window_scores)
        postures = read_postures(people.keypoints, people.scores, image_hw)
        events = self.decoder.push(scores, people, postures, time_s)
        return FrameResult(None, people, window_scores, scores, final_scores, events, self.decoder.active_events)

    def skip(self, index: int, time_s: float, people: People) -> FrameResult:
        """Take one frame without pose estimation, which keeps the `people` of the last processed frame."""
        final_scores = self.final_fuser.push(index, time_s, people.track_ids, [])
        return FrameResult(None, people, [], [], final_scores, [], self.decoder.active_events)

    def flush(self, time_s: float, window_scores: list[WindowScore]) -> FrameResult:
        """Finalize all scores, decide all candidates, and forget the source.

        Args:
            time_s: time of the last frame, seconds.
            window_scores: scores of the last windows.
        """
        to_the_end = [replace(score, stop_s=math.inf) for score in window_scores]  # covers skipped frames at the end
        scores, final_scores = self.fuser.flush(window_scores), self.final_fuser.flush(to_the_end)
        active = self.decoder.active_events
        events = self.decoder.flush(scores, time_s)
        return FrameResult(None, People.none(), window_scores, scores, final_scores, events, active)
