"""How long to wait before the next try to reach a camera."""

from __future__ import annotations

import random

from falldet.live.reader_state import ReaderSettings


class Backoff:
    """Waits between tries: doubling, each shortened at random to between half and all of it, so that tries spread out.

    Args:
        settings: see `ReaderSettings`.
        generator: of the randomness.
    """

    def __init__(self, settings: ReaderSettings, generator: random.Random | None = None) -> None:
        self._settings = settings
        self._generator = generator or random.Random()  # noqa: S311
        self.reset()

    def reset(self) -> None:
        """Start again from the shortest wait."""
        self._next_s = self._settings.first_retry_s

    def next(self, longest: bool = False) -> float:
        """Return the seconds to wait before the next try.

        Args:
            longest: take the longest wait at once.
        """
        wait_s = self._settings.max_retry_s if longest else self._next_s
        self._next_s = min(2 * wait_s, self._settings.max_retry_s)
        return wait_s * self._generator.uniform(0.5, 1.0)
