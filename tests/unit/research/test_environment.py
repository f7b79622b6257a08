"""Peers in environments of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from falldet.errors import FalldetError
from research import ROOT
from research.peers import environment
from research.peers.environment import NEURA, TRACKERS, PeerEnvironment

STUB_MODEL = """
from types import SimpleNamespace
class NFDModel:
    def __init__(self): self.times = []
    def process(self, frame, timestamp):
        self.times.append(timestamp)
        return SimpleNamespace(new_fall_events=["fall"] if len(self.times) == 20 else [])
"""
"""An NFDModel that raises an alert at its 20th frame."""


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PeerEnvironment:
    """An installed peer that answers the sum of the request, or fails where there is none."""
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    peer = PeerEnvironment("adder 1.0", "adder", "adder")
    peer.python.parent.mkdir(parents=True)
    peer.python.symlink_to(sys.executable)
    (tmp_path / "adder.py").write_text(
        "import json, sys\njson.dump({'sum': sum(json.load(sys.stdin)), 'options': sys.argv[1:]}, sys.stdout)\n"
    )
    return peer


def test_peer_environment_ask_returns_the_answer(peer: PeerEnvironment) -> None:
    assert peer.ask([1, 2], "--fast") == {"sum": 3, "options": ["--fast"]}


def test_peer_environment_ask_tells_the_reason_of_a_failure(peer: PeerEnvironment) -> None:
    with pytest.raises(FalldetError, match=r"adder 1.0 failed \(TypeError.*requirements_adder.txt"):
        peer.ask(["no number"])


def test_peer_environment_ask_says_how_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    with pytest.raises(FalldetError, match=r"not installed; `python3 -m venv work_dirs/peers/neura"):
        NEURA.ask([])


@pytest.mark.parametrize("peer", [NEURA, TRACKERS])
def test_peer_environment_has_its_module_and_pins(peer: PeerEnvironment) -> None:
    assert (ROOT / peer.module.replace(".", "/")).with_suffix(".py").is_file()
    assert "==" in (ROOT / "research" / "peers" / f"requirements_{peer.key}.txt").read_text()


def test_neura_events_repeats_the_last_frame_for_hold_s(tmp_path: Path) -> None:
    (tmp_path / "neura_fall_detection.py").write_text(STUB_MODEL)
    video = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 16.0, (64, 48))
    for _ in range(32):  # 2 s: sixteen eighths of a second
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()

    def alerts(*options: str) -> list[float]:
        run = subprocess.run(
            [sys.executable, "-m", "research.peers.neura_events", *options],
            input=json.dumps([str(video)]),
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        )
        return json.loads(run.stdout)[str(video)]["alerts_s"]

    assert alerts() == []
    assert alerts("--hold-s", "1.0") == [31 / 16]
    assert alerts("--every-frame") == [19 / 16]
