"""The programs in examples/, each as a user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from scene_videos import last_events, render

from falldet.synthetic import SCENES

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("pose_model")]


def run_example(name: str, *arguments: Path, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def alert_times(text: str) -> list[float]:
    return [float(time_s) for time_s in re.findall(r"(\d+\.\d) s", text)]


def check_alert(time_s: float, scene: str = "sample") -> None:
    ((_, start_s, end_s),) = SCENES[scene]().falls()
    assert start_s - 0.5 <= time_s <= end_s + 3.0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_short_and_tested(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40
    assert f"def test_{path.stem}_" in Path(__file__).read_text(encoding="utf-8")


def test_five_lines_find_the_fall(sample_video: Path, tmp_path: Path) -> None:
    (time_s,) = alert_times(run_example("five_lines", sample_video, folder=tmp_path))
    check_alert(time_s)


def test_own_pose_source_finds_the_fall(sample_video: Path, tmp_path: Path) -> None:
    (time_s,) = alert_times(run_example("own_pose_source", sample_video, folder=tmp_path))
    check_alert(time_s)


def test_own_pose_source_keeps_only_large_people() -> None:
    text = (ROOT / "examples" / "own_pose_source.py").read_text(encoding="utf-8")
    namespace: dict = {}
    exec(text.partition("\n\nresults")[0], namespace)  # without the run
    source = namespace["TallPeople"](1e6)
    people = source.submit(next(SCENES["walk"]().frames()).image).result()
    assert len(people) == 0
    assert people.keypoints.shape == (0, 17, 2)


def test_custom_sink_writes_an_image_of_the_fall(sample_video: Path, tmp_path: Path) -> None:
    name = run_example("custom_sink", sample_video, folder=tmp_path).strip()
    assert cv2.imread(str(tmp_path / name)).shape == (480, 640, 3)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_two_cameras_go_on_where_one_fails(sample_video: Path, tmp_path: Path) -> None:
    other = render(replace(SCENES["fall_forward"](), fps=10.0), tmp_path / "hall.mp4")
    out = run_example("two_cameras", sample_video, tmp_path / "none.mp4", other, folder=tmp_path)
    lines = [line for line in out.splitlines() if ".mp4:" in line]  # between them, the alerts as they happen
    assert len(lines) == 3
    check_alert(alert_times(lines[0].replace("] s", " s"))[0])
    assert "no such video" in lines[1]
    (event,) = last_events(tmp_path / "results" / "hall")
    check_alert(event["alert_s"], "fall_forward")
