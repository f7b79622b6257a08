"""Does the service stay up while everything outside is restarted, and does it miss a fall that no cut hid?

    python -m research.speed.live_soak --minutes 10

Runs `falldet live` in a process of its own on two RTSP streams with falls. In turn every 45 s: the server is killed and
back after 5 s, frozen for 12 s, the service gets SIGTERM and starts again, the service is killed and starts again.
Prints the falls told and missed, memory, threads and handles at the first and last minute of each process, and every
line of the log above INFO that is no alert and no state of a camera.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from falldet.cli.process import EXIT_OK, run
from research import ROOT, WORK_DIRS
from research.speed.live_video import RtspServer, falls_video

EVERY_S = 45.0
SAMPLE_S = 5.0
CAMERAS = ("one", "two")
CUT_S = 5.0
"""A fall within this time of a cut counts as hidden by it."""


@dataclass(slots=True)
class Soak:
    """The service under test, its server, and what was seen of both."""

    server: RtspServer
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    samples: list[list[tuple[float, int, int]]] = field(default_factory=list)  # a process each: MB, threads, handles

    @property
    def log(self) -> Path:
        """The log of all processes."""
        return self.folder / "log"

    def start(self) -> None:
        """Start the service."""
        sources = [f"{name}={self.server.address(number)}" for number, name in enumerate(CAMERAS)]
        command = [sys.executable, str(ROOT / "tools" / "live.py"), *sources, "--state-dir", str(self.folder / "state")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.samples.append([])

    def sample(self) -> None:
        """Note memory, threads and handles."""
        if self.process is None or self.process.poll() is not None:
            return
        folder = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
        handles = len(os.listdir(folder / "fd"))
        self.samples[-1].append((int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), handles))

    def end(self, number: int) -> None:
        """Send a signal to the service and wait."""
        assert self.process is not None
        begun_s = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(30)
        tell(f"signal {number}: ended with {code} in {time.monotonic() - begun_s:.1f} s")

    def kill_server(self) -> None:
        """Kill the server, and start it after 5 s."""
        self.server.kill()
        time.sleep(5)
        self.server.start()

    def freeze_server(self) -> None:
        """Stop the server for 12 s."""
        assert self.server.process is not None
        os.kill(self.server.process.pid, signal.SIGSTOP)
        time.sleep(12)
        os.kill(self.server.process.pid, signal.SIGCONT)

    def restart(self) -> None:
        """End the service by SIGTERM and start it."""
        self.end(signal.SIGTERM)
        self.start()

    def crash(self) -> None:
        """Kill the service and start it."""
        self.end(signal.SIGKILL)
        self.start()


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=WORK_DIRS / "live" / "soak")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    video, descents = falls_video(4)
    soak = Soak(RtspServer(video), arguments.folder)
    soak.server.start()
    soak.start()
    try:
        run_for(soak, 60 * arguments.minutes)
        soak.end(signal.SIGTERM)
    finally:
        soak.server.kill()
        if soak.process is not None and soak.process.poll() is None:
            soak.process.kill()
    report(soak, descents)
    return EXIT_OK


def run_for(soak: Soak, seconds: float) -> None:
    """Let the service run, with a fault every 45 s."""
    faults: list[Callable[[], None]] = [soak.kill_server, soak.freeze_server, soak.restart, soak.crash]
    begun_s, done = time.monotonic(), 0
    while time.monotonic() - begun_s < seconds:
        time.sleep(SAMPLE_S)
        soak.sample()
        if time.monotonic() - begun_s > (done + 1) * EVERY_S:
            fault = faults[done % len(faults)]
            tell(f"{time.monotonic() - begun_s:.0f} s: {fault.__name__}")
            fault()
            done += 1


def report(soak: Soak, descents: list[tuple[float, float]]) -> None:
    """Print what the log and the changes say."""
    lines = soak.log.read_text(encoding="utf-8").splitlines()
    changes = [json.loads(line) for path in (soak.folder / "state").glob("*.jsonl") for line in path.open()]
    told = {name: sorted(_fall_times(changes, name)) for name in CAMERAS}
    expected = missed = 0
    for name in CAMERAS:
        for live_s, gone_s in live_spans(lines, name):
            for start_s, stop_s in descents:
                if live_s + start_s - CUT_S > live_s and live_s + stop_s + CUT_S < gone_s:
                    expected += 1
                    if not any(-2 <= at_s - live_s - stop_s <= 4 for at_s in told[name]):
                        missed += 1
                        tell(f"missed in {name}: {datetime.fromtimestamp(live_s + stop_s)}")
    tell(f"{expected} falls that no cut hid, {missed} missed; {sum(map(len, told.values()))} alerts and further falls")
    for samples in soak.samples:
        if len(samples) > 3:
            tell(f"process: MB, threads, handles from {samples[2]} to {samples[-1]}")
    for line in lines:
        if (" ERROR " in line or " CRITICAL " in line or "Traceback" in line or " WARNING " in line) and not any(
            word in line for word in ("FALL", "camera one is", "camera two is", "again in", "long lie in")
        ):
            tell(f"log: {line}")


def live_spans(lines: list[str], camera: str) -> list[tuple[float, float]]:
    """Return from when to when a camera was live, in seconds of the epoch, by the log."""
    spans: list[tuple[float, float]] = []
    live_s, last_s = None, 0.0
    for line in lines:
        try:
            last_s = datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()
        except ValueError:
            continue
        if f"camera {camera} is live" in line and live_s is None:
            live_s = last_s
        elif live_s is not None and (f"camera {camera} is" in line or "watching one, two" in line or "stopped" in line):
            spans.append((live_s, last_s))
            live_s = None
    return [*spans, (live_s, last_s)] if live_s else spans


def _fall_times(changes: list[dict], camera: str) -> list[float]:
    kinds = ("alert", "again", "seen_again")
    chosen = [change for change in changes if change["camera"] == camera and change["event"] in kinds]
    return [datetime.fromisoformat(change["time"]).timestamp() for change in chosen]


def tell(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    run(main)
