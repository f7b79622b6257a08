"""Stages side by side, each in a thread of its own, joined by bounded queues that keep the order and pass on errors.

Threads suffice: decoding, drawing, encoding and inference let go of Python's lock while they work.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")

DEPTH = 4
"""Items between two stages: enough that a slow one doesn't stop its neighbors, few enough for little memory."""


class BoundedQueue(Generic[Item]):
    """A bounded queue between two threads, which either end can close."""

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> bool:
        """Wait for room and append `item`; return False, without it, once the channel is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def __iter__(self) -> Iterator[Item]:
        """Yield the items until the channel is closed and empty."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._items))
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
            del item  # a frame is large: it must not wait here for the next one

    def close(self, drop: bool = False) -> None:
        """Take no more items; with drop=True, forget those that wait."""
        with self._changed:
            self._closed = True
            if drop:
                self._items.clear()
            self._changed.notify_all()


def prefetch(items: Iterable[Item], depth: int = DEPTH) -> Generator[Item, None, None]:
    """Yield `items`, which are made up to `depth` ahead in a thread of their own.

    An error of theirs is raised where the next item would have come. Closing this iterator stops the thread and closes
    `items`.
    """
    channel: BoundedQueue[Item] = BoundedQueue(depth)
    failures: list[BaseException] = []

    def fetch() -> None:
        try:
            for item in items:
                if not channel.put(item):
                    break
        except BaseException as error:  # raised again by the thread that reads
            failures.append(error)
        finally:
            getattr(items, "close", lambda: None)()
            channel.close()

    thread = threading.Thread(target=fetch, name="prefetch", daemon=True)
    thread.start()
    try:
        yield from channel
        if failures:
            raise failures[0]
    finally:
        channel.close(drop=True)
        thread.join()


@contextmanager
def background_writer(write: Callable[[Item], None], depth: int = DEPTH) -> Iterator[Callable[[Item], None]]:
    """Yield a function that hands an item over to `write`, which is called in order in a thread of its own.

    Leaving the block waits until all is written; leaving it by an error drops what waits, by Ctrl-C it does not. An
    error of `write` is raised by the next hand-over, or on leaving.
    """
    channel: BoundedQueue[Item] = BoundedQueue(depth)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for item in channel:
                write(item)
        except BaseException as error:  # raised again by the thread that hands over
            failures.append(error)
            channel.close(drop=True)

    def hand_over(item: Item) -> None:
        if not channel.put(item):
            raise failures[0]

    thread = threading.Thread(target=work, name="background_writer", daemon=True)
    thread.start()
    try:
        yield hand_over
    except Exception:
        channel.close(drop=True)
        raise
    finally:
        channel.close()
        thread.join()
    if failures:
        raise failures[0]
