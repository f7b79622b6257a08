"""The one thread that decides about incidents: takes sightings, camera states and answers from its inbox."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from falldet.live.config import StateConfig
from falldet.live.incident_manager import Answer, IncidentManager
from falldet.live.journal import ClipRecorder
from falldet.live.live_state import LiveState
from falldet.live.reader_state import ReaderStatus
from falldet.live.retention import clean
from falldet.live.sighting import Inbox, Sighting
from falldet.live.store import Store

logger = logging.getLogger(__name__)

TICK_S = 0.5
CLEAN_EVERY_S = 3600.0


class IncidentWorker:
    """Runs the incident manager in a thread of its own.

    Args:
        manager: of all incidents.
        clips: pose clips.
        store: cleaned once an hour.
        limits: age and size of what is kept.
        state: shows the open incidents.
        now: returns steady seconds.
        utc: UTC of steady seconds.
        fast: time is that of the newest sighting, as files are not paced.
    """

    def __init__(
        self,
        manager: IncidentManager,
        clips: ClipRecorder,
        store: Store,
        limits: StateConfig,
        state: LiveState,
        now: Callable[[], float],
        utc: Callable[[float], datetime],
        fast: bool = False,
    ) -> None:
        self._manager, self._clips, self._store, self._limits = manager, clips, store, limits
        self._state, self._now, self._utc, self._fast = state, now, utc, fast
        self.inbox = Inbox()
        self.beat_s = now()
        self._newest_s = 0.0
        self._ticked_s = self._cleaned_s = -1e9
        self._closing = False
        self.thread = threading.Thread(target=self._run, name="incidents", daemon=True)

    def finish(self, timeout_s: float) -> bool:
        """Work off the inbox, write what is due, and end; return whether that was done in time."""
        self._closing = True
        self.thread.join(timeout_s)
        return not self.thread.is_alive()

    def _run(self) -> None:
        self._guarded(self._manager.load, self._time())
        while True:
            item = self.inbox.get(0.0 if self._closing else TICK_S / 2)
            self.beat_s = self._now()
            if item is not None:
                self._guarded(self._take, item)
            self._guarded(self._tick)
            if item is None and self._closing:
                break
        self._guarded(lambda: self._clips.tick(self._time(), closing=True))

    def _take(self, item: object) -> None:
        match item:
            case Sighting():
                self._newest_s = max(self._newest_s, item.time_s)
                self._clips.take(item)
                self._manager.take(item)
            case (str() as camera, ReaderStatus() as status):
                self._manager.camera_changed(camera, status)
            case Answer():
                if not self._manager.answer(item, self._time()):
                    logger.warning("incident %s is not open; the answer changes nothing", item.incident)

    def _tick(self) -> None:
        now_s = self._time()
        if now_s - self._ticked_s < TICK_S:
            return
        self._ticked_s = now_s
        self._manager.tick(now_s)
        self._clips.tick(now_s)
        self._state.show_incidents(self._manager.incidents)
        if self._now() - self._cleaned_s >= CLEAN_EVERY_S:
            self._cleaned_s = self._now()
            limits = self._limits
            now, size = self._utc(now_s), limits.max_mb * 1e6
            clean(self._store, now, limits.keep_clips_days, limits.keep_incidents_days, size)

    def _time(self) -> float:
        return self._newest_s if self._fast else self._now()

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        """Do one piece of work; an error of it is logged and costs nothing else."""
        try:
            work(*arguments)
        except Exception:
            logger.exception("an incident could not be handled; the others go on")
