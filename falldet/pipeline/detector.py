"""Frames in, fall events out: frame sampling, pose estimation and `FallAnalyzer`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from falldet.build import build_pose_source
from falldet.pipeline.analyzer import FallAnalyzer
from falldet.pipeline.config import Config
from falldet.pipeline.prefetch import PosePrefetcher
from falldet.pipeline.result import FrameResult
from falldet.pose.source import PoseSource
from falldet.stages.frame_sampling import FrameSampler
from falldet.stages.recognizer import WindowRecognizer
from falldet.types import Frame, People


class FallDetector:
    """Finds falls in the frames of one source, with bounded memory.

    Example:
        >>> detector = FallDetector()
        >>> for result in detector.run(read_frames("video.mp4")):
        ...     for event in result.events:
        ...         print(event.state, event.track_id, event.alert_s)

    Args:
        config: settings of all stages.
        recognizer: windows in, scores out; by default the one that `config` names.
        pose_source: image in, people out; by default the one that `config` names.
        device: OpenVINO device of the default models.
        source: name of the video or camera, stored in the events.
        started: UTC time at 0 s of the source; None for a source without a wall clock.

    Raises:
        FalldetError: a default model is not available.
    """

    def __init__(
        self,
        config: Config | None = None,
        recognizer: WindowRecognizer | None = None,
        pose_source: PoseSource | None = None,
        device: str = "CPU",
        source: str = "",
        started: datetime | None = None,
    ) -> None:
        self.config = config or Config()
        self.device = device
        self.analyzer = FallAnalyzer(self.config, recognizer, device, source, started)  # before any download
        self.pose_source = pose_source or build_pose_source(
            self.config.pose, self.config.movenet, self.config.topdown, device
        )
        self.sampler = FrameSampler(self.config.sampling)

    def run(self, frames: Iterable[Frame], prefetch: int = 0) -> Iterator[FrameResult]:
        """Yield a `FrameResult` per frame, and a last one (frame None) that flushes pending windows and events.

        Args:
            frames: frames in order of time.
            prefetch: pose inferences in flight beyond that of the present frame. The results do not depend on it. 0
                minimizes latency. Higher: more throughput, up to the pose source's `max_in_flight`.
        """
        last_s = 0.0
        for frame, people in PosePrefetcher(self.sampler, self.pose_source, prefetch).run(frames):
            if people is None:
                result = self.analyzer.skip(frame.index, frame.time_s)
            else:
                result = self._step(frame, people.result())
                last_s = frame.time_s
            yield replace(result, frame=frame)
        yield self.flush(last_s)

    def _step(self, frame: Frame, people: People) -> FrameResult:
        height, width = frame.image.shape[:2]
        result = self.analyzer.step(frame.index, frame.time_s, people, (height, width))
        self.sampler.update(frame.time_s, self.analyzer.scorer.tracker.speed(frame.time_s), result.window_scores)
        return result

    def flush(self, time_s: float) -> FrameResult:
        """Score the pending windows, decide the pending events, and forget the source.

        Args:
            time_s: time of the last processed frame, seconds.
        """
        result = self.analyzer.flush(time_s)
        self.pose_source.reset()
        self.sampler.reset()
        return result
