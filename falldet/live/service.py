r"""The service: readers, camera threads, the incident thread, and the supervision that rebuilds what dies or hangs.

    reader thread --newest frame--> camera thread --Sighting--> incident thread --> store, log, JSON lines, pose clips
                                                  \--> live state                  (one transaction with the outbox)
    main thread: twice a second, checks ages and heartbeats, tells systemd

A camera's thread that hangs for STUCK_S or ends is rebuilt with a new detector; the others go on. Where one thread is
rebuilt twice within REBUILD_WINDOW_S, or the incident thread hangs, the service stops telling systemd that it is alive.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from falldet.live.camera import CameraWatch
from falldet.live.clock import SteadyClock, WallClock, utc_now
from falldet.live.config import LiveConfig
from falldet.live.detectors import DetectorFactory
from falldet.live.incident_manager import Answer, IncidentManager
from falldet.live.incident_worker import IncidentWorker
from falldet.live.journal import ClipRecorder, JsonLines, log_change
from falldet.live.live_state import CameraView, Health, LiveState
from falldet.live.load import RELIEVED_IDLE_FPS, LoadControl, LoadSample
from falldet.live.reader_state import ReaderState, ReaderStatus
from falldet.live.store import Change, Message, Store
from falldet.live.systemd import SystemdNotifier
from falldet.live.watched_camera import LOAD_WINDOW_S, STUCK_S, WatchedCamera, set_idle_fps

logger = logging.getLogger(__name__)

CHECK_S = 0.5
REBUILD_WINDOW_S = 600.0
LOAD_EVERY_S = 5.0
SUMMARY_EVERY_S = 600.0
STOP_WORKERS_S = 2.0
STOP_INCIDENTS_S = 2.0


class LiveService:
    """Watches cameras until it is stopped, or all of them are files that have ended.

    Example:
        >>> config = read_live_config(None, ["hall=rtsp://192.0.2.7/sub"])
        >>> LiveService(config).run(threading.Event())

    Args:
        config: with secrets in place.
        device: OpenVINO device.
        fast: read files as fast as they can be processed, in their own time.
        listeners: called with each change of an incident, in the incident thread.
        messages_for: returns the messages for the outbox that a change causes.
        make_watch: builds the watch of a camera from its name and detector.
    """

    def __init__(
        self,
        config: LiveConfig,
        device: str = "CPU",
        fast: bool = False,
        listeners: Sequence[Callable[[Change], None]] = (),
        messages_for: Callable[[Change], Iterable[Message]] = lambda change: (),
        make_watch: Callable[..., CameraWatch] = CameraWatch,
    ) -> None:
        self.config, self.fast, self.make_watch = config, fast, make_watch
        self._listeners, self._messages_for = listeners, messages_for
        self.now = SteadyClock().now
        self.wall = WallClock(self.now)
        self.state = LiveState()
        self.detectors = DetectorFactory(config, device)
        first = config.detector_config(config.cameras[0])
        self.load = LoadControl(first.sampling.active_fps)
        self._notifier = SystemdNotifier()
        self._sampled_s = self._summary_s = self.now()

    def answer(self, answer: Answer) -> None:
        """Hand over what a person says of an incident; from any thread."""
        self.incidents.inbox.put(answer)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set, or all files have ended.

        Raises:
            FalldetError: a model or the state folder can't be had; nothing is left running.
        """
        folder = Path(self.config.state.folder)
        with Store(folder, utc_now()) as store:
            watched = [camera for camera in self.config.cameras if camera.watch]
            self.incidents = self._incident_worker(store, folder)
            for camera in self.config.cameras:
                state = ReaderState.CONNECTING if camera.watch else ReaderState.OFF
                self.state.show_camera(CameraView(camera.name, ReaderStatus(state)))
            self.cameras = [WatchedCamera(camera, self) for camera in watched]
            try:
                self._start()
                while not stop.is_set() and not self._all_ended():
                    self._check()
                    stop.wait(CHECK_S if not self.fast else CHECK_S / 10)
            finally:
                self._stop()

    def _incident_worker(self, store: Store, folder: Path) -> IncidentWorker:
        def name(path: Path, kind: str, incident: str | None = None) -> None:
            store.name_file(path, kind, utc_now(), incident)

        store.end_outages(utc_now())
        clips = ClipRecorder(folder / "clips", self.wall, lambda path, incident: name(path, "clip", incident))
        lines = JsonLines(folder, lambda path: name(path, "log"))
        listeners: list[Callable[[Change], None]] = [log_change, lines, clips, *self._listeners]
        cameras = {camera.name: camera for camera in self.config.cameras}
        manager = IncidentManager(cameras, self.config.incidents, store, self.wall, listeners, self._messages_for)
        self.manager = manager
        return IncidentWorker(manager, clips, store, self.config.state, self.state, self.now, self.wall.at, self.fast)

    def _start(self) -> None:
        """Connect first: cameras answer while the models are loaded."""
        self.incidents.thread.start()
        for camera in self.cameras:
            camera.reader.start()
        for camera in self.cameras:
            camera.start_worker()
        names = ", ".join(camera.config.name for camera in self.cameras)
        logger.info("watching %s; state in %s", names, self.config.state.folder)
        self._notifier.send("READY=1", f"STATUS=watching {len(self.cameras)} cameras")

    def _all_ended(self) -> bool:
        def ended(camera: WatchedCamera) -> bool:
            return camera.reader.status.state is ReaderState.ENDED and camera.slot.is_empty

        return all(ended(camera) for camera in self.cameras)

    def _check(self) -> None:
        now_s = self.now()
        self.wall.update()
        for camera in self.cameras:
            if not self.fast:  # a file's own time says nothing about now
                camera.reader.check()
            fault = camera.fault(now_s)
            if fault:
                camera.rebuild(fault, now_s)
            self.state.show_camera(camera.view(now_s))
        health = self._health(now_s)
        if health.alive != self.state.health.alive and self.state.health.reasons != ("starting",):
            logger.error(
                "the service is %s: %s", "alive again" if health.alive else "not alive", "; ".join(health.reasons)
            )
        self.state.show_health(health)
        if health.alive:
            self._notifier.send("WATCHDOG=1")
        if now_s - self._sampled_s >= LOAD_EVERY_S:
            self._check_load(now_s)
        if now_s - self._summary_s >= SUMMARY_EVERY_S:
            self._summarize(now_s)

    def _health(self, now_s: float) -> Health:
        dead = [
            f"the thread of camera {camera.config.name} was rebuilt twice"
            for camera in self.cameras
            if len(camera.rebuilt) == 2 and now_s - camera.rebuilt[0] < REBUILD_WINDOW_S
        ]
        if not self.incidents.thread.is_alive() or now_s - self.incidents.beat_s > STUCK_S:
            dead.append("the incident thread hangs")
        faults = []
        for camera in self.cameras:
            status = camera.reader.status
            if status.state not in (ReaderState.LIVE, ReaderState.ENDED):
                faults.append(f"camera {camera.config.name} is {status.state.value}")
            if status.stuck:
                faults.append(f"reads of camera {camera.config.name} hang")
        if not self.manager.is_storing:
            faults.append("the state can't be stored")
        if self.incidents.inbox.merged:
            faults.append(f"{self.incidents.inbox.merged} sightings had to be merged")
        return Health(not dead, not dead and not faults, (*dead, *faults))

    def _check_load(self, now_s: float) -> None:
        span_s, self._sampled_s = now_s - self._sampled_s, now_s
        seeing = [camera for camera in self.cameras if camera.worker and camera.reader.status.state is ReaderState.LIVE]
        rate = busy = worst_s = 0.0
        for camera in seeing:
            worker = camera.worker
            assert worker is not None  # noqa: S101
            busy += worker.take_busy_s() / span_s / len(seeing)
            rate += (worker.processed - camera.taken[1]) / span_s
            camera.taken = now_s, worker.processed
            worst_s = max(worst_s, worker.p95_s(now_s - LOAD_WINDOW_S))
        before = self.load.relieved
        decision = self.load.update(LoadSample(now_s, worst_s, busy, rate, len(seeing)))
        if decision:
            logger.warning("%s", decision)
        if self.load.relieved != before:
            for camera in self.cameras:
                if camera.worker:
                    detector = camera.worker.watch.detector
                    usual = detector.config.sampling.idle_fps
                    set_idle_fps(detector.sampler, RELIEVED_IDLE_FPS if self.load.relieved else usual)

    def _summarize(self, now_s: float) -> None:
        self._summary_s = now_s
        for view in self.state.cameras.values():
            reader = view.reader
            logger.info(
                "camera %s: %s, %.1f frames/s, %d connections, %d pose estimations, p95 %.2f s",
                view.name,
                reader.state.value,
                reader.fps,
                reader.connections,
                view.processed,
                view.p95_s,
            )

    def _stop(self) -> None:
        """Readers, cameras (open candidates are decided), incidents, clips; hanging threads are left behind."""
        self._notifier.send("STOPPING=1")
        for camera in self.cameras:
            camera.reader.stop()
            if camera.worker:
                camera.worker.stop()
        _join([camera.worker.thread for camera in self.cameras if camera.worker], STOP_WORKERS_S)
        if self.incidents.thread.ident is not None and not self.incidents.finish(STOP_INCIDENTS_S):
            logger.error("the incident thread did not end in time")


def _join(threads: Sequence[threading.Thread], timeout_s: float) -> None:
    end_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))
