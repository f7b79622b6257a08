"""Logging of the OpenMMLab libraries: warnings only, and none that a user can't act on."""

from __future__ import annotations

import logging
import warnings

from mmengine.logging import MMLogger


def quiet_libraries() -> None:
    """Silence the libraries' deprecation warnings about each other, and their log below the level of a warning."""
    for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
        warnings.filterwarnings("ignore", category=category)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(mm\w+|torch)(\.|$)")
    MMLogger.get_current_instance().setLevel(logging.WARNING)
