"""What to do when there are more cameras than the processor bears: fewer inferences on still cameras, then a warning.

Lag can't grow, for every camera keeps its newest frame only; overload shows as late or missing inferences.

    NORMAL --overloaded for HOLD_S--> RELIEVED (idle_fps lowered) --overloaded for HOLD_S more--> a warning, once
    RELIEVED --calm for CALM_S--> NORMAL
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LATE_S = 0.4
BUSY_SHARE = 0.9
HOLD_S = 30.0
CALM_S = 600.0
RELIEVED_IDLE_FPS = 2.0


@dataclass(frozen=True, slots=True)
class LoadSample:
    """How busy the cameras are.

    Attributes:
        time_s: now, seconds.
        p95_s: highest 95th percentile of the time from arrival to decision among the cameras, seconds.
        busy: mean share of the time that a camera's thread works or waits for its inference, of those that see.
        inferences_per_s: of all cameras.
        cameras: how many see.
    """

    time_s: float
    p95_s: float
    busy: float
    inferences_per_s: float
    cameras: int


class LoadControl:
    """Decides about relief and warning; see the module.

    Args:
        active_fps: inferences a second that a camera with a moving person asks for.
    """

    def __init__(self, active_fps: float) -> None:
        self._active_fps = active_fps
        self._over_since_s: float | None = None
        self._calm_since_s: float | None = None
        self.relieved = False
        self._warned = False

    def update(self, sample: LoadSample) -> str | None:
        """Take a sample; return a sentence to log where something is decided."""
        over = sample.p95_s > LATE_S or sample.busy > BUSY_SHARE
        self._over_since_s = _since(self._over_since_s, over, sample.time_s)
        self._calm_since_s = _since(self._calm_since_s, not over, sample.time_s)
        if self._over_since_s is not None and sample.time_s - self._over_since_s >= HOLD_S:
            self._over_since_s = sample.time_s
            if not self.relieved:
                self.relieved = True
                return (
                    f"more than the processor bears: still cameras get {RELIEVED_IDLE_FPS:g} pose estimations a second"
                )
            if not self._warned:
                self._warned = True
                return self._warning(sample)
        if self.relieved and self._calm_since_s is not None and sample.time_s - self._calm_since_s >= CALM_S:
            self.relieved = self._warned = False
            return "the processor bears all cameras again: still ones get their usual rate"
        return None

    def _warning(self, sample: LoadSample) -> str:
        holds = max(1, math.floor(sample.inferences_per_s / self._active_fps)) if self._active_fps else 1
        return (
            f"{sample.cameras} cameras are more than this machine bears while people move before all of them: "
            f"{sample.inferences_per_s:.0f} pose estimations a second are enough for {min(holds, sample.cameras)}; "
            "all are watched at a lower rate. Watch fewer, or lower sampling.active_fps"
        )


def _since(since_s: float | None, holds: bool, time_s: float) -> float | None:
    if not holds:
        return None
    return time_s if since_s is None else since_s
