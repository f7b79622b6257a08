"""falldet: from raw video to a trained, measured and deployed fall detector.

The public names below load when they are first used. Everything outside `falldet.openmmlab` loads neither torch nor any
OpenMMLab package.

Example:
    >>> from falldet import FallDetector, read_frames
    >>> for result in FallDetector().run(read_frames("video.mp4")):
    ...     for event in result.events:
    ...         print(event.state, event.track_id, event.alert_s)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from falldet.io.video import read_frames
    from falldet.pipeline.analyzer import FallAnalyzer
    from falldet.pipeline.config import Config
    from falldet.pipeline.detector import FallDetector
    from falldet.types import Event, EventState, People
    from falldet.visualization.overlay import draw_overlay

__version__ = "0.1.0"

__all__ = [
    "Config",
    "Event",
    "EventState",
    "FallAnalyzer",
    "FallDetector",
    "People",
    "__version__",
    "draw_overlay",
    "read_frames",
]

_MODULES = {
    "Config": "pipeline.config",
    "Event": "types",
    "EventState": "types",
    "FallAnalyzer": "pipeline.analyzer",
    "FallDetector": "pipeline.detector",
    "People": "types",
    "draw_overlay": "visualization.overlay",
    "read_frames": "io.video",
}


def __getattr__(name: str) -> Any:
    """Load a public name; raises AttributeError at any other."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """Return the public names and the submodules loaded so far."""
    return sorted({*globals(), *__all__})
