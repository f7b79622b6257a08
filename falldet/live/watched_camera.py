"""One camera of the service: its reader, its thread, and how often that was rebuilt."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from falldet.live.camera import CameraWorker
from falldet.live.config import CameraConfig
from falldet.live.latest_frame import LatestFrame
from falldet.live.live_state import CameraView
from falldet.live.load import RELIEVED_IDLE_FPS
from falldet.live.reader import Reader
from falldet.live.reader_state import ReaderState, ReaderStatus
from falldet.live.sighting import Sighting
from falldet.live.source import LiveSource
from falldet.stages.frame_sampling import FrameSampler

if TYPE_CHECKING:
    from falldet.live.service import LiveService

logger = logging.getLogger(__name__)

STUCK_S = 20.0
LOAD_WINDOW_S = 30.0
LARGE_FRAME = 1280 * 720


class WatchedCamera:
    """One camera of the service: its reader, its thread, and how often that was rebuilt.

    Args:
        config: of the camera.
        service: that it belongs to.
    """

    def __init__(self, config: CameraConfig, service: LiveService) -> None:
        self.config, self._service = config, service
        fast = service.fast and config.is_file
        self.slot = LatestFrame(lossless=fast)
        settings = replace(service.config.reader, frozen_after_s=0.0 if config.is_file else config.frozen_after_s)
        self.reader = Reader(config.name, self._open, service.now, settings, self.slot, config.repeat, self._changed)
        self.worker: CameraWorker | None = None
        self.rebuilt: deque[float] = deque(maxlen=2)
        self.taken = (0.0, 0)  # when the load was sampled last, and the frames processed by then

    def _open(self, stop: threading.Event) -> LiveSource:
        camera = self.config
        return LiveSource(camera.source, self._service.now, stop, camera.transport, self._service.fast)

    def _changed(self, status: ReaderStatus) -> None:
        width, height = status.size
        detail = f": {status.reason}" if status.reason else ""
        if status.state is ReaderState.LIVE:
            large = "; its smaller stream is enough, and cheaper" if width * height > LARGE_FRAME else ""
            detail = f" ({width}x{height}{large})"
        level = logging.INFO if status.state in (ReaderState.LIVE, ReaderState.ENDED) else logging.WARNING
        logger.log(level, "camera %s is %s%s", self.config.name, status.state.value, detail)
        self._service.incidents.inbox.put((self.config.name, status))

    def start_worker(self) -> None:
        """Build a detector and start a thread with it."""
        service = self._service
        detector = service.detectors.build(self.config, service.wall.at(0.0))
        if service.load.relieved:
            set_idle_fps(detector.sampler, RELIEVED_IDLE_FPS)
        watch = service.make_watch(self.config.name, detector)
        self.worker = CameraWorker(watch, self.slot, service.now, self._put, service.fast and self.config.is_file)
        self.worker.start()

    def _put(self, sighting: Sighting) -> None:
        self._service.state.show_sighting(sighting)
        self._service.incidents.inbox.put(sighting)

    def fault(self, now_s: float) -> str | None:
        """Return what is wrong with the thread, or None."""
        worker = self.worker
        assert worker is not None  # noqa: S101
        if not worker.thread.is_alive():
            return "has ended by an error"
        if now_s - worker.beat_s > STUCK_S:
            return f"hangs for {now_s - worker.beat_s:.0f} s"
        return None

    def rebuild(self, fault: str, now_s: float) -> None:
        """Log where the thread is, leave it behind, and start a new one."""
        worker = self.worker
        assert worker is not None  # noqa: S101
        frame = sys._current_frames().get(worker.thread.ident or 0)
        where = "".join(traceback.format_stack(frame)) if frame else ""
        logger.error("the thread of camera %s %s; it is built anew\n%s", self.config.name, fault, where)
        worker.abandon()
        self.rebuilt.append(now_s)
        self._service.incidents.inbox.put(worker.watch.lost(now_s))
        try:
            self.start_worker()
        except Exception:
            logger.exception("the thread of camera %s could not be built", self.config.name)

    def view(self, now_s: float) -> CameraView:
        """Return the camera as it is now."""
        worker = self.worker
        return CameraView(
            self.config.name,
            self.reader.status,
            self._service.state.sighting(self.config.name),
            worker.processed if worker else 0,
            self.slot.dropped,
            worker.p95_s(now_s - LOAD_WINDOW_S) if worker else 0.0,
        )


def set_idle_fps(sampler: FrameSampler, idle_fps: float) -> None:
    """Change the rate of pose estimation on still cameras."""
    sampler.settings = replace(sampler.settings, idle_fps=idle_fps)
