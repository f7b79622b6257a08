"""Stages in threads of their own, joined by bounded queues that keep the order and pass on errors.

Threads suffice: decoding, drawing, encoding and inference release the global interpreter lock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")

DEPTH = 4
"""Items between two stages. Higher: a slow item stalls the other stage less, and more frames are in memory."""


class BoundedQueue(Generic[Item]):
    """A bounded queue between two threads, closed from either end.

    Args:
        depth: most items in it.
    """

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> bool:
        """Wait for room and append `item`; return False, and drop it, once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def __iter__(self) -> Iterator[Item]:
        """Yield the items until the queue is closed and empty."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._items))
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
            del item  # a frame is large: it must not stay in memory until the next one comes

    def close(self, drop: bool = False) -> None:
        """Take no more items; with drop=True, drop those that wait."""
        with self._changed:
            self._closed = True
            if drop:
                self._items.clear()
            self._changed.notify_all()


def prefetch(items: Iterable[Item], depth: int = DEPTH) -> Generator[Item, None, None]:
    """Yield `items`, produced by a thread of their own up to `depth` items early.

    An error of `items` is raised in place of the next item. Closing this iterator stops the thread and closes `items`.
    """
    queue: BoundedQueue[Item] = BoundedQueue(depth)
    failures: list[BaseException] = []

    def fetch() -> None:
        try:
            for item in items:
                if not queue.put(item):
                    break
        except BaseException as error:  # raised again in the reading thread
            failures.append(error)
        finally:
            getattr(items, "close", lambda: None)()
            queue.close()

    thread = threading.Thread(target=fetch, name="prefetch", daemon=True)
    thread.start()
    try:
        yield from queue
        if failures:
            raise failures[0]
    finally:
        queue.close(drop=True)
        thread.join()


@contextmanager
def background_writer(write: Callable[[Item], None], depth: int = DEPTH) -> Iterator[Callable[[Item], None]]:
    """Yield a function that queues an item for `write`, which a thread of its own calls in order.

    Leaving the block waits until all items are written; leaving it by an error drops the waiting ones, by Ctrl-C it
    does not. An error of `write` is raised by the next call of the function, or on leaving.

    Args:
        write: takes an item.
        depth: most items that wait; the function blocks while there are so many.
    """
    queue: BoundedQueue[Item] = BoundedQueue(depth)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for item in queue:
                write(item)
        except BaseException as error:  # raised again in the thread that queues
            failures.append(error)
            queue.close(drop=True)

    def enqueue(item: Item) -> None:
        if not queue.put(item):
            raise failures[0]

    thread = threading.Thread(target=work, name="background_writer", daemon=True)
    thread.start()
    try:
        yield enqueue
    except Exception:
        queue.close(drop=True)
        raise
    finally:
        queue.close()
        thread.join()
    if failures:
        raise failures[0]
