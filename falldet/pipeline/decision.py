"""Window scores in, fall events out: evidence, postures and event rule, the second half of `FallAnalyzer`."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

from falldet.pipeline.result import FrameResult
from falldet.stages.events import EventDecoder, EventSettings
from falldet.stages.fusion import EvidenceFuser, Fuser, FusionSettings
from falldet.stages.posture import read_postures
from falldet.stages.windows import WindowSettings
from falldet.types import People, WindowScore


class EventDecision:
    """Decides fall events on the evidence of each track, and fuses the scores of overlapping windows for the record.

    Args:
        fusion: settings of the fusion.
        events: settings of the event rule.
        windows: settings of the windows; their length is the latency of the final scores.
        source: name of the video or camera, stored in the events.
        started: UTC time at 0 s of the source; None for a source without a wall clock.
    """

    def __init__(
        self,
        fusion: FusionSettings,
        events: EventSettings,
        windows: WindowSettings,
        source: str = "",
        started: datetime | None = None,
    ) -> None:
        self.evidence = EvidenceFuser(fusion, windows.stride_s)
        self.final_fuser = Fuser(fusion, windows.length_s)
        self.decoder = EventDecoder(events, source, started)
        self._index = 0  # of the last frame with pose estimation

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
        evidence = self.evidence.push(index, time_s, window_scores)
        final_scores = self.final_fuser.push(index, time_s, people.track_ids, window_scores)
        postures = read_postures(people.keypoints, people.scores, image_hw)
        events = self.decoder.push(evidence, people, postures, time_s)
        self._index = index
        return FrameResult(None, people, window_scores, evidence, final_scores, events, self.decoder.active_events)

    def skip(self, index: int, time_s: float, people: People) -> FrameResult:
        """Take one frame without pose estimation, which keeps the `people` of the last processed frame."""
        final_scores = self.final_fuser.push(index, time_s, people.track_ids, [])
        return FrameResult(None, people, [], [], final_scores, [], self.decoder.active_events)

    def flush(self, time_s: float, window_scores: list[WindowScore]) -> FrameResult:
        """Take the last windows, finalize all scores, and forget the source.

        Args:
            time_s: time of the last frame, seconds.
            window_scores: scores of the last windows.
        """
        to_the_end = [replace(score, stop_s=math.inf) for score in window_scores]  # covers skipped frames at the end
        evidence, final_scores = (
            self.evidence.push(self._index, time_s, window_scores),
            self.final_fuser.flush(to_the_end),
        )
        active = self.decoder.active_events
        events = self.decoder.flush(evidence, time_s)
        self.evidence.reset()
        return FrameResult(None, People.none(), window_scores, evidence, final_scores, events, active)
