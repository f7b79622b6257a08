"""Live reading from real servers that are killed, frozen, restarted, slow, silent or wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from live_servers import encode, free_port, has_gstreamer, mjpeg_server, rtsp_server, silent_server, wait_until

from falldet.io.video import VideoReader
from falldet.live.latest_frame import LatestFrame, TimedFrame
from falldet.live.reader import Reader
from falldet.live.reader_state import ReaderSettings, ReaderState, ReaderStatus
from falldet.live.source import LiveSource
from falldet.synthetic import SCENES

needs_gstreamer = pytest.mark.skipif(
    not has_gstreamer(), reason="needs Debian's python3-gi and gir1.2-gst-rtsp-server-1.0"
)
FAST_RETRY = ReaderSettings(max_retry_s=1.0)


class Watched:
    """A reader of an address, with everything that it told and the frames that it gave."""

    def __init__(self, address: str, settings: ReaderSettings = FAST_RETRY) -> None:
        self.changes: list[ReaderStatus] = []
        self.times: list[tuple[float, float]] = []  # time on the camera's line, and when it was taken
        self.tries = 0
        self._slot = LatestFrame()

        def open_source(stop: threading.Event) -> LiveSource:
            self.tries += 1
            return LiveSource(address, time.monotonic, stop)

        self.reader = Reader("cam", open_source, time.monotonic, settings, self._slot, on_change=self.changes.append)
        self.reader.start()
        self._stop = threading.Event()
        for work in (self._check, self._take):
            threading.Thread(target=work, daemon=True).start()

    @property
    def state(self) -> ReaderState:
        return self.reader.status.state

    @property
    def told(self) -> list[str]:
        return [change.state.value for change in self.changes]

    def close(self) -> None:
        self._stop.set()
        self.reader.stop()

    def _check(self) -> None:
        while not self._stop.wait(0.25):
            self.reader.check()

    def _take(self) -> None:
        while not self._stop.is_set():
            timed: TimedFrame | None = self._slot.take(0.2)
            if timed is not None:
                self.times.append((timed.time_s, time.monotonic()))


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    watched: list[Watched] = []

    def start(address: str, settings: ReaderSettings = FAST_RETRY) -> Watched:
        watched.append(Watched(address, settings))
        return watched[-1]

    yield start
    for one in watched:
        one.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute of a small moving scene."""
    scene = SCENES["walk"]()
    camera = replace(scene.camera, width=160, height=120, focal_px=scene.camera.focal_px / 4)
    return encode(
        replace(scene, duration_s=25.0, fps=10.0, camera=camera), tmp_path_factory.mktemp("live") / "walk.mp4"
    )


@needs_gstreamer
def test_reader_comes_back_to_a_server_that_was_away_and_killed(clip: Path, watch: Callable[..., Watched]) -> None:
    with rtsp_server(f"walk={clip}", start=False) as server:
        watched = watch(server.address("walk"))
        wait_until(lambda: watched.state is ReaderState.AWAY, what="the camera that is away at the start")
        assert watched.reader.status.reason == "connection refused"
        server.start()
        wait_until(lambda: watched.state is ReaderState.LIVE)
        time.sleep(1.0)
        server.kill()
        assert wait_until(lambda: watched.state is ReaderState.AWAY) < 3
        server.start()
        assert wait_until(lambda: watched.state is ReaderState.LIVE) < 6
        wait_until(lambda: watched.times[-1][1] > time.monotonic() - 0.1)
    assert watched.told == ["away", "live", "away", "live"]
    times = [time_s for time_s, _ in watched.times]
    assert times == sorted(set(times))
    assert all(time_s <= taken_s for time_s, taken_s in watched.times)
    assert watched.reader.threads == 1


@needs_gstreamer
def test_reader_notices_a_frozen_server_within_seven_seconds(clip: Path, watch: Callable[..., Watched]) -> None:
    with rtsp_server(f"walk={clip}") as server:
        watched = watch(server.address("walk"))
        wait_until(lambda: watched.state is ReaderState.LIVE)
        time.sleep(0.5)
        server.freeze()
        assert wait_until(lambda: watched.state is ReaderState.STALE) < 4.5
        assert wait_until(lambda: watched.state is ReaderState.AWAY) < 4
        assert watched.reader.threads <= 2
        server.thaw()
        wait_until(lambda: watched.state is ReaderState.LIVE)
    assert watched.told[:4] == ["live", "stale", "away", "live"]


def test_reader_says_what_is_wrong_and_does_not_storm(watch: Callable[..., Watched]) -> None:
    scene = replace(SCENES["walk"](), duration_s=0.2)
    with silent_server() as silent, mjpeg_server(scene) as web:
        words = {
            f"rtsp://127.0.0.1:{free_port()}/x": "connection refused",
            f"rtsp://127.0.0.1:{silent}/x": "no answer in time",
            f"{web}/401": "user name or password is wrong (401)",
            f"{web}/403": "access is forbidden (403)",
            f"{web}/404": "the server has no such path (404)",
            f"{web}/text": "what arrives is not video",
            "nothing.mp4": "no such file",
        }
        watched = {address: watch(address, ReaderSettings()) for address in words}
        wait_until(lambda: all(one.state is ReaderState.AWAY for one in watched.values()))
        time.sleep(3.0)
    assert {address: one.reader.status.reason for address, one in watched.items()} == words
    for one in watched.values():
        assert one.told == ["away"]
        assert one.tries <= 5


@needs_gstreamer
def test_reader_tells_an_image_that_does_not_change_from_one_that_does(watch: Callable[..., Watched]) -> None:
    settings = replace(FAST_RETRY, frozen_after_s=3.0)
    with rtsp_server("still=pattern", "ball=ball") as server:
        still, ball = watch(server.address("still"), settings), watch(server.address("ball"), settings)
        wait_until(lambda: still.state is ReaderState.FROZEN)
        assert ball.state is ReaderState.LIVE
    assert "frozen" not in ball.told
    assert still.told[:2] == ["live", "frozen"]


def test_reader_keeps_the_time_of_mjpeg_whatever_its_rate(watch: Callable[..., Watched]) -> None:
    with mjpeg_server(replace(SCENES["walk"](), duration_s=0.6)) as web:
        watched = {fps: watch(f"{web}/{fps}") for fps in (4, 10, 30)}
        wait_until(lambda: all(one.state is ReaderState.LIVE for one in watched.values()))
        time.sleep(4.0)
    for fps, one in watched.items():
        times = [pair for pair in one.times if pair[1] > one.times[0][1] + 0.5]  # what was buffered comes at once
        (first_s, first_taken_s), (last_s, last_taken_s) = times[0], times[-1]
        assert last_s - first_s == pytest.approx(last_taken_s - first_taken_s, rel=0.02, abs=0.05), fps
        assert one.reader.status.fps == pytest.approx(fps, rel=0.25)


@pytest.mark.parametrize("fps", [4, 10])
def test_video_reader_keeps_the_time_of_mjpeg(fps: int) -> None:
    with mjpeg_server(replace(SCENES["walk"](), duration_s=0.6)) as web, VideoReader(f"{web}/{fps}") as reader:
        times = []
        for frame in reader.frames():
            times.append((frame.time_s, time.monotonic()))
            if len(times) == 3 * fps:
                break
    assert times[-1][0] == pytest.approx((len(times) - 1) / fps, rel=0.1)
