"""The inputs of ../shared/field, as the field sends them: each gives what the clip gave before it was changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scene_videos import last_events

from falldet.io.video import read_frames

ROOT = Path(__file__).resolve().parents[2]
FIELD = ROOT.parent / "shared" / "field"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("pose_model"),
    pytest.mark.skipif(not FIELD.is_dir(), reason="needs ../shared/field, which is not part of the repository"),
]


def demo(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "demo.py"), source, "--out-dir", str(folder / "out"), *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "alert_s", "tells"),
    [
        ("sar_2to1_drawn_fall_missed.mp4", 4.0, ""),
        ("ts_clock_jumps_back_1h_in_fall_missed.ts", 3.8, "the clock leaps by"),
        ("cover_picture_is_first_stream.mkv", 3.8, ""),
    ],
)
def test_demo_alerts_where_the_clip_is_wrapped_in_an_odd_way(
    tmp_path: Path, name: str, alert_s: float, tells: str
) -> None:
    done = demo(tmp_path, str(FIELD / name))
    assert done.returncode == 0, done.stderr
    assert tells in done.stderr
    assert [event["alert_s"] for event in last_events(tmp_path / "out")] == pytest.approx([alert_s], abs=0.3)
    frames = list(read_frames(tmp_path / "out" / f"{Path(name).stem}.mp4"))
    assert (len(frames), frames[0].image.shape) == (150, (480, 640, 3))
    assert frames[-1].time_s == pytest.approx(5.96, abs=0.05)


def test_demo_turns_the_image_of_a_camera_upside_down(tmp_path: Path) -> None:
    """Unturned, the clip gives an alarm or nearly one: which, depends on the processor."""
    done = demo(tmp_path, str(FIELD / "camera_upside_down_squat_alarms.mp4"), "--cfg-options", "video.rotate=180")
    assert done.returncode == 0, done.stderr
    assert last_events(tmp_path / "out") == []
    given = next(read_frames(FIELD / "camera_upside_down_squat_alarms.mp4")).image
    drawn = next(read_frames(tmp_path / "out" / "camera_upside_down_squat_alarms.mp4")).image
    assert np.abs(drawn[20:-20, 20:-20].astype(int) - given[::-1, ::-1][20:-20, 20:-20]).mean() < 20


@pytest.mark.parametrize("name", ["mp4_of_unknown_codec.mp4", "damaged_head_no_codec.mkv"])
def test_demo_tells_a_stream_without_a_decoder_in_one_sentence(tmp_path: Path, name: str) -> None:
    done = demo(tmp_path, str(FIELD / name))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "unknown codec" in done.stderr
    assert not (tmp_path / "out").exists()


def test_demo_reads_a_file_whose_name_has_colons(tmp_path: Path) -> None:
    shutil.copy(FIELD / "cover_picture_is_first_stream.mkv", tmp_path / "10:30:00.mkv")
    done = demo(tmp_path, "10:30:00.mkv", "--no-video")
    assert done.stdout.startswith("10:30:00.mkv: 1 fall") or "10:30:00.mkv: 1 fall" in done.stdout, done.stderr


@pytest.fixture
def mjpeg_server() -> Iterator[str]:
    command = [sys.executable, FIELD / "serve_clip_as_http_mjpeg.py", FIELD / "drawn_fall_for_mjpeg_server.mp4"]
    server = subprocess.Popen([*command, "8733", "5"])
    time.sleep(3)
    yield "127.0.0.1:8733"
    server.kill()
    server.wait()


def test_demo_times_http_mjpeg_by_arrival_and_tells_that_it_ended(tmp_path: Path, mjpeg_server: str) -> None:
    done = demo(tmp_path, f"HTTP://{mjpeg_server}/x", "--no-video")
    assert done.returncode == 3, done.stderr
    assert "broke off after" in done.stderr
    (event,) = last_events(tmp_path / "out")
    assert event["alert_s"] == pytest.approx(4.0, abs=0.5)  # 3.6 s at 25 frames a second
