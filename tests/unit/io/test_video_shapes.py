"""Video as the field sends it: covers, pixels that are not square, turned cameras, no clock, no decoder, odd names."""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from gray_videos import gray_image, number_of, steady, times_of, write_video

from falldet.errors import FalldetError
from falldet.io import container, video
from falldet.io.video import VideoReader, read_frames

CORNER = np.zeros((48, 64, 3), np.uint8)
CORNER[:16, :16] = 220  # the mark stands top left


def write_tracks(
    path: Path, tracks: list[tuple[str, tuple[int, int], list[float], int]], options: dict[str, str] | None = None
) -> Path:
    """Write tracks of (codec, (width, height), times, first gray level number)."""
    with av.open(str(path), "w", options=options or {}) as output:
        streams = []
        for codec, size, _, _ in tracks:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            streams.append(stream)
        due = sorted((t, i, n) for i, (_, _, times, first) in enumerate(tracks) for n, t in enumerate(times, first))
        for time_s, index, number in due:
            frame = av.VideoFrame.from_ndarray(gray_image(number, *tracks[index][1]), format="bgr24")
            frame.pts, frame.time_base = round(time_s * 25), Fraction(1, 25)
            output.mux(streams[index].encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("cover_size", [(32, 24), (640, 480)])
def test_read_frames_takes_the_film_and_not_a_cover_that_comes_first(
    tmp_path: Path, suffix: str, cover_size: tuple[int, int]
) -> None:
    cover = "mpeg2video" if suffix == ".ts" else "mjpeg"
    path = write_tracks(tmp_path / f"a{suffix}", [(cover, cover_size, [0.0], 40), ("libx264", (64, 48), steady(30), 0)])
    assert times_of(path) == pytest.approx(steady(30), abs=1e-3)


def test_read_frames_takes_the_film_and_not_a_small_or_slow_preview(tmp_path: Path) -> None:
    slow = [float(second) for second in range(4)]
    path = write_tracks(
        tmp_path / "a.mkv",
        [("libx264", (32, 24), steady(40), 0), ("mjpeg", (96, 96), slow, 40), ("libx264", (64, 48), steady(40), 0)],
    )
    assert {frame.image.shape for frame in read_frames(path)} == {(48, 64, 3)}
    assert len(times_of(path)) == 40


def test_read_frames_takes_a_cover_where_there_is_nothing_else(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.mkv", [("mjpeg", (32, 24), [0.0], 0), ("mjpeg", (64, 48), [0.0], 0)])
    assert [frame.image.shape for frame in read_frames(path)] == [(48, 64, 3)]


def squeezed(path: Path, size: tuple[int, int], aspect: Fraction) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for number in range(5):
            image = cv2.resize(CORNER, size, interpolation=cv2.INTER_AREA)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("size", "aspect"), [((32, 48), Fraction(2)), ((64, 24), Fraction(1, 2)), ((48, 48), Fraction(4, 3))]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_read_frames_makes_pixels_square(tmp_path: Path, size: tuple[int, int], aspect: Fraction, suffix: str) -> None:
    path = squeezed(tmp_path / f"a{suffix}", size, aspect)
    for frame in read_frames(path):
        assert frame.image.shape == (48, 64, 3)
        assert frame.image[8, 8].min() > 180
        assert frame.image[8, 24].max() < 60
    assert next(read_frames(path, rotate=90)).image.shape == (64, 48, 3)


def test_read_frames_takes_absurd_pixels_for_square(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = squeezed(tmp_path / "a.mp4", (64, 48), Fraction(8))
    assert next(read_frames(path)).image.shape == (48, 64, 3)
    assert "8 times as wide as high" in caplog.text


@pytest.mark.parametrize(
    ("rotate", "shape", "mark"),
    [(0, (48, 64), (8, 8)), (90, (64, 48), (8, 40)), (180, (48, 64), (40, 56)), (270, (64, 48), (56, 8))],
)
@pytest.mark.parametrize("stated", [0, -90])
def test_read_frames_turns_clockwise_after_the_rotation_that_the_file_states(
    tmp_path: Path, rotate: video.Rotation, shape: tuple[int, int], mark: tuple[int, int], stated: int
) -> None:
    image = CORNER if stated == 0 else np.ascontiguousarray(np.rot90(CORNER))  # stored turned, stated to be turned back
    size = (image.shape[1], image.shape[0])
    path = write_video(tmp_path / "a.mp4", steady(2), size=size, rotation=stated, images=[image] * 2)
    frame = next(read_frames(path, rotate))
    assert frame.image.shape[:2] == shape
    assert frame.image[mark].min() > 180


def raw(path: Path, form: str, codec: str, fps: int) -> Path:
    with av.open(str(path), "w", format=form) as output:
        stream = output.add_stream(codec, rate=fps)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(gray_image(number), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("form", "codec"), [("h264", "libx264"), ("hevc", "libx265"), ("m4v", "mpeg4"), ("mpeg2video", "mpeg2video")]
)
@pytest.mark.parametrize("fps", [10, 30])
def test_read_frames_takes_the_rate_that_a_raw_codec_states(tmp_path: Path, form: str, codec: str, fps: int) -> None:
    if codec == "mpeg2video" and fps == 10:
        pytest.skip("MPEG-2 knows no 10 frames a second")
    path = raw(tmp_path / f"a.{form}", form, codec, fps)
    assert times_of(path) == pytest.approx(steady(20, fps), abs=1e-6)
    with VideoReader(path) as reader:
        assert reader.info.fps == fps


def test_read_frames_says_that_a_rate_is_assumed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert times_of(raw(tmp_path / "a.mjpeg", "mjpeg", "mjpeg", 10)) == pytest.approx(steady(20, 25), abs=1e-6)
    assert "states no frame rate; 25 a second are assumed; if that is wrong: ffmpeg -r" in caplog.text


def without_decoder(path: Path) -> Path:
    contents = write_video(path, steady(5)).read_bytes()
    path.write_bytes(contents.replace(b"avc1", b"zz01"))
    return path


def test_read_frames_refuses_a_codec_without_a_decoder(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match=r"a\.mp4 holds video of an unknown codec, or is damaged; convert it"):
        list(read_frames(without_decoder(tmp_path / "a.mp4")))


@pytest.mark.parametrize("name", ["10:30:00.mp4", "7", "http:", "a%03d.mp4", "-x.mp4", "concat:b.mp4"])
def test_read_frames_takes_a_file_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(write_video(tmp_path / "whole.mp4", steady(5)), name)
    assert len(list(read_frames(name))) == 5
    assert len(list(read_frames(f"file://{tmp_path}/whole.mp4"))) == 5


@pytest.mark.parametrize(("source", "reason"), [("/dev/null", "neither a file nor a camera"), ("98", "can't read 98")])
def test_read_frames_refuses_what_is_no_camera_in_true_words(source: str, reason: str) -> None:
    with pytest.raises(FalldetError, match=reason):
        list(read_frames(source))


def feed(pipe: Path, contents: bytes, wait_s: float = 0.0) -> threading.Thread:
    def write() -> None:
        with pipe.open("wb") as stream:
            stream.write(contents)
            stream.flush()
            time.sleep(wait_s)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def test_read_frames_reads_a_named_pipe(tmp_path: Path) -> None:
    contents = write_video(tmp_path / "a.ts", steady(30)).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    before = set(os.listdir("/proc/self/fd"))
    writer = feed(tmp_path / "pipe", contents)
    with VideoReader(tmp_path / "pipe") as reader:
        assert [number_of(frame) for frame in reader.frames()] == list(range(30))
        assert reader.broken_off == ""
    writer.join()
    assert set(os.listdir("/proc/self/fd")) <= before


def test_read_frames_does_not_hang_at_a_pipe_without_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "OPEN_TIMEOUT_S", 0.3)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FalldetError, match=r"nothing is written into the pipe .* for 0\.3 s"):
        list(read_frames(tmp_path / "pipe"))


def test_read_frames_notices_a_pipe_that_falls_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "READ_TIMEOUT_S", 0.5)
    os.mkfifo(tmp_path / "pipe")
    feed(tmp_path / "pipe", write_video(tmp_path / "a.ts", steady(100)).read_bytes()[:-400], wait_s=8)
    begun_s = time.monotonic()
    with VideoReader(tmp_path / "pipe") as reader:
        assert len(list(reader.frames())) > 50
        assert reader.broken_off == "no data for 0.5 s"
    assert time.monotonic() - begun_s < 6


