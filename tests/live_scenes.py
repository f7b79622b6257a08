"""Scripted scenes through a camera's watch and the incident manager, faster than real time, with true joints."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from falldet.geometry import keypoint_boxes
from falldet.live.camera import CameraWatch
from falldet.live.clock import WallClock
from falldet.live.config import CameraConfig, LiveConfig
from falldet.live.detectors import DetectorFactory
from falldet.live.incident import IncidentSettings
from falldet.live.incident_manager import IncidentManager
from falldet.live.reader_state import ReaderState, ReaderStatus
from falldet.live.store import Change, Store
from falldet.pipeline.detector import FallDetector
from falldet.pose.source import completed
from falldet.synthetic import Scene
from falldet.types import People

START = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
FPS = 12.5


class TruePoses:
    """A pose source that gives the people it is told next."""

    max_in_flight = 1

    def __init__(self) -> None:
        self.people = People.none()

    def submit(self, image: np.ndarray) -> Future[People]:
        return completed(self.people)

    def reset(self) -> None:
        """Carry no state."""


class ScriptedCamera:
    """One camera `cam` whose scenes are played in steady time, with everything that was told of its incidents."""

    def __init__(self, folder: Path, settings: IncidentSettings | None = None, **camera: object) -> None:
        config = CameraConfig("cam", "0", **camera)  # type: ignore[arg-type]
        self._poses = TruePoses()
        factory = DetectorFactory(LiveConfig((config,)))
        with_models = factory.recognizer(config)
        detector = FallDetector(
            LiveConfig((config,)).detector_config(config), with_models, self._poses, source="cam", started=START
        )
        self.watch = CameraWatch("cam", detector)
        self.now_s = 0.0
        self.wall = WallClock(lambda: self.now_s, lambda: START + timedelta(seconds=self.now_s))
        self.store = Store(folder, START)
        self.changes: list[Change] = []
        self.manager = IncidentManager(
            {"cam": config}, settings or IncidentSettings(), self.store, self.wall, [self.changes.append]
        )

    @property
    def told(self) -> list[str]:
        return [change.kind for change in self.changes]

    def play(self, scene: Scene, hidden: Sequence[tuple[int, float, float]] = ()) -> None:
        """Show a scene; person, from and to in seconds of it: who is hidden, such as by furniture, when."""
        start_s = self.now_s
        keypoints, scores = replace(scene, fps=FPS).keypoints()
        image = np.zeros((scene.camera.height, scene.camera.width, 3), np.uint8)
        for number, (joints, joint_scores) in enumerate(zip(keypoints, scores, strict=True)):
            time_s = number / FPS
            gone = [person for person, from_s, to_s in hidden if from_s <= time_s < to_s]
            shown = [row for row in np.flatnonzero(joint_scores.any(axis=1)) if row not in gone]
            boxes = keypoint_boxes(joints[shown], joint_scores[shown])
            self._poses.people = People(joints[shown], joint_scores[shown], boxes, np.ones(len(shown)))
            self.now_s = start_s + time_s
            if self.watch.should_process(self.now_s):
                self.manager.take(self.watch.take(self.now_s, image))
            self.manager.tick(self.now_s)
        self.now_s = start_s + scene.duration_s

    def cut(self, seconds: float, reason: str = "connection refused") -> None:
        """Let no frame arrive for some seconds, as when the server is killed."""
        status = ReaderStatus(ReaderState.AWAY, reason, self.now_s)
        self.manager.camera_changed("cam", status)
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + 0.5)
            if self.now_s >= end_s - seconds + self.watch.gap_s:
                sighting = self.watch.interrupt(self.now_s)
                if sighting is not None:
                    self.manager.take(sighting)
            self.manager.tick(self.now_s)
        self.manager.camera_changed("cam", ReaderStatus(ReaderState.LIVE, "", self.now_s))
