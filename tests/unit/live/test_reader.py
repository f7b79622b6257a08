"""The parts of a reader that need no stream: the slot, the back-off, the inbox, the load, systemd's words."""

from __future__ import annotations

import random
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from falldet.live.backoff import Backoff
from falldet.live.latest_frame import LatestFrame, TimedFrame
from falldet.live.load import LoadControl, LoadSample
from falldet.live.reader_state import ReaderSettings
from falldet.live.sighting import Inbox, Sighting
from falldet.live.systemd import SystemdNotifier
from falldet.types import Event, EventState, People


def timed(time_s: float) -> TimedFrame:
    return TimedFrame(time_s, None)  # type: ignore[arg-type]


def test_latest_frame_drops_what_is_not_taken_in_time() -> None:
    slot = LatestFrame()
    for time_s in range(5):
        slot.put(timed(time_s))
    taken = slot.take(0.0)
    assert taken is not None
    assert taken.time_s == 4
    assert slot.dropped == 4
    assert slot.take(0.0) is None


def test_latest_frame_without_loss_waits_for_the_taker() -> None:
    slot, taken = LatestFrame(lossless=True), []
    writer = threading.Thread(target=lambda: [slot.put(timed(time_s)) for time_s in range(20)])
    writer.start()
    while len(taken) < 20:
        frame = slot.take(5.0)
        assert frame is not None
        taken.append(frame.time_s)
    writer.join()
    assert taken == list(range(20))
    assert slot.dropped == 0


def test_backoff_doubles_to_its_limit_with_jitter() -> None:
    backoff = Backoff(ReaderSettings(), random.Random(1))
    waits = [backoff.next() for _ in range(20)]
    for wait_s, full_s in zip(waits, [0.5, 1, 2, 4, 8, 16, *[30] * 14], strict=True):
        assert full_s / 2 <= wait_s <= full_s
    assert len(set(waits)) == 20
    backoff.reset()
    assert backoff.next() <= 0.5
    assert backoff.next(longest=True) >= 15.0


def sighting(camera: str, number: int) -> Sighting:
    event = Event(f"{camera}{number}", camera, 1, 0.0, 1.0, None, 1.0, 0.99, EventState.FALLING, (0, 0, 1, 1))
    return Sighting(camera, float(number), People.none(), np.zeros(0), (480, 640), (event,))


def test_inbox_merges_sightings_but_keeps_every_event() -> None:
    inbox = Inbox(size=4)
    for number in range(50):
        inbox.put(sighting("a", number))
        inbox.put(sighting("b", number))
        inbox.put(("a", number))
    events, states = [], 0
    while (item := inbox.get(0.0)) is not None:
        if isinstance(item, Sighting):
            events += [event.id for event in item.events]
        else:
            states += 1
    assert sorted(events) == sorted(f"{camera}{number}" for camera in "ab" for number in range(50))
    assert states == 50
    assert inbox.merged > 0


def busy(time_s: float, busy_share: float = 1.0, p95_s: float = 0.1) -> LoadSample:
    return LoadSample(time_s, p95_s, busy_share, 61.0, 16)


def test_load_control_relieves_then_warns_once_then_recovers() -> None:
    control = LoadControl(active_fps=15.0)
    said = {time_s: control.update(busy(time_s)) for time_s in range(0, 300, 5)}
    spoken = {time_s: text for time_s, text in said.items() if text}
    assert list(spoken) == [30, 60]
    assert control.relieved
    assert "61 pose estimations a second are enough for 4" in spoken[60]
    calm = {time_s: control.update(busy(time_s, 0.2)) for time_s in range(300, 1200, 5)}
    assert [time_s for time_s, text in calm.items() if text] == [900]
    assert not control.relieved


def test_load_control_bears_a_short_peak() -> None:
    control = LoadControl(15.0)
    shares = [1.0, 1.0, 0.2] * 50
    assert [control.update(busy(5.0 * number, share)) for number, share in enumerate(shares)] == [None] * 150


def test_systemd_notifier_sends_to_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        SystemdNotifier({"NOTIFY_SOCKET": str(path)}).send("READY=1", "STATUS=watching")
        assert receiver.recv(100) == b"READY=1\nSTATUS=watching"
    SystemdNotifier({"NOTIFY_SOCKET": str(path)}).send("WATCHDOG=1")  # the receiver is gone
    SystemdNotifier({}).send("READY=1")


@pytest.mark.parametrize("values", [{"stale_s": 7.0}, {"first_retry_s": 0.0}, {"connect_s": 0.0}])
def test_reader_settings_refuse_times_out_of_order(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        ReaderSettings(**values)