@contextmanager
def serving(send: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            send(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def multipart(handler: BaseHTTPRequestHandler, frames: int, fps: float, hang_s: float = 0.0) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()
    begun_s = time.monotonic()
    for number in range(frames):
        time.sleep(max(0.0, begun_s + number / fps - time.monotonic()))
        jpeg = cv2.imencode(".jpg", gray_image(number))[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        handler.wfile.write(head.encode() + jpeg + b"\r\n")
        handler.wfile.flush()
    time.sleep(hang_s)


def test_read_frames_times_multipart_jpeg_by_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with (
        serving(lambda handler: multipart(handler, 12, fps=8)) as address,
        VideoReader(f"HTTP://{address}/x") as reader,
    ):
        frames = list(reader.frames())
        assert reader.broken_off
    assert [number_of(frame) for frame in frames] == list(range(12))
    assert frames[-1].time_s == pytest.approx(11 / 8, abs=0.3)


def test_video_reader_notices_a_stream_that_freezes_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(container, "READ_TIMEOUT_S", 0.5)
    with (
        serving(lambda handler: multipart(handler, 5, fps=50, hang_s=8)) as address,
        VideoReader(f"http://{address}/x") as reader,
    ):
        begun_s = time.monotonic()
        assert len(list(reader.frames())) >= 4
        assert time.monotonic() - begun_s < 4
        assert reader.broken_off == "no data for 0.5 s"
    assert "broke off after" in caplog.text


def test_video_reader_takes_a_served_file_that_ends_for_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    contents = write_video(tmp_path / "a.mp4", steady(30), options={"movflags": "+faststart"}).read_bytes()

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(contents)))
        handler.end_headers()
        shutil.copyfileobj(io.BytesIO(contents), handler.wfile)

    with serving(send) as address, VideoReader(f"http://{address}/a.mp4") as reader:
        assert len(list(reader.frames())) == 30
        assert reader.broken_off == ""
