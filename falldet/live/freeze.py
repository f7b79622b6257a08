"""Notices a camera whose image no longer changes."""

from __future__ import annotations

import numpy as np

from falldet.live.source import LiveFrame


class FreezeDetector:
    """Notices an image that does not change although frames arrive.

    Args:
        after_s: time without a change from which it counts as frozen; 0 never does.
    """

    SIZE_WH = 64, 48
    EVERY_S = 1.0
    MIN_CHANGE = 0.02
    """Mean absolute change of the grey image, of 255, between two samples. A still image through H.264 gives 0."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self.reset()

    def reset(self) -> None:
        """Forget the images so far."""
        self._sample: np.ndarray | None = None
        self._sampled_s = self._changed_s = 0.0

    def update(self, frame: LiveFrame) -> bool:
        """Take a frame; return whether the image is frozen."""
        if not self._after_s:
            return False
        if self._sample is None or frame.arrival_s - self._sampled_s >= self.EVERY_S:
            grey = frame.decoded.reformat(*self.SIZE_WH, format="gray").to_ndarray().astype(np.int16)
            if self._sample is None or np.abs(grey - self._sample).mean() >= self.MIN_CHANGE:
                self._changed_s = frame.arrival_s
            self._sample, self._sampled_s = grey, frame.arrival_s
        return frame.arrival_s - self._changed_s >= self._after_s
