"""Several sinks as one: a side sink that fails is left out, so that the others keep running."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from falldet.errors import FalldetError
from falldet.pipeline.result import FrameResult
from falldet.runtime.sinks import Sink, SourceInfo

logger = logging.getLogger(__name__)


class SinkGroup:
    """Hands results to several sinks, and closes those that were started when its block is left.

    Example:
        >>> with SinkGroup([EventLog(path), Siren()]) as group:
        ...     group.start(source)
        ...     for result in detector.run(frames):
        ...         group.take(result)

    Args:
        sinks: the first one is the record: its failure is raised. Where its `close` fails, it is called again once the
            others are closed. Any other sink that fails is left out from then on.

    Attributes:
        failed: the sinks left out, each with its reason.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks, self._running = tuple(sinks), list[Sink]()
        self.failed: list[str] = []

    def __enter__(self) -> SinkGroup:
        return self

    def __exit__(self, *_: object) -> None:
        record, side_sinks = self._running[:1], self._running[1:]
        try:
            self._each(lambda sink: sink.close(), record)
        except FalldetError:  # perhaps the disk is full, and a side sink that is closed makes room
            self._each(lambda sink: sink.close(), side_sinks)
            side_sinks = []
            self._each(lambda sink: sink.close(), record)
        finally:
            self._each(lambda sink: sink.close(), side_sinks)

    def start(self, source: SourceInfo) -> None:
        """Start every sink."""
        for sink in self._sinks:
            self._running.append(sink)
            self._each(lambda sink: sink.start(source), [sink])

    def take(self, result: FrameResult) -> None:
        """Give every sink the events, then the result, of one step."""
        for event in result.events:
            self._each(lambda sink, event=event: sink.event(event), list(self._running))  # type: ignore[misc]
        self._each(lambda sink: sink.update(result), list(self._running))

    def _each(self, work: Callable[[Sink], None], sinks: Sequence[Sink]) -> None:
        for sink in sinks:
            try:
                work(sink)
            except Exception as error:
                if sink is self._sinks[0]:
                    raise
                self._leave_out(sink, error)

    def _leave_out(self, sink: Sink, error: Exception) -> None:
        self._running.remove(sink)
        self.failed.append(f"{type(sink).__name__}: {error}")
        logger.error("%s failed and is left out: %s", type(sink).__name__, error)
        with suppress(Exception):  # the first failure has been told
            sink.close()
