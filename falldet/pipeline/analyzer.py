"""People in, fall events out: the pipeline behind the pose source, without frames."""

from __future__ import annotations

import logging
from datetime import datetime

from falldet.build import build_recognizer
from falldet.pipeline.config import Config
from falldet.pipeline.decision import EventDecision
from falldet.pipeline.result import FrameResult
from falldet.pipeline.scoring import TrackScorer
from falldet.stages.recognizer import WindowRecognizer
from falldet.types import People

logger = logging.getLogger(__name__)


class FallAnalyzer:
    """Finds falls in the poses of one source, with bounded memory.

    Example:
        >>> analyzer = FallAnalyzer()
        >>> for index, (time_s, people) in enumerate(poses):
        ...     for event in analyzer.step(index, time_s, people, image_hw=(480, 640)).events:
        ...         print(event.state, event.track_id, event.alert_s)
        >>> events = analyzer.flush(time_s).events

    Args:
        config: settings of all stages.
        recognizer: windows in, scores out; by default the one that `config` names.
        device: OpenVINO device of the default recognizer.
        source: name of the video or camera, stored in the events.
        started: UTC time at 0 s of the source; None for a source without a wall clock.

    Raises:
        FalldetError: the default recognizer is not available.
    """

    def __init__(
        self,
        config: Config | None = None,
        recognizer: WindowRecognizer | None = None,
        device: str = "CPU",
        source: str = "",
        started: datetime | None = None,
    ) -> None:
        self.config = config or Config()
        self.recognizer = recognizer or load_recognizer(self.config, device)
        self.scorer = TrackScorer(self.config.tracker, self.config.windows, self.recognizer)
        self.decision = EventDecision(
            self.config.fusion, self.config.events, self.scorer.buffer.settings, source, started
        )
        self._people = People.none()

    def step(self, index: int, time_s: float, people: People, image_hw: tuple[int, int]) -> FrameResult:
        """Take one frame with pose estimation; return the result of this step, without the frame.

        Args:
            index: index of the frame.
            time_s: time of the frame, seconds, later than the last one.
            people: people of the frame, without track ids.
            image_hw: height and width of the frame in pixels.
        """
        self._people, window_scores = self.scorer.update(time_s, people, image_hw)
        return self.decision.push(index, time_s, self._people, image_hw, window_scores)

    def skip(self, index: int, time_s: float) -> FrameResult:
        """Take one frame without pose estimation, which keeps the people of the last processed frame."""
        return self.decision.skip(index, time_s, self._people)

    def flush(self, time_s: float) -> FrameResult:
        """Score the pending windows, decide the pending events, and forget the source.

        Args:
            time_s: time of the last frame, seconds.
        """
        self._people = People.none()
        return self.decision.flush(time_s, self.scorer.flush())


def load_recognizer(config: Config, device: str = "CPU") -> WindowRecognizer:
    """Return the recognizer that `config` names; warn if it was trained on windows of another length."""
    recognizer = build_recognizer(config.recognizer, device)
    if config.windows.length_s and recognizer.window_s not in (None, config.windows.length_s):
        logger.warning(
            "the recognizer was trained on windows of %g s, but windows.length_s is %g; leave windows.length_s at 0",
            recognizer.window_s,
            config.windows.length_s,
        )
    return recognizer
