"""Stages in threads: order, bounded queues, errors, clean ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from falldet.runtime.queues import BoundedQueue, background_writer, prefetch


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {"prefetch", "background_writer"}


def until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Source:
    """Counts up, tells how far it got and whether it was closed."""

    def __init__(self, stop: int, error: BaseException | None = None) -> None:
        self.given = 0
        self.closed = False
        self._stop, self._error = stop, error

    def items(self) -> Iterator[int]:
        try:
            for number in range(self._stop):
                self.given += 1
                yield number
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [0, 1, 3, 500])
def test_prefetch_yields_all_items_in_order(count: int) -> None:
    source = Source(count)
    assert list(prefetch(source.items(), depth=3)) == list(range(count))
    assert source.closed
    assert threads() == set()


def test_prefetch_stays_within_its_depth() -> None:
    source = Source(100)
    items = prefetch(source.items(), depth=3)
    assert next(items) == 0
    until(lambda: source.given == 5)  # one read, three waiting, one in progress
    time.sleep(0.05)
    assert source.given == 5
    items.close()
    assert source.closed
    assert threads() == set()


def test_prefetch_raises_an_error_after_the_items_before_it() -> None:
    items = prefetch(Source(3, ZeroDivisionError()).items())
    assert [next(items), next(items), next(items)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(items)
    assert threads() == set()


def test_prefetch_stops_its_thread_when_the_reader_fails() -> None:
    source = Source(1000)

    def read() -> None:
        for number in prefetch(source.items(), depth=2):
            if number == 5:
                raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        read()
    until(lambda: source.closed)
    assert source.given < 20
    until(lambda: threads() == set())


def test_background_writer_writes_in_order_in_another_thread() -> None:
    written: list[int] = []
    writers: set[str] = set()

    def write(number: int) -> None:
        writers.add(threading.current_thread().name)
        written.append(number)

    with background_writer(write, depth=2) as enqueue:
        for number in range(200):
            enqueue(number)
    assert written == list(range(200))
    assert writers == {"background_writer"}
    assert threads() == set()


def test_background_writer_blocks_while_its_queue_is_full() -> None:
    go = threading.Event()
    enqueued: list[int] = []
    with background_writer(lambda _: go.wait(10), depth=2) as enqueue:

        def enqueue_all() -> None:
            for number in range(10):
                enqueue(number)
                enqueued.append(number)

        thread = threading.Thread(target=enqueue_all)
        thread.start()
        until(lambda: len(enqueued) == 3)  # one in progress, two waiting
        time.sleep(0.05)
        assert len(enqueued) == 3
        go.set()
        thread.join()
    assert len(enqueued) == 10


def failing(number: int) -> None:
    if number == 2:
        raise ZeroDivisionError


def test_background_writer_raises_an_error_at_the_next_item() -> None:
    enqueued = 0
    with pytest.raises(ZeroDivisionError), background_writer(failing, depth=2) as enqueue:  # noqa: PT012
        for number in range(1000):
            enqueue(number)
            enqueued += 1
    assert 2 <= enqueued <= 6
    assert threads() == set()


def test_background_writer_raises_an_error_at_the_end_at_the_latest() -> None:
    with pytest.raises(ZeroDivisionError), background_writer(failing) as enqueue:  # noqa: PT012
        for number in range(3):
            enqueue(number)
    assert threads() == set()


@pytest.mark.parametrize(("error", "kept"), [(ValueError(), False), (KeyboardInterrupt(), True)])
def test_background_writer_drops_waiting_items_at_an_error_but_not_at_ctrl_c(error: BaseException, kept: bool) -> None:
    begun, go = threading.Event(), threading.Event()
    written: list[int] = []

    def write(number: int) -> None:
        begun.set()
        go.wait(10)
        written.append(number)

    with pytest.raises(type(error)), background_writer(write, depth=4) as enqueue:  # noqa: PT012
        for number in range(4):
            enqueue(number)
        assert begun.wait(10)
        threading.Timer(0.05, go.set).start()
        raise error
    assert written == ([0, 1, 2, 3] if kept else [0])
    assert threads() == set()


def test_bounded_queue_takes_nothing_once_closed_and_gives_the_rest() -> None:
    queue: BoundedQueue[int] = BoundedQueue(4)
    assert queue.put(1)
    queue.close()
    assert not queue.put(2)
    assert list(queue) == [1]
