"""Video output: files written here and read again."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from pathlib import Path

import av
import pytest
from gray_videos import VARIABLE, gray_image, number_of, steady, times_of, write_video

from falldet.errors import FalldetError
from falldet.io.video import read_frames
from falldet.io.video_writer import VideoWriter


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("expected", [steady(30), steady(30, 30000 / 1001), steady(30, 12), VARIABLE])
def test_video_writer_keeps_the_times_of_the_source(tmp_path: Path, expected: list[float]) -> None:
    with VideoWriter(tmp_path / "a.mp4", fps=25.0) as writer:
        for number, time_s in enumerate(expected):
            writer.write(gray_image(number), time_s)
    assert times_of(tmp_path / "a.mp4") == pytest.approx(expected, abs=1e-3)


def boxes(path: Path) -> list[bytes]:
    """The kinds of the boxes at the top level of an .mp4."""
    contents, place, kinds = path.read_bytes(), 0, []
    while place < len(contents):
        size = int.from_bytes(contents[place : place + 4], "big")
        kinds.append(contents[place + 4 : place + 8])
        place += int.from_bytes(contents[place + 8 : place + 16], "big") if size == 1 else size
    return kinds


def test_video_writer_writes_an_ordinary_h264_file_that_seeks_and_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.mp4"
    with VideoWriter(path) as writer:
        for number in range(40):
            writer.write(gray_image(number), number / 10)
    assert b"moof" not in boxes(path)
    assert boxes(path)[-1] == b"moov"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.frames) == ("h264", "yuv420p", 40)
        container.seek(2_000_000, backward=True)
        assert next(container.decode(video=0)).time <= 2.0
    assert path.stat().st_mode & 0o044 == 0o044


def test_video_writer_names_the_file_only_at_the_end(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for number in range(10):
            writer.write(gray_image(number), number / 25)
            assert not (tmp_path / "a.mp4").exists()
    assert left_over(tmp_path) == ["a.mp4"]


def interrupted(path: Path, error: BaseException) -> None:
    """Write ten frames, then leave the writer by an exception."""
    with VideoWriter(path) as writer:
        for number in range(10):
            writer.write(gray_image(number), number / 25)
        raise error


def test_video_writer_leaves_nothing_after_an_exception(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        interrupted(tmp_path / "a.mp4", ZeroDivisionError())
    assert left_over(tmp_path) == []


def test_video_writer_keeps_an_older_file_after_an_exception(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"older")
    with pytest.raises(ZeroDivisionError):
        interrupted(tmp_path / "a.mp4", ZeroDivisionError())
    assert (tmp_path / "a.mp4").read_bytes() == b"older"
    assert left_over(tmp_path) == ["a.mp4"]


def test_video_writer_leaves_a_file_that_plays_after_ctrl_c(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "a.mp4", KeyboardInterrupt())
    assert times_of(tmp_path / "a.mp4") == pytest.approx(steady(10), abs=1e-3)
    assert left_over(tmp_path) == ["a.mp4"]


def test_video_writer_killed_leaves_a_file_that_plays_under_the_unfinished_name(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, numpy as np\nfrom falldet.io.video_writer import VideoWriter\n"
        "writer = VideoWriter(sys.argv[1])\n"
        "for i in range(200): writer.write(np.full((48, 64, 3), 20 + i, np.uint8), i / 25)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).resolve().parents[3]
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.mp4"], cwd=root, check=False)
        assert done.returncode == -9
    assert left_over(tmp_path) == ["a.unfinished-2.mp4", "a.unfinished.mp4"]
    frames = list(read_frames(tmp_path / "a.unfinished.mp4"))
    assert 150 <= len(frames) <= 200  # a second at most is lost
    assert frames[-1].time_s == pytest.approx((len(frames) - 1) / 25, abs=1e-3)


def test_video_writer_tells_a_full_disk_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, sys, numpy as np\nfrom falldet.io.video_writer import VideoWriter\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)\n"
        "with VideoWriter(sys.argv[1]) as writer:\n"
        "    for i in range(200): writer.write(np.roll(image, i), i / 25)\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.mp4"], cwd=root, check=False, capture_output=True, text=True
    )
    assert "a.mp4: File too large; make room" in done.stderr.splitlines()[-1]
    assert left_over(tmp_path) == []


def test_video_writer_without_a_frame_makes_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "deep" / "a.mp4"):
        pass
    assert left_over(tmp_path) == []


def test_video_writer_refuses_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FalldetError, match="can't write"), VideoWriter(tmp_path / "file" / "a.mp4") as writer:
        writer.write(gray_image(0), 0.0)


def test_video_writer_takes_a_change_of_size_and_times_that_do_not_ascend(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for number, time_s in enumerate([0.0, 0.04, 0.04, 0.02, 0.2]):
            writer.write(gray_image(number, *((64, 48) if number < 2 else (128, 96))), time_s)
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert [number_of(frame) for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}


@pytest.mark.parametrize("size", [(63, 47), (1, 1), (2, 2), (641, 3), (17, 480)])
def test_video_writer_writes_odd_and_tiny_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "a.mkv", steady(4), "ffv1", "bgr0", size)
    frames = list(read_frames(path))
    assert [frame.image.shape for frame in frames] == [(size[1], size[0], 3)] * 4
    assert [number_of(frame) for frame in frames] == [0, 1, 2, 3]
    with VideoWriter(tmp_path / "again.mp4") as writer:
        for frame in frames:
            writer.write(frame.image, frame.time_s)
    again = list(read_frames(tmp_path / "again.mp4"))
    assert [number_of(frame) for frame in again] == [0, 1, 2, 3]
    assert [(side + 1) // 2 * 2 for side in size] == [again[0].image.shape[1], again[0].image.shape[0]]


def test_video_writer_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    tracemalloc.start()
    peaks = []
    for frames in (20, 200):
        path = write_video(
            tmp_path / f"{frames}.mkv", steady(frames), size=(320, 240), images=[gray_image(0, 320, 240)] * frames
        )
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        with VideoWriter(tmp_path / f"{frames}_out.mp4") as writer:
            for frame in read_frames(path):
                writer.write(frame.image, frame.time_s)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert peaks[1] < peaks[0] + 3 * 320 * 240 * 3


def test_video_writer_close_without_keep_leaves_nothing(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4")
    writer.write(gray_image(0), 0.0)
    writer.close(keep=False)
    writer.close()
    assert left_over(tmp_path) == []
