"""Stages in threads of their own, joined by bounded queues that keep the order and pass on errors.

Threads suffice: decoding, drawing, encoding and inference release the global interpreter lock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")

CHECK_S = 0.2
"""Time between two questions whether a wait is given up, seconds."""

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

    def wait(self, timeout_s: float) -> bool:
        """Return whether an item or the end has come within `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or bool(self._items), timeout_s)

    def close(self, drop: bool = False) -> None:
        """Take no more items; with drop=True, drop those that wait."""
        with self._changed:
            self._closed = True
            if drop:
                self._items.clear()
            self._changed.notify_all()


def prefetch(
    items: Iterable[Item], depth: int = DEPTH, given_up: Callable[[float], bool] | None = None
) -> Generator[Item, None, None]:
    """Yield `items`, produced by a thread of their own up to `depth` items early.

    An error of `items` is raised in place of the next item. Closing this iterator stops the thread and closes `items`.

    Args:
        items: the items.
        depth: most items that wait.
        given_up: called every `CHECK_S` while an item is waited for, with the seconds waited; where it returns True, no
            more items are yielded, and a thread that hangs is left to the end of the process.
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
    left_s: float | None = None  # how long the thread may take to end
    try:
        waiting = iter(queue)
        while True:
            if given_up is not None and not _comes(queue, given_up):
                left_s = CHECK_S
                return
            try:
                item = next(waiting)
            except StopIteration:
                break
            yield item
            del item
        if failures:
            raise failures[0]
    finally:
        queue.close(drop=True)
        thread.join(left_s)


def _comes(queue: BoundedQueue[Item], given_up: Callable[[float], bool]) -> bool:
    """Return True once an item or the end has come, False once the wait is given up."""
    begun_s = time.monotonic()
    while not queue.wait(CHECK_S):
        if given_up(time.monotonic() - begun_s):
            return False
    return True


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
