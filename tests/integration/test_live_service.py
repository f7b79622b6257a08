"""The whole service: falls in files and streams, faults of its stages, stops, restarts, secrets."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_servers import encode, has_gstreamer, live_command, rtsp_server, wait_until

from falldet.live import watched_camera
from falldet.live.camera import CameraWatch
from falldet.live.config import read_live_config
from falldet.live.incident import IncidentState
from falldet.live.pose_clip import read_clip
from falldet.live.service import LiveService
from falldet.live.store import connect_read_only
from falldet.synthetic import SCENES

pytestmark = pytest.mark.usefixtures("pose_model")
CANARY = "c4n@ry/value"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person who walks in, falls from 2.8 to 3.7 s and lies until 7 s."""
    scene = dataclasses.replace(SCENES["fall_left"](), duration_s=7.0)
    return encode(scene, tmp_path_factory.mktemp("service") / "fall.mp4")


def kinds(folder: Path) -> list[str]:
    with connect_read_only(folder) as database:
        return [row["kind"] for row in database.execute("SELECT kind FROM changes ORDER BY time, number")]


class Running:
    """`falldet live` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder, self.log = folder / "state", folder / "log"
        command = live_command(*arguments, "--state-dir", str(self.folder))
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, **environment})

    def wait_for(self, text: str, timeout_s: float = 40.0) -> None:
        wait_until(lambda: text in self.log.read_text() or self.process.poll() is not None, timeout_s, text)
        assert text in self.log.read_text(), self.log.read_text()

    def end(self, number: int = signal.SIGTERM) -> float:
        """Send a signal; return the seconds until the process has ended."""
        start_s = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - start_s


@pytest.fixture
def running(tmp_path: Path) -> Iterator[list[Running]]:
    processes: list[Running] = []
    yield processes
    for one in processes:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_live_finds_the_fall_of_a_file_and_ends(tmp_path: Path, clip: Path) -> None:
    done = subprocess.run(
        live_command(f"hall={clip}", "--fast", "--state-dir", str(tmp_path / "state")),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "FALL in hall" in done.stderr
    lines = [
        json.loads(line) for path in (tmp_path / "state").glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    assert [line["event"] for line in lines] == kinds(tmp_path / "state")
    assert lines[0]["event"] == "alert"
    assert lines[0]["kind"] == "fall"
    (path,) = (tmp_path / "state" / "clips").iterdir()
    recorded = read_clip(path)
    assert recorded["incident"] == lines[0]["incident"]
    assert len(recorded["frames"]) > 20
    with connect_read_only(tmp_path / "state") as database:
        assert [row["bytes"] > 0 for row in database.execute("SELECT bytes FROM files WHERE kind = 'clip'")] == [True]


@pytest.mark.skipif(not has_gstreamer(), reason="needs Debian's python3-gi and gir1.2-gst-rtsp-server-1.0")
def test_live_outlives_kill_and_stop_and_tells_no_secret(tmp_path: Path, clip: Path, running: list[Running]) -> None:
    with rtsp_server(f"fall={clip}", "--user", "watch", "--password", CANARY) as server:
        source = f"hall={server.address('fall', 'watch:{HALL_PASSWORD}')}"
        first = Running(tmp_path, source, "--debug", HALL_PASSWORD=CANARY)
        running.append(first)
        first.wait_for("FALL in hall")
        first.end(signal.SIGKILL)
        assert kinds(first.folder) == ["alert"]
        second = Running(tmp_path, source, "--debug", HALL_PASSWORD=CANARY)
        running.append(second)
        second.wait_for("falldet was started anew")
        second.wait_for("camera hall is live")
        server.kill()
        second.wait_for("camera hall is away")
        assert second.end() < 5.0
        assert second.process.returncode == 0
    with connect_read_only(second.folder) as database:
        (record,) = [json.loads(row["body"]) for row in database.execute("SELECT body FROM incidents")]
    assert record["state"] != "closed"
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for form in (CANARY, "c4n%40ry"):
        assert form.encode() not in everything
    assert b"Traceback" not in everything


def test_live_ends_at_ctrl_c_and_tells_systemd_that_it_is_alive(
    tmp_path: Path, clip: Path, running: list[Running]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        live = Running(tmp_path, f"hall={clip}", NOTIFY_SOCKET=str(tmp_path / "notify"))
        running.append(live)
        live.wait_for("watching hall")
        time.sleep(3.0)
        assert live.end(signal.SIGINT) < 5.0
        systemd.setblocking(False)
        said = [systemd.recv(200).decode().split("\n")[0] for _ in range(5)]
    assert live.process.returncode == 0
    assert said[0] == "READY=1"
    assert set(said[1:]) == {"WATCHDOG=1"}
    assert not [path for path in live.folder.rglob("*") if path.name.endswith(".part")]


def test_live_names_a_missing_model_in_one_sentence(tmp_path: Path, clip: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    command = live_command(str(clip), "--state-dir", str(tmp_path / "state"), "--cfg-options")
    for value in (f"recognizer.checkpoint={broken}", "movenet.checkpoint=nothing.tflite"):
        done = subprocess.run([*command, value], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("error: ")


def test_live_check_prints_a_table(tmp_path: Path, clip: Path) -> None:
    done = subprocess.run(live_command("--check", f"hall={clip}"), capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "640x480" in done.stdout
    done = subprocess.run(
        live_command("--check", f"hall={clip}", "gone=no.mp4"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no such file" in done.stdout


class Faulty(CameraWatch):
    """A watch that fails, or hangs, at its third frame, as often as is said."""

    faults: dict[str, int] = {}  # noqa: RUF012
    hang_s = 3.0
    taken = 0

    def take(self, time_s, image):
        self.taken += 1
        if self.taken == 3 and self.faults.get(self.camera, 0) > 0:
            self.faults[self.camera] -= 1
            if self.camera == "hangs":
                time.sleep(self.hang_s)
            raise RuntimeError("injected")
        return super().take(time_s, image)


def test_service_rebuilds_a_thread_that_dies_or_hangs_and_spares_the_others(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_camera, "STUCK_S", 1.5)
    Faulty.faults = {"dies": 1, "hangs": 1}
    config = read_live_config(None, [f"dies={clip}", f"hangs={clip}", f"good={clip}"])
    config = dataclasses.replace(
        config,
        state=dataclasses.replace(config.state, folder=str(tmp_path)),
        cameras=tuple(dataclasses.replace(camera, repeat=True) for camera in config.cameras),
    )
    service, stop = LiveService(config, make_watch=Faulty), threading.Event()
    thread = threading.Thread(target=service.run, args=(stop,), daemon=True)
    thread.start()
    try:
        follow_faults(service)
    finally:
        stop.set()
        thread.join(6.0)
    assert not thread.is_alive()


def follow_faults(service: LiveService) -> None:
    views = service.state
    wait_until(lambda: len(views.cameras) == 3 and all(view.processed for view in views.cameras.values()))
    dies, hangs, good = service.cameras
    wait_until(lambda: len(dies.rebuilt) == len(hangs.rebuilt) == 1, what="the rebuilding")
    wait_until(lambda: {incident.camera for incident in service.state.incidents} == {"dies", "hangs", "good"})
    assert not good.rebuilt
    assert service.state.health.alive
    Faulty.faults = {"dies": 5}
    dies.worker.watch.taken = 2  # type: ignore[union-attr]
    wait_until(lambda: not service.state.health.alive, what="the end of the watchdog")
    assert "was rebuilt twice" in service.state.health.reasons[0]
    assert all(incident.state is not IncidentState.CLOSED for incident in service.state.incidents)


def test_live_loads_no_torch() -> None:
    code = (
        "import sys; import falldet.live.service, falldet.cli.live; assert not {'torch', 'mmengine'} & set(sys.modules)"
    )
    subprocess.run([live_command()[0], "-c", code], check=True)
