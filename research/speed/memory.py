"""Peak memory of the demo on a one-minute and a ten-minute video: it must not grow with the length.

    python research/speed/memory.py [--minutes 1 60] [--checkpoint X.onnx]

The videos are the drawn sample, repeated. Each demo runs in a process of its own; its peak is what the operating system
says of the finished process (ru_maxrss).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from falldet.io.video import VideoWriter
from falldet.synthetic import sample_scene

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Write both videos, run the demo on each, print a table."""
    parser = argparse.ArgumentParser(description="Compare the demo's peak memory on a short and a long video.")
    parser.add_argument("--minutes", type=float, nargs=2, default=(1.0, 10.0), metavar=("SHORT", "LONG"))
    parser.add_argument("--checkpoint", help="recognizer instead of the shipped one")
    arguments = parser.parse_args()
    options = ["--checkpoint", arguments.checkpoint] if arguments.checkpoint else []
    images = [frame.image for frame in sample_scene().frames()]
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in arguments.minutes:
            video = Path(folder) / f"{minutes:g}_minutes.mp4"
            with VideoWriter(video, fps=25) as writer:
                for index in range(round(minutes * 60 * 25)):
                    writer.write(images[index % len(images)], index / 25)
            peak_mb, took_s = run_source([str(video), "--out-dir", str(Path(folder) / "out"), *options])
            peaks.append(peak_mb)
            sys.stdout.write(f"{minutes:5g} min   peak {peak_mb:7.1f} MB   {took_s:6.1f} s\n")
            sys.stdout.flush()
    sys.stdout.write(f"growth {peaks[1] - peaks[0]:+.1f} MB\n")


def run_source(arguments: list[str]) -> tuple[float, float]:
    """Return peak memory in MB and time in seconds of one run of tools/demo.py."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, ROOT / "tools" / "demo.py", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the demo failed with status {status}; run it by hand on {arguments[0]}")
    return usage.ru_maxrss / 1024, time.perf_counter() - started


if __name__ == "__main__":
    main()
