"""One camera's frames through the detector: a watch without threads, and the thread that feeds it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from falldet.live.latest_frame import LatestFrame, TimedFrame
from falldet.live.lying import LyingWatch
from falldet.live.sighting import Sighting
from falldet.pipeline.detector import FallDetector
from falldet.stages.posture import read_postures
from falldet.types import Event, EventState, People

logger = logging.getLogger(__name__)

TAKE_TIMEOUT_S = 0.25
INFERENCE_TIMEOUT_S = 15.0
LATENCIES = 450
"""Processed frames that latencies are kept of: half a minute at the active rate."""


class CameraWatch:
    """Takes the frames of one camera and gives sightings; tracks and events end at a gap.

    Args:
        camera: name of the camera.
        detector: of this camera alone; its models may be shared.
    """

    def __init__(self, camera: str, detector: FallDetector) -> None:
        self.camera, self.detector = camera, detector
        self._lying = LyingWatch(detector.config.events)
        self._index = 0
        self._last_s: float | None = None
        self._image_hw = (0, 0)
        self._scores: dict[int, float] = {}
        self.gap_s = detector.config.tracker.max_lost_s

    def should_process(self, time_s: float) -> bool:
        """Return whether the frame at `time_s` is to be given to `take`."""
        return self.detector.sampler.should_process(time_s)

    def take(self, time_s: float, image: np.ndarray) -> Sighting:
        """Return what a frame shows.

        Args:
            time_s: later than the last one, steady seconds.
            image: (H, W, 3) uint8 BGR.
        """
        detector = self.detector
        self._image_hw = (image.shape[0], image.shape[1])
        people = detector.pose_source.submit(image).result(INFERENCE_TIMEOUT_S)
        result = detector.analyzer.step(self._index, time_s, people, self._image_hw)
        speed = detector.analyzer.scorer.tracker.speed(time_s)
        detector.sampler.update(time_s, speed, result.window_scores)
        self._index, self._last_s = self._index + 1, time_s
        postures = read_postures(result.people.keypoints, result.people.scores, self._image_hw)
        present = {int(track_id) for track_id in result.people.track_ids}
        latest = {score.track_id: score.score for score in result.scores}
        self._scores = {i: score for i, score in (self._scores | latest).items() if i in present}
        return Sighting(
            self.camera,
            time_s,
            result.people,
            postures.lying,
            self._image_hw,
            tuple(result.events),
            tuple(result.active_events.items()),
            self._lying.update(time_s, result.people, postures),
            self._lying.upright_tracks,
            scores=dict(self._scores),
        )

    def interrupt(self, time_s: float) -> Sighting | None:
        """End tracks and decide open candidates, as no frame arrives; events in progress are told as lost.

        Args:
            time_s: now, steady seconds.

        Returns:
            The sighting, or None where there was no frame since the last interruption.
        """
        if self._last_s is None:
            return None
        result = self.detector.flush(self._last_s)
        self._lying.reset_tracks()
        self._last_s, self._scores = None, {}
        known = {event.id: event for event in (*result.active_events.values(), *result.events)}
        lost = tuple(replace(event, state=EventState.LOST) for event in known.values())
        events: tuple[Event, ...] = (*result.events, *lost)
        return Sighting(self.camera, time_s, People.none(), np.zeros(0), self._image_hw, events, interrupted=True)

    def lost(self, time_s: float) -> Sighting:
        """Return a sighting that ends tracks and events without a word of this watch, which hangs or has failed."""
        return Sighting(self.camera, time_s, People.none(), np.zeros(0), self._image_hw, interrupted=True)


class CameraWorker:
    """The thread that takes the newest frame of a camera, again and again.

    Args:
        watch: of the camera.
        slot: where its reader puts frames.
        now: returns steady seconds.
        put: takes the sightings.
        fast: frames are not paced: a missing frame is no gap.
    """

    def __init__(
        self,
        watch: CameraWatch,
        slot: LatestFrame,
        now: Callable[[], float],
        put: Callable[[Sighting], None],
        fast: bool = False,
    ) -> None:
        self.watch = watch
        self._slot, self._now, self._put, self._fast = slot, now, put, fast
        self._stop = threading.Event()
        self.beat_s = now()
        self.processed = 0
        self._busy_s = 0.0
        self.latencies: deque[tuple[float, float]] = deque(maxlen=LATENCIES)  # (decided, seconds since the arrival)
        self.thread = threading.Thread(target=self._run, name=f"camera-{watch.camera}", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self.thread.start()

    def stop(self) -> None:
        """Decide open candidates and end, soon."""
        self._stop.set()

    def abandon(self) -> None:
        """Take no further sighting from this thread, which hangs or has ended."""
        self._put = lambda sighting: None
        self._stop.set()

    def p95_s(self, since_s: float) -> float:
        """Return the 95th percentile of the seconds from arrival to decision, of decisions since `since_s`."""
        recent = [latency for decided_s, latency in tuple(self.latencies) if decided_s >= since_s]
        return float(np.percentile(recent, 95)) if recent else 0.0

    def take_busy_s(self) -> float:
        """Return the seconds spent on frames since the last call."""
        busy_s, self._busy_s = self._busy_s, 0.0
        return busy_s

    def _run(self) -> None:
        try:
            self._work()
        except Exception:
            logger.exception("the thread of camera %s failed", self.watch.camera)

    def _work(self) -> None:
        last_s = self._now()
        while not self._stop.is_set():
            self.beat_s = self._now()
            timed = self._slot.take(TAKE_TIMEOUT_S)
            if timed is not None:
                if not self._fast and timed.time_s - last_s > self.watch.gap_s:
                    self._interrupt(last_s)
                last_s = timed.time_s
                self._process(timed)
            elif not self._fast and self._now() - last_s > self.watch.gap_s:
                self._interrupt(self._now())
        self._interrupt(last_s if self._fast else self._now())

    def _process(self, timed: TimedFrame) -> None:
        if not self.watch.should_process(timed.time_s):
            return
        start_s = self._now()
        sighting = self.watch.take(timed.time_s, timed.frame.image())
        self.processed += 1
        now_s = self._now()
        self._busy_s += now_s - start_s
        self.latencies.append((now_s, now_s - timed.frame.arrival_s))
        self._put(sighting)

    def _interrupt(self, time_s: float) -> None:
        sighting = self.watch.interrupt(time_s)
        if sighting is not None:
            self._put(sighting)
