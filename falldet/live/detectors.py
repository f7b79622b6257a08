"""A detector for each camera, with models shared wherever the settings of the models are equal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from falldet.build import build_pose_source
from falldet.live.config import CameraConfig, LiveConfig
from falldet.pipeline.analyzer import load_recognizer
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector


class DetectorFactory:
    """Builds detectors and keeps the models that several of them use.

    Args:
        config: settings of all cameras.
        device: OpenVINO device.
    """

    def __init__(self, config: LiveConfig, device: str = "CPU") -> None:
        self._config, self._device = config, device
        self._models: dict[Any, Any] = {}

    def build(self, camera: CameraConfig, started: datetime) -> FallDetector:
        """Return a detector of its own for a camera.

        Args:
            camera: names its overrides.
            started: UTC time at 0 s of the steady time line.

        Raises:
            FalldetError: a model can't be had.
        """
        config = self._config.detector_config(camera)
        recognizer = self._shared(("recognizer", config.recognizer), lambda: load_recognizer(config, self._device))
        pose_source = self._shared(
            ("pose", config.pose, config.movenet, config.topdown), lambda: self._pose_source(config)
        )
        if pose_source.max_in_flight == 1:  # it carries state from image to image
            self._models.pop(("pose", config.pose, config.movenet, config.topdown))
        return FallDetector(config, recognizer, pose_source, self._device, camera.name, started)

    def _pose_source(self, config: Config) -> Any:
        return build_pose_source(config.pose, config.movenet, config.topdown, self._device)

    def _shared(self, key: Any, make: Any) -> Any:
        if key not in self._models:
            self._models[key] = make()
        return self._models[key]
