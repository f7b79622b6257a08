"""How old is a frame when it is decided on, and how long after a fall's end is the alert stored and told?

    python -m research.speed.live_streams --streams 1 2 4 8
    python -m research.speed.live_streams --falls 4

`--streams` watches so many RTSP streams of 640x480 at 15 frames/s at the same time, and prints the time from a frame's
arrival to its decision and the processor time. `--falls` watches two streams with 5 falls a round, and prints the time
from each fall's end, as the server paces it, to the alert, stored and told.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from falldet.cli.process import EXIT_OK, run
from falldet.live.config import read_live_config
from falldet.live.incident import ChangeKind, Close, Outcome
from falldet.live.incident_manager import Answer
from falldet.live.service import LiveService, WatchedCamera
from falldet.live.source import LiveFrame, LiveSource
from falldet.live.store import Change
from research.speed.live_video import EMPTY_S, SCENE_S, falls_video, serving

WARM_UP_S = 5.0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="*", default=[], help="how many streams at the same time")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement (default: 30)")
    parser.add_argument("--falls", type=int, default=0, metavar="ROUNDS", help="rounds of 5 falls on each of 2 streams")
    arguments = parser.parse_args()
    for count in arguments.streams:
        measure_streams(count, arguments.seconds)
    if arguments.falls:
        measure_falls(arguments.falls)
    return EXIT_OK


def measure_streams(count: int, seconds: float) -> None:
    """Print the age of frames at their decision and the processor time, of `count` streams."""
    video, _ = falls_video(4)
    with serving(video) as server, TemporaryDirectory() as folder:
        service, stop = started([server.address(number) for number in range(count)], folder)
        wait_for(
            lambda: service.state.cameras != {} and all(view.processed > 0 for view in service.state.cameras.values()),
            60,
        )
        time.sleep(WARM_UP_S)
        begun_s, cpu_s = service.now(), time.process_time()
        before = sum(view.processed for view in service.state.cameras.values())
        time.sleep(seconds)
        span_s = service.now() - begun_s
        cores = (time.process_time() - cpu_s) / span_s
        rate = (sum(view.processed for view in service.state.cameras.values()) - before) / span_s
        ages = np.concatenate(
            [[age for at_s, age in tuple(c.worker.latencies) if c.worker and at_s > begun_s] for c in service.cameras]
        )
        end(stop, service)
    p50, p95, worst = np.percentile(ages, 50), np.percentile(ages, 95), ages.max()
    print(
        f"{count} streams: frame age p50 {p50:.3f}, p95 {p95:.3f}, worst {worst:.3f} s; "
        f"{rate:.1f} inferences/s, {cores:.2f} cores",
        flush=True,
    )


def measure_falls(rounds: int) -> None:
    """Print how long after the end of each fall the alert was stored and told, on two streams."""
    video, descents = falls_video(rounds)
    told: list[tuple[str, float]] = []
    with serving(video) as server, TemporaryDirectory() as folder:

        def take(change: Change) -> None:
            if change.kind in (ChangeKind.ALERT, ChangeKind.AGAIN) and change.record["kind"] == "fall":
                told.append((change.record["camera"], service.now()))
                service.answer(Answer(change.incident, Close("study", Outcome.HELPED)))

        with first_times() as firsts:
            service, stop = started([server.address(number) for number in range(2)], folder, take)
            time.sleep(WARM_UP_S + SCENE_S)
            offsets = {
                camera.config.name: (camera.reader._clock._offset_s or 0.0) + firsts[camera.config.name]
                for camera in service.cameras
            }
            time.sleep(rounds * 5 * (SCENE_S + EMPTY_S) - WARM_UP_S - SCENE_S)
        end(stop, service)
    delays = []
    for camera, offset_s in offsets.items():
        for _, stop_s in descents:
            after = [at_s - offset_s - stop_s for name, at_s in told if name == camera]
            found = [delay for delay in after if -1.0 <= delay < 4.0][:1]
            delays += found
            if not found:
                print(f"{camera}: the fall that ends at {stop_s:.1f} s is not told", flush=True)
    expected = len(offsets) * len(descents)
    median, p95 = np.percentile(delays, 50), np.percentile(delays, 95)
    print(
        f"{len(delays)} of {expected} falls told, {len(told) - len(delays)} further alerts; from the fall's end to "
        f"stored and told: median {median:.2f}, p95 {p95:.2f}, from {min(delays):.2f} to {max(delays):.2f} s"
    )


@contextmanager
def first_times() -> Iterator[dict[str, float]]:
    """Yield a dict that gets the source time of the first frame of each camera, which is the video's first."""
    firsts: dict[str, float] = {}
    plain = WatchedCamera._open

    def open_and_note(camera: WatchedCamera, stop: threading.Event) -> LiveSource:
        source = plain(camera, stop)
        frames = source.frames

        def noted() -> Iterator[LiveFrame]:
            for frame in frames():
                firsts.setdefault(camera.config.name, frame.source_s or 0.0)
                yield frame

        source.frames = noted  # type: ignore[method-assign]
        return source

    WatchedCamera._open = open_and_note  # type: ignore[method-assign]
    try:
        yield firsts
    finally:
        WatchedCamera._open = plain  # type: ignore[method-assign]


def started(
    addresses: list[str], folder: str, listener: Callable[[Change], None] = lambda change: None
) -> tuple[LiveService, threading.Event]:
    """Return a service that watches `addresses` in threads of its own, and what stops it."""
    config = read_live_config(None, [f"cam{number}={address}" for number, address in enumerate(addresses)])
    config = replace(config, state=replace(config.state, folder=str(Path(folder) / "state")))
    service, stop = LiveService(config, listeners=[listener]), threading.Event()
    thread = threading.Thread(target=service.run, args=(stop,), name="service", daemon=True)
    thread.start()
    return service, stop


def end(stop: threading.Event, service: LiveService) -> None:
    """Stop a service and wait for it."""
    stop.set()
    for thread in threading.enumerate():
        if thread.name == "service":
            thread.join(10)


def wait_for(holds: Callable[[], bool], timeout_s: float) -> None:
    """Wait until a condition holds, or the time is over."""
    end_s = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.1)


if __name__ == "__main__":
    run(main)
