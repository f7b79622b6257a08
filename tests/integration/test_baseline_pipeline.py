"""`--pose yolox_s+hrnet_w32` from video to keypoints and events, with random weights under the official names."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")
pytestmark = pytest.mark.openmmlab

from falldet.io.video_writer import VideoWriter  # noqa: E402
from falldet.models.zoo import CHECKPOINTS  # noqa: E402
from research.speed import random_weights  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
POSE = ("--pose", "yolox_s+hrnet_w32", "--cfg-options", "topdown.max_people=1", "topdown.det_interval=4")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random networks under the official names."""
    folder = tmp_path_factory.mktemp("checkpoints")
    random_weights.write_random_weights(folder)
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of a few noisy frames, one in fall/ and one in not_fall/."""
    folder, rng = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    for label in ("fall", "not_fall"):
        (folder / label).mkdir()
        with VideoWriter(folder / label / "clip.mp4", 10.0) as writer:
            for index in range(8):
                writer.write(rng.integers(0, 255, (96, 128, 3), np.uint8), index / 10)
    return folder


def run(tool: str, *arguments: str | Path, checkpoints: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "FALLDET_CHECKPOINTS": str(checkpoints),
        "FALLDET_CACHE": str(cache),
        "HTTPS_PROXY": "http://127.0.0.1:9",  # nothing listens there: no network
        "https_proxy": "http://127.0.0.1:9",
    }
    command = [sys.executable, str(ROOT / "tools" / tool), *map(str, arguments)]
    return subprocess.run(
        command, cwd=checkpoints.parent, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def test_tools_with_the_baseline_pipeline_give_keypoints_and_events(
    checkpoints: Path, videos: Path, tmp_path: Path
) -> None:
    places = {"checkpoints": checkpoints, "cache": tmp_path / "cache"}
    out = tmp_path / "falls.pkl"
    extraction = run("extract_kpts.py", videos, "--out", out, "--cache", tmp_path / "poses", *POSE, **places)
    assert extraction.returncode == 0, extraction.stderr
    assert extraction.stderr.count("it is used as weights of your own") == 2
    annotations = pickle.loads(out.read_bytes())["annotations"]  # random networks: joints lie outside the image
    assert [annotation["keypoint"].shape for annotation in annotations] == [(1, 8, 17, 2)] * 2
    assert all((annotation["keypoint_score"] > 0).any() for annotation in annotations)

    exports = sorted((tmp_path / "cache" / "exports").iterdir())
    assert [path.name.split("-")[0] for path in exports] == ["hrnet_w32_coco", "yolox_s_person"]
    written = [path.stat().st_mtime_ns for path in exports]
    video = videos / "fall" / "clip.mp4"
    demo = run("demo.py", video, "--out-dir", tmp_path / "demo", *POSE, **places)
    assert demo.returncode == 0, demo.stderr
    assert "8 frames" in demo.stdout
    assert (tmp_path / "demo" / "clip.mp4").stat().st_size > 0
    assert [path.stat().st_mtime_ns for path in exports] == written, "exported once"


@pytest.mark.parametrize(
    ("tool", "arguments"), [("extract_kpts.py", ("--out", "k.pkl", "--cache", "p")), ("demo.py", ("--out-dir", "o"))]
)
def test_tools_without_the_weights_name_file_address_and_folder(
    videos: Path, tmp_path: Path, tool: str, arguments: tuple[str, ...]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    source = videos if tool == "extract_kpts.py" else videos / "fall" / "clip.mp4"
    result = run(tool, source, *arguments, *POSE, checkpoints=empty, cache=tmp_path / "cache")
    assert result.returncode == 2
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    yolox = CHECKPOINTS["yolox_s"]
    for part in (yolox.file_name, yolox.sources[0].address, str(empty)):  # type: ignore[union-attr]
        assert part in sentence
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "o").exists()
