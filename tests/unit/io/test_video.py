"""Video input: real files, written here, whose gray level tells the number of the frame."""

from __future__ import annotations

import logging
import re
import struct
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from gray_videos import VARIABLE, gray_image, number_of, steady, times_of, write_video

from falldet.errors import FalldetError
from falldet.io.addresses import redacted
from falldet.io.video import VideoReader, codec_threads, probe, read_frames


@pytest.mark.parametrize(
    "expected",
    [steady(40), steady(40, 30000 / 1001), steady(40, 10), steady(40, 15), steady(40, 59.94), VARIABLE],
    ids=["25 fps", "29.97 fps", "10 fps", "15 fps", "59.94 fps", "variable"],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_read_frames_takes_the_timestamps_of_the_container(tmp_path: Path, expected: list[float], suffix: str) -> None:
    found = times_of(write_video(tmp_path / f"a{suffix}", expected))
    assert found == pytest.approx(expected, abs=2e-5 if suffix == ".mp4" else 6e-4)


def test_read_frames_starts_a_late_source_at_0(tmp_path: Path) -> None:
    found = times_of(write_video(tmp_path / "a.mkv", [7.5 + t for t in steady(10)]))
    assert found == pytest.approx(steady(10), abs=1e-3)


def test_read_frames_gives_bgr_uint8(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = (200, 40, 30)
    frame = next(read_frames(write_video(tmp_path / "a.mp4", [0.0], images=[image])))
    assert frame.image.shape == (48, 64, 3)
    assert frame.image.dtype == np.uint8
    assert np.abs(frame.image[10, 10].astype(int) - (200, 40, 30)).max() < 12


CORNERS = np.zeros((48, 64, 3), np.uint8)
CORNERS[:16, :16] = 220  # the mark stands top left in the stored image


@pytest.mark.parametrize(
    ("counterclockwise", "shape", "mark"),
    [(0, (48, 64), (8, 8)), (90, (64, 48), (56, 8)), (180, (48, 64), (40, 56)), (-90, (64, 48), (8, 40))],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_read_frames_applies_rotation_metadata(
    tmp_path: Path, counterclockwise: int, shape: tuple[int, int], mark: tuple[int, int], suffix: str
) -> None:
    path = write_video(tmp_path / f"a{suffix}", steady(3), rotation=counterclockwise, images=[CORNERS] * 3)
    for frame in read_frames(path):
        assert frame.image.shape[:2] == shape
        assert frame.image[mark].min() > 180
        assert frame.image.mean() == pytest.approx(220 * 256 / (48 * 64), abs=12)


def test_read_frames_applies_the_display_matrix_of_a_phone(tmp_path: Path) -> None:
    """A phone held upright writes landscape images and a matrix in tkhd: 90 degrees clockwise."""
    path = write_video(tmp_path / "a.mp4", steady(3), images=[CORNERS] * 3)
    contents = bytearray(path.read_bytes())
    matrix = contents.index(b"tkhd") + 4 + 40
    assert struct.unpack_from(">9i", contents, matrix) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", contents, matrix, 0, 65536, 0, -65536, 0, 0, 48 << 16, 0, 1 << 30)
    path.write_bytes(contents)
    frame = next(read_frames(path))
    assert frame.image.shape[:2] == (64, 48)
    assert frame.image[8, 40].min() > 180  # top left has gone to top right


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libx264", "yuv420p10le", ".mp4"),
        ("ffv1", "yuv420p10le", ".mkv"),
        ("libx264", "yuv444p", ".mp4"),
        ("ffv1", "gray", ".mkv"),
        ("mpeg4", "yuv420p", ".avi"),
        ("mjpeg", "yuvj420p", ".mov"),
    ],
)
def test_read_frames_reads_other_codecs_and_depths(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        path = write_video(tmp_path / f"a{suffix}", steady(20), codec, pix_fmt)
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"this PyAV can't write {codec} {pix_fmt}: {error}")
    assert times_of(path) == pytest.approx(steady(20), abs=6e-4)
    assert not caplog.text


def test_read_frames_reads_a_video_of_one_frame(tmp_path: Path) -> None:
    assert times_of(write_video(tmp_path / "a.mp4", [0.0])) == [0.0]


def raw_h264(tmp_path: Path, frames: int) -> Path:
    path = tmp_path / "a.h264"
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray_image(number), format="bgr24")))
        container.mux(stream.encode(None))
    return path


def test_read_frames_fills_missing_timestamps_with_the_nominal_rate(tmp_path: Path) -> None:
    path = raw_h264(tmp_path, 30)
    found = times_of(path)
    assert len(found) == 30
    assert found == pytest.approx(steady(30), abs=1e-3)
    assert probe(path).fps == pytest.approx(25)


def test_read_frames_puts_repeated_and_backward_timestamps_in_order(tmp_path: Path) -> None:
    """Joined files start again from 0 in the middle."""
    path = tmp_path / "a.ts"
    parts = []
    for name in ("one", "two"):
        parts.append(write_video(tmp_path / f"{name}.ts", steady(10)).read_bytes())
    path.write_bytes(b"".join(parts))
    found = [frame.time_s for frame in read_frames(path)]
    assert len(found) == 20
    assert found[:10] == pytest.approx(steady(10), abs=1e-3)
    assert (np.diff(found) > 0).all()
    assert found[-1] < 2.0


