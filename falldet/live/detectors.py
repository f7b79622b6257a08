"""A detector for each camera, with models shared wherever the settings of the models are equal."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any

from falldet.build import build_pose_source
from falldet.live.config import CameraConfig, LiveConfig
from falldet.pipeline.analyzer import load_recognizer
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.stages.recognizer import WindowRecognizer


class DetectorFactory:
    """Builds detectors and keeps the models that several of them use.

    Args:
        config: settings of all cameras.
        device: OpenVINO device.
    """

    def __init__(self, config: LiveConfig, device: str = "CPU") -> None:
        self._config, self._device = config, device
        self._models: dict[Hashable, Any] = {}

    def build(self, camera: CameraConfig, started: datetime) -> FallDetector:
        """Return a detector of its own for a camera.

        Args:
            camera: names its overrides.
            started: UTC time at 0 s of the steady time line.

        Raises:
            FalldetError: a model can't be had.
        """
        config = self._config.detector_config(camera)
        recognizer = self.recognizer(camera)
        key = ("pose", config.pose, config.movenet, config.topdown)
        pose_source = self._shared(key, lambda: self._pose_source(config))
        if pose_source.max_in_flight == 1:  # it carries state from image to image
            del self._models[key]
        return FallDetector(config, recognizer, pose_source, self._device, camera.name, started)

    def recognizer(self, camera: CameraConfig) -> WindowRecognizer:
        """Return the recognizer of a camera; raises FalldetError where it can't be had."""
        config = self._config.detector_config(camera)
        return self._shared(("recognizer", config.recognizer), lambda: load_recognizer(config, self._device))

    def _pose_source(self, config: Config) -> Any:
        return build_pose_source(config.pose, config.movenet, config.topdown, self._device)

    def _shared(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._models:
            self._models[key] = make()
        return self._models[key]
