"""Video in and out: real files, written here, whose gray level tells the number of the frame."""

from __future__ import annotations

import gc
import logging
import struct
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.io.video import VideoWriter, is_stream, probe, read_frames
from falldet.types import Frame

STEP = 5  # gray levels from one frame to the next
TIME_BASE = Fraction(1, 60_000)


def gray(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), 20 + STEP * number, np.uint8)


def number_of(frame: Frame) -> int:
    """The number; colors lose up to three levels on their way through YUV."""
    return round((float(frame.image.mean()) - 18.5) / STEP)


def write(
    path: Path,
    times_s: Sequence[float],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    rotation: int = 0,
    options: dict[str, str] | None = None,
    images: Sequence[np.ndarray] | None = None,
) -> Path:
    """A video of pictures at `times_s`; made with PyAV alone, not with the code under test."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.bit_rate = 2_000_000
        if path.suffix != ".avi":  # which knows no times, only a rate
            stream.codec_context.time_base = TIME_BASE
        stream.options = {"bf": "2"} if codec == "libx264" else {}
        if rotation:
            stream.set_display_rotation(rotation)
        for number, time_s in enumerate(times_s):
            image = gray(number, *size) if images is None else images[number]
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            picture.pts, picture.time_base = round(time_s / TIME_BASE), TIME_BASE
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def steady(frames: int, fps: float = 25.0) -> list[float]:
    return [i / fps for i in range(frames)]


def times(path: Path) -> list[float]:
    frames = list(read_frames(path))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert [number_of(frame) for frame in frames] == list(range(len(frames)))
    return [frame.time_s for frame in frames]


VARIABLE = [0.0, 0.04, 0.05, 0.2, 0.21, 0.9, 1.0, 3.5, 3.52, 3.6]


@pytest.mark.parametrize(
    "expected",
    [steady(40), steady(40, 30000 / 1001), steady(40, 10), steady(40, 15), steady(40, 59.94), VARIABLE],
    ids=["25 fps", "29.97 fps", "10 fps", "15 fps", "59.94 fps", "variable"],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_timestamps_are_those_of_the_container(tmp_path: Path, expected: list[float], suffix: str) -> None:
    found = times(write(tmp_path / f"a{suffix}", expected))
    assert found == pytest.approx(expected, abs=2e-5 if suffix == ".mp4" else 6e-4)


def test_a_source_that_starts_late_starts_at_0(tmp_path: Path) -> None:
    found = times(write(tmp_path / "a.mkv", [7.5 + t for t in steady(10)]))
    assert found == pytest.approx(steady(10), abs=1e-3)


def test_frames_are_bgr_uint8_and_upright(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = (200, 40, 30)
    frame = next(read_frames(write(tmp_path / "a.mp4", [0.0], images=[image])))
    assert frame.image.shape == (48, 64, 3)
    assert frame.image.dtype == np.uint8
    assert np.abs(frame.image[10, 10].astype(int) - (200, 40, 30)).max() < 12


CORNERS = np.zeros((48, 64, 3), np.uint8)
CORNERS[:16, :16] = 220  # the mark stands top left in the stored picture


@pytest.mark.parametrize(
    ("counterclockwise", "shape", "mark"),
    [(0, (48, 64), (8, 8)), (90, (64, 48), (56, 8)), (180, (48, 64), (40, 56)), (-90, (64, 48), (8, 40))],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_rotation_metadata_is_applied(
    tmp_path: Path, counterclockwise: int, shape: tuple[int, int], mark: tuple[int, int], suffix: str
) -> None:
    path = write(tmp_path / f"a{suffix}", steady(3), rotation=counterclockwise, images=[CORNERS] * 3)
    for frame in read_frames(path):
        assert frame.image.shape[:2] == shape
        assert frame.image[mark].min() > 180
        assert frame.image.mean() == pytest.approx(220 * 256 / (48 * 64), abs=12)


def test_the_display_matrix_of_a_phone_is_applied(tmp_path: Path) -> None:
    """A phone held upright writes landscape pictures and a matrix in tkhd: 90 degrees clockwise."""
    path = write(tmp_path / "a.mp4", steady(3), images=[CORNERS] * 3)
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
def test_other_codecs_and_depths(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        path = write(tmp_path / f"a{suffix}", steady(20), codec, pix_fmt)
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"this PyAV can't write {codec} {pix_fmt}: {error}")
    assert times(path) == pytest.approx(steady(20), abs=6e-4)
    assert not caplog.text


@pytest.mark.parametrize("size", [(63, 47), (1, 1), (2, 2), (641, 3), (17, 480)])
def test_odd_and_tiny_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write(tmp_path / "a.mkv", steady(4), "ffv1", "bgr0", size)
    frames = list(read_frames(path))
    assert [frame.image.shape for frame in frames] == [(size[1], size[0], 3)] * 4
    assert [number_of(frame) for frame in frames] == [0, 1, 2, 3]
    with VideoWriter(tmp_path / "again.mp4") as writer:
        for frame in frames:
            writer.write(frame.image, frame.time_s)
    again = list(read_frames(tmp_path / "again.mp4"))
    assert [number_of(frame) for frame in again] == [0, 1, 2, 3]
    assert [(side + 1) // 2 * 2 for side in size] == [again[0].image.shape[1], again[0].image.shape[0]]


def test_one_frame(tmp_path: Path) -> None:
    assert times(write(tmp_path / "a.mp4", [0.0])) == [0.0]


def raw_h264(tmp_path: Path, frames: int) -> Path:
    path = tmp_path / "a.h264"
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray(number), format="bgr24")))
        container.mux(stream.encode(None))
    return path


def test_without_timestamps_the_nominal_rate_fills_in(tmp_path: Path) -> None:
    path = raw_h264(tmp_path, 30)
    found = times(path)
    assert len(found) == 30
    assert found == pytest.approx(steady(30), abs=1e-3)
    assert probe(path).fps == pytest.approx(25)


def test_repeated_and_backward_timestamps_are_put_in_order(tmp_path: Path) -> None:
    """Joined files start again from 0 in the middle."""
    path = tmp_path / "a.ts"
    parts = []
    for name in ("one", "two"):
        parts.append(write(tmp_path / f"{name}.ts", steady(10)).read_bytes())
    path.write_bytes(b"".join(parts))
    found = [frame.time_s for frame in read_frames(path)]
    assert len(found) == 20
    assert found[:10] == pytest.approx(steady(10), abs=1e-3)
    assert (np.diff(found) > 0).all()
    assert found[-1] < 2.0


def test_probe_says_what_the_source_says(tmp_path: Path) -> None:
    info = probe(write(tmp_path / "a.mp4", steady(50)))
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
    whole = write(path, steady(20)).read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") - 4])
    return path


def headers_only(path: Path) -> Path:
    whole = write(path, steady(20), options={"movflags": "+faststart"}).read_bytes()
    path.write_bytes(whole[: whole.index(b"mdat") + 4])
    return path


def zero_size(path: Path) -> Path:
    """Width and height 0 in the sample entry and the track header, and no parameter sets to say otherwise."""
    contents = bytearray(write(path, steady(5), "mjpeg", "yuvj420p").read_bytes())
    entry = contents.index(b"stsd") + 4 + 8
    assert contents[entry + 4 : entry + 8] in (b"mp4v", b"jpeg", b"mjpa")
    struct.pack_into(">HH", contents, entry + 8 + 24, 0, 0)
    start = contents.index(b"mdat") + 4
    stop = contents.index(b"moov") - 4
    contents[start:stop] = bytes(stop - start)
    path.write_bytes(contents)
    return path


def text(path: Path) -> Path:
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
        (text, "can't read"),
        (noise, "can't read"),
        (audio_only, "holds no video"),
        (no_moov, "can't read"),
        (headers_only, "no frame could be read"),
        (zero_size, "no frame could be read|can't read"),
    ],
    ids=["missing", "empty", "folder", "text", "noise", "audio only", "moov lost", "headers only", "0x0"],
)
def test_what_is_no_video_is_told_in_a_sentence(tmp_path: Path, make, message: str) -> None:
    path = make(tmp_path / "a.mp4")
    with pytest.raises(FalldetError, match=message) as caught:
        list(read_frames(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_still_picture_is_a_video_of_one_frame_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(gray(0), format="bgr24").reformat(format="rgb24")))
        container.mux(stream.encode(None))
    assert times(path) == [0.0]


def test_of_a_cut_file_the_frames_before_the_break_are_given(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    generator = np.random.default_rng(1)
    images = [generator.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(50)]
    whole = write(tmp_path / "whole.mp4", steady(50), options={"movflags": "+faststart"}, images=images)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        frames = list(read_frames(cut))
    expected = list(read_frames(whole))
    assert 10 <= len(frames) <= 40
    for found, true in zip(frames[:-4], expected, strict=False):
        assert found.time_s == true.time_s
        np.testing.assert_array_equal(found.image, true.image)
    assert "breaks off" in caplog.text


@pytest.mark.parametrize(
    ("source", "stream"),
    [
        ("rtsp://127.0.0.1/a", True),
        ("http://127.0.0.1/a.mp4", True),
        ("0", True),
        ("12", True),
        ("a.mp4", False),
        ("C:/a.mp4", False),
        ("12.mp4", False),
        (Path("/videos/rtsp/a.mp4"), False),
    ],
)
def test_streams_are_told_from_files(source: str | Path, stream: bool) -> None:
    assert is_stream(source) is stream


@pytest.mark.parametrize("source", ["rtsp://127.0.0.1:9/none", "http://127.0.0.1:9/none.mp4", "97"])
def test_a_stream_that_is_not_there_is_told_in_a_sentence(source: str) -> None:
    with pytest.raises(FalldetError, match=f"can't read {source}"):
        probe(source)


def test_damaged_pictures_in_the_middle_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.mov", steady(30), "mjpeg", "yuvj420p")
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
    assert "3 damaged pictures are left out" in caplog.text


def test_passwords_of_a_stream_are_not_told() -> None:
    with pytest.raises(FalldetError) as caught:
        probe("rtsp://anna:geheim@127.0.0.1:9/none")
    assert "geheim" not in str(caught.value)
    assert "rtsp://127.0.0.1:9/none" in str(caught.value)


def test_only_a_few_frames_are_held(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", steady(200, 50), images=[gray(0)] * 200)
    alive: list[weakref.ref[np.ndarray]] = []
    for frame in read_frames(path):
        alive.append(weakref.ref(frame.image))
        del frame
        assert sum(ref() is not None for ref in alive[-40:]) <= 2
    assert len(alive) == 200


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    tracemalloc.start()
    peaks = []
    for frames in (20, 200):
        path = write(tmp_path / f"{frames}.mkv", steady(frames), size=(320, 240), images=[gray(0, 320, 240)] * frames)
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        with VideoWriter(tmp_path / f"{frames}_out.mp4") as writer:
            for frame in read_frames(path):
                writer.write(frame.image, frame.time_s)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert peaks[1] < peaks[0] + 3 * 320 * 240 * 3


def test_a_generator_given_up_half_way_closes_the_file(tmp_path: Path) -> None:
    frames = read_frames(write(tmp_path / "a.mp4", steady(20)))
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    with pytest.raises(StopIteration):
        next(frames)


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("expected", [steady(30), steady(30, 30000 / 1001), steady(30, 12), VARIABLE])
def test_the_writer_keeps_the_source_s_own_timing(tmp_path: Path, expected: list[float]) -> None:
    with VideoWriter(tmp_path / "a.mp4", fps=25.0) as writer:
        for number, time_s in enumerate(expected):
            writer.write(gray(number), time_s)
    assert times(tmp_path / "a.mp4") == pytest.approx(expected, abs=1e-3)


def test_the_file_is_h264_that_starts_playing_at_once_and_may_be_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.mp4"
    with VideoWriter(path) as writer:
        for number in range(10):
            writer.write(gray(number), number / 25)
    contents = path.read_bytes()
    assert contents.index(b"moov") < contents.index(b"mdat")
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].pix_fmt == "yuv420p"
    assert path.stat().st_mode & 0o044 == 0o044


def test_nothing_stands_under_the_final_name_until_the_end(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for number in range(10):
            writer.write(gray(number), number / 25)
            assert not (tmp_path / "a.mp4").exists()
    assert left_over(tmp_path) == ["a.mp4"]


def interrupted(path: Path, error: BaseException) -> None:
    """Write ten frames, then leave the writer by an exception."""
    with VideoWriter(path) as writer:
        for number in range(10):
            writer.write(gray(number), number / 25)
        raise error


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        interrupted(tmp_path / "a.mp4", ZeroDivisionError())
    assert left_over(tmp_path) == []


def test_an_exception_leaves_an_older_file_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"older")
    with pytest.raises(ZeroDivisionError):
        interrupted(tmp_path / "a.mp4", ZeroDivisionError())
    assert (tmp_path / "a.mp4").read_bytes() == b"older"
    assert left_over(tmp_path) == ["a.mp4"]


def test_ctrl_c_leaves_a_file_that_plays(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "a.mp4", KeyboardInterrupt())
    assert times(tmp_path / "a.mp4") == pytest.approx(steady(10), abs=1e-3)
    assert left_over(tmp_path) == ["a.mp4"]


def test_a_killed_writer_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    code = (
        "import os, sys, numpy as np\nfrom falldet.io.video import VideoWriter\n"
        "writer = VideoWriter(sys.argv[1])\n"
        "for i in range(60): writer.write(np.zeros((48, 64, 3), np.uint8), i / 25)\n"
        "os._exit(9)"
    )
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "a.mp4"], cwd=root, check=False).returncode == 9
    assert not (tmp_path / "a.mp4").exists()


def test_without_a_frame_there_is_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "deep" / "a.mp4"):
        pass
    assert left_over(tmp_path) == []


def test_a_folder_that_can_t_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FalldetError, match="can't write"), VideoWriter(tmp_path / "file" / "a.mp4") as writer:
        writer.write(gray(0), 0.0)


def test_a_change_of_size_and_times_that_don_t_ascend_are_borne(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for number, time_s in enumerate([0.0, 0.04, 0.04, 0.02, 0.2]):
            writer.write(gray(number, *((64, 48) if number < 2 else (128, 96))), time_s)
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert [number_of(frame) for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
