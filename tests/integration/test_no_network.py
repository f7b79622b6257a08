"""No command looks up a host, opens a connection, or leaves anything in the home folder; worker processes neither."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gray_videos import gray_image, write_video

ROOT = Path(__file__).resolve().parents[2]

HOOK = """
import os, sys

LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.connect", "socket.sendto")

def note(event, arguments):
    if event in LOOKUPS and not (event == "socket.connect" and isinstance(arguments[1], (str, bytes))):
        with open(os.environ["FALLDET_TEST_LOG"], "a") as log:
            log.write(f"{event} {arguments!r}\\n")

sys.addaudithook(note)
"""
"""Notes lookups and connections of this process; a connection to a path stays on the machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos with a manifest, a small annotation file, and the hook that is loaded by every Python process."""
    folder = tmp_path_factory.mktemp("offline")
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(HOOK)
    for kind in ("fall", "not_fall"):
        (folder / "videos" / kind).mkdir(parents=True)
        write_video(folder / "videos" / kind / "a.mp4", [n / 25 for n in range(30)], images=[gray_image(90)] * 30)
    (folder / "m.csv").write_text("path,label\nvideos/fall/a.mp4,fall\nvideos/not_fall/a.mp4,adl\n")
    rng = np.random.default_rng(0)
    clips = [
        {
            "frame_dir": f"{split}{label}",
            "label": label,
            "img_shape": (240, 320),
            "original_shape": (240, 320),
            "total_frames": 20,
            "keypoint": rng.uniform(60, 200, (1, 20, 17, 2)).astype(np.float32),
            "keypoint_score": np.full((1, 20, 17), 0.9, np.float32),
        }
        for split in ("train", "val", "test")
        for label in (0, 1)
    ]
    split = {name: [f"{name}0", f"{name}1"] for name in ("train", "val", "test")}
    (folder / "falls.pkl").write_bytes(pickle.dumps({"split": split, "annotations": clips}))
    return folder


COMMANDS = {
    "demo": (0, "demo videos/fall/a.mp4 --out-dir out"),
    "extract": (2, "extract videos --out falls_new.pkl --jobs 2"),  # there is no person in the videos
    "evaluate": (0, "evaluate m.csv --out-dir report --jobs 2"),
    "train": (
        0,
        "train stgcn_fall --ann-file falls.pkl --work-dir run --cfg-options train_cfg.max_epochs=1 "
        "model.backbone.base_channels=8 model.cls_head.in_channels=32",
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_looks_up_no_host_and_leaves_the_home_folder_empty(
    folder: Path, pose_model: Path, tmp_path: Path, command: str
) -> None:
    if command == "train":
        pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")
    home, log = tmp_path / "home", tmp_path / "log"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL", "FALLDET"))}
    environment |= {
        "HOME": str(home),
        "FALLDET_CACHE": str(tmp_path / "cache"),
        "FALLDET_CHECKPOINTS": str(pose_model.parent),
        "FALLDET_TEST_LOG": str(log),
        "PYTHONPATH": os.pathsep.join([str(folder / "hook"), str(ROOT)]),
    }
    code, arguments = COMMANDS[command]
    call = [sys.executable, "-c", "from falldet.cli import main; main()", *arguments.split()]
    if command in ("extract", "evaluate"):  # a worker process starts this file again
        call = [sys.executable, str(ROOT / "tools" / {"extract": "extract_kpts.py"}.get(command, f"{command}.py"))]
        call += arguments.split()[1:]
    result = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    assert not log.exists(), log.read_text()
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_importing_openvino_and_nncf_through_falldet_looks_up_no_host(folder: Path, tmp_path: Path) -> None:
    environment = os.environ | {
        "HOME": str(tmp_path),
        "FALLDET_TEST_LOG": str(tmp_path / "log"),
        "PYTHONPATH": os.pathsep.join([str(folder / "hook"), str(ROOT)]),
    }
    code = (
        "from falldet.pose.quantize import import_nncf\nimport_nncf()\nimport openvino.tools.ovc, time; time.sleep(0.5)"
    )
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0 or "needs NNCF" in result.stderr, result.stderr
    assert not list(tmp_path.iterdir())


def test_hook_notices_a_lookup(folder: Path, tmp_path: Path) -> None:
    environment = os.environ | {"FALLDET_TEST_LOG": str(tmp_path / "log"), "PYTHONPATH": str(folder / "hook")}
    code = "import socket; socket.getaddrinfo('127.0.0.1', 1)"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert "socket.getaddrinfo" in (tmp_path / "log").read_text()
