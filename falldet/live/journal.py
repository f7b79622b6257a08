"""Changes of incidents as log lines for people and as JSON lines for programs, and the pose clips of alerts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

from falldet.errors import FalldetError
from falldet.live.clock import WallClock
from falldet.live.incident import ChangeKind
from falldet.live.pose_clip import PoseHistory, write_clip
from falldet.live.sighting import Sighting
from falldet.live.store import Change

logger = logging.getLogger(__name__)

BEFORE_S = 10.0
AFTER_S = 15.0
NEWS = {ChangeKind.ALERT, ChangeKind.AGAIN, ChangeKind.LONG_LIE}

WORDS = {"fall": "FALL", "found_lying": "A PERSON LIES ON THE FLOOR", "blind": "CAMERA SEES NOTHING", "test": "TEST"}


def log_change(change: Change) -> None:
    """Write one line into the log: what happened, where, since when."""
    record = change.record
    kind = ChangeKind(change.kind)
    what = WORDS[record["kind"]] if kind is ChangeKind.ALERT else f"{record['kind']} {kind.value.replace('_', ' ')}"
    detail = f": {record['detail']}" if record["detail"] else ""
    score = f", score {record['score']:.2f}" if kind is ChangeKind.ALERT and record["score"] else ""
    down = f", not up for {record['not_up_s']:.0f} s" if record["not_up_s"] >= 1 else ""
    level = logging.WARNING if kind in NEWS else logging.INFO
    logger.log(level, "%s in %s%s%s%s (incident %s)", what, record["title"], detail, score, down, change.incident)


class JsonLines:
    """Appends every change to incidents-YYYY-MM.jsonl in the state folder, on disk at once.

    Args:
        folder: state folder.
        name_file: names a new file in the store, so that it is deleted when it is old.
    """

    def __init__(self, folder: Path, name_file: Callable[[Path], None]) -> None:
        self._folder, self._name_file = folder, name_file

    def __call__(self, change: Change) -> None:
        """Append a line; a folder that can't be written is told in the log."""
        path = self._folder / f"incidents-{change.time:%Y-%m}.jsonl"
        is_new = not path.exists()
        try:
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(change.record) + "\n")
        except OSError as error:
            logger.error("can't write %s: %s", path, error.strerror)
            return
        if is_new:
            self._name_file(path)


class ClipRecorder:
    """Keeps the skeletons of the last minute and writes a clip around each alert, later than the alert.

    Args:
        folder: for the clips.
        wall: steady seconds to UTC.
        name_file: names a clip in the store; called before the file is written, and after.
    """

    def __init__(self, folder: Path, wall: WallClock, name_file: Callable[[Path, str], None]) -> None:
        self._folder, self._wall, self._name_file = folder, wall, name_file
        self._histories: dict[str, PoseHistory] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._due: dict[Path, tuple[Change, float]] = {}  # path -> the change and its time, steady seconds

    def take(self, sighting: Sighting) -> None:
        """Keep what a camera shows."""
        if not sighting.interrupted:
            history = self._histories.setdefault(sighting.camera, PoseHistory())
            history.add(sighting.time_s, sighting.people, sighting.lying)
            self._sizes[sighting.camera] = sighting.image_hw

    def __call__(self, change: Change) -> None:
        """Plan a clip for an alert, and for a further fall."""
        if change.kind in (ChangeKind.ALERT, ChangeKind.AGAIN) and change.record["box"]:
            further = "" if change.number == 1 else f"-{change.number}"
            path = self._folder / f"{change.incident}{further}.json.gz"
            self._due[path] = change, self._wall.seconds(change.time)

    def tick(self, now_s: float, closing: bool = False) -> None:
        """Write the clips whose time has come, or all."""
        for path, (change, time_s) in list(self._due.items()):
            if closing or now_s >= time_s + AFTER_S:
                del self._due[path]
                self._write(path, change, time_s)

    def _write(self, path: Path, change: Change, time_s: float) -> None:
        record, history = change.record, self._histories.get(change.record["camera"])
        height, width = self._sizes.get(record["camera"], (0, 0))
        about = {
            "camera": record["camera"],
            "incident": change.incident,
            "start": self._wall.at(time_s - BEFORE_S).isoformat(timespec="milliseconds"),
            "alert_ms": round(1000 * BEFORE_S),
            "size": [width, height],
        }
        rows = history.between(time_s - BEFORE_S, time_s + AFTER_S) if history else []
        try:
            self._name_file(path, change.incident)
            write_clip(path, rows, time_s - BEFORE_S, about)
            self._name_file(path, change.incident)
        except (FalldetError, OSError) as error:
            logger.error("the pose clip of incident %s can't be written: %s", change.incident, error)