def test_probe_gives_rate_frames_and_duration(tmp_path: Path) -> None:
    info = probe(write_video(tmp_path / "a.mp4", steady(50)))
    assert info.fps == pytest.approx(25, rel=0.03)
    assert info.frames == 50
    assert info.duration_s == pytest.approx(2.0, abs=0.05)


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        for number in range(10):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 16_000, 1024 * number
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


def no_moov(path: Path) -> Path:
    whole = write_video(path, steady(20)).read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") - 4])
    return path


def headers_only(path: Path) -> Path:
    whole = write_video(path, steady(20), options={"movflags": "+faststart"}).read_bytes()
    path.write_bytes(whole[: whole.index(b"mdat") + 4])
    return path


def zero_size(path: Path) -> Path:
    """Width and height 0 in the sample entry and the track header, and no parameter sets to say otherwise."""
    contents = bytearray(write_video(path, steady(5), "mjpeg", "yuvj420p").read_bytes())
    entry = contents.index(b"stsd") + 4 + 8
    assert contents[entry + 4 : entry + 8] in (b"mp4v", b"jpeg", b"mjpa")
    struct.pack_into(">HH", contents, entry + 8 + 24, 0, 0)
    start = contents.index(b"mdat") + 4
    stop = contents.index(b"moov") - 4
    contents[start:stop] = bytes(stop - start)
    path.write_bytes(contents)
    return path


def text_file(path: Path) -> Path:
    path.write_text("this is no video\n" * 50, encoding="utf-8")
    return path


def noise(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(20_000))
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path, "no such video"),
        (empty, r"is empty \(0 bytes\)"),
        (folder, "is a folder"),
        (text_file, "can't read"),
        (noise, "can't read"),
        (audio_only, "holds no video"),
        (no_moov, "can't read"),
        (headers_only, "no frame could be read"),
        (zero_size, "no frame could be read|can't read"),
    ],
    ids=["missing", "empty", "folder", "text", "noise", "audio only", "moov lost", "headers only", "0x0"],
)
def test_read_frames_refuses_what_is_no_video_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    path = make(tmp_path / "a.mp4")
    with pytest.raises(FalldetError, match=message) as caught:
        list(read_frames(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_frames_takes_a_still_image_for_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(gray_image(0), format="bgr24").reformat(format="rgb24")))
        container.mux(stream.encode(None))
    assert times_of(path) == [0.0]


def test_read_frames_gives_the_frames_before_the_break_of_a_truncated_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    generator = np.random.default_rng(1)
    images = [generator.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(50)]
    whole = write_video(tmp_path / "whole.mp4", steady(50), options={"movflags": "+faststart"}, images=images)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        frames = list(read_frames(cut))
    expected = list(read_frames(whole))
    assert 10 <= len(frames) <= 40
    for found, true in zip(frames[:-4], expected, strict=False):
        assert found.time_s == true.time_s
        np.testing.assert_array_equal(found.image, true.image)
    assert "is truncated" in caplog.text


@pytest.mark.parametrize("source", ["rtsp://127.0.0.1:9/none", "http://127.0.0.1:9/none.mp4", "97"])
def test_probe_refuses_a_missing_stream_in_one_sentence(source: str) -> None:
    with pytest.raises(FalldetError, match=re.escape(f"can't read {redacted(source)}")):
        probe(source)


def test_read_frames_skips_damaged_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(tmp_path / "a.mov", steady(30), "mjpeg", "yuvj420p")
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    contents = bytearray(path.read_bytes())
    for place, size in places[10:13]:
        contents[place : place + size] = bytes(size)
    path.write_bytes(contents)
    with caplog.at_level(logging.WARNING):
        frames = list(read_frames(path))
    whole = [n for n in range(30) if n not in (10, 11, 12)]
    assert [number_of(frame) for frame in frames] == whole
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in whole], abs=1e-3)
    assert "3 damaged frames are skipped" in caplog.text


def test_probe_hides_the_password_of_a_stream() -> None:
    with pytest.raises(FalldetError) as caught:
        probe("rtsp://anna:geheim@127.0.0.1:9/none")
    assert "geheim" not in str(caught.value)
    assert "rtsp://127.0.0.1:9/..." in str(caught.value)


def test_read_frames_holds_only_a_few_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(200, 50), images=[gray_image(0)] * 200)
    alive: list[weakref.ref[np.ndarray]] = []
    for frame in read_frames(path):
        alive.append(weakref.ref(frame.image))
        del frame
        assert sum(ref() is not None for ref in alive[-40:]) <= 2
    assert len(alive) == 200


def test_read_frames_closes_the_file_when_the_generator_is_closed(tmp_path: Path) -> None:
    frames = read_frames(write_video(tmp_path / "a.mp4", steady(20)))
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    with pytest.raises(StopIteration):
        next(frames)


def test_codec_threads_leaves_large_frames_to_the_codec() -> None:
    assert (codec_threads(640, 480), codec_threads(1920, 1080)) == (1, 0)


def test_video_reader_gives_metadata_and_frames_of_one_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", steady(20))
    opened: list[str] = []
    open_container = av.open

    def count(name: str, *args: Any, **kwargs: Any) -> Any:
        opened.append(name)
        return open_container(name, *args, **kwargs)

    monkeypatch.setattr(av, "open", count)
    with VideoReader(path) as reader:
        assert (reader.source, reader.info.frames) == (path, 20)
        frames = list(reader.frames())
    assert [number_of(frame) for frame in frames] == list(range(20))
    assert opened == [f"file:{path}"]
