"""Does peak memory grow with the length of the video? The demo on one minute and on ten minutes of video.

    python -m research.speed.memory [--minutes 1 60] [--checkpoint X.onnx]

The videos are the rendered sample clip, repeated. Each demo runs in a process of its own; its peak memory is
`ru_maxrss` of the finished process. Prints both peaks and their difference.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from falldet.cli.process import EXIT_OK, run
from falldet.errors import FalldetError
from falldet.io.video_writer import VideoWriter
from falldet.synthetic import sample_scene
from research import ROOT

FPS = 25


def main() -> int:
    """Write both videos, run the demo on each, print the peaks."""
    parser = argparse.ArgumentParser(
        description="Compare the demo's peak memory on a short and a long video.",
        epilog="example: python -m research.speed.memory --minutes 1 60",
    )
    parser.add_argument(
        "--minutes", type=float, nargs=2, default=(1.0, 10.0), metavar=("SHORT", "LONG"), help="(default: 1 10)"
    )
    parser.add_argument("--checkpoint", help="recognizer instead of the shipped one")
    arguments = parser.parse_args()
    options = ["--checkpoint", arguments.checkpoint] if arguments.checkpoint else []
    images = [frame.image for frame in sample_scene().frames()]
    peaks = []
    with tempfile.TemporaryDirectory(prefix="falldet-memory-") as folder:
        for minutes in arguments.minutes:
            video = Path(folder) / f"{minutes:g}_minutes.mp4"
            with VideoWriter(video, fps=FPS) as writer:
                for index in range(round(minutes * 60 * FPS)):
                    writer.write(images[index % len(images)], index / FPS)
            peak_mb, took_s = run_demo([str(video), "--out-dir", str(Path(folder) / "out"), *options])
            peaks.append(peak_mb)
            sys.stdout.write(f"{minutes:5g} min   peak {peak_mb:7.1f} MB   {took_s:6.1f} s\n")
            sys.stdout.flush()
    sys.stdout.write(f"growth {peaks[1] - peaks[0]:+.1f} MB\n")
    return EXIT_OK


def run_demo(arguments: list[str]) -> tuple[float, float]:
    """Return peak memory in MB and time in seconds of one run of tools/demo.py; raises FalldetError where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, ROOT / "tools" / "demo.py", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise FalldetError(f"the demo failed with status {status}; run tools/demo.py {arguments[0]} by hand")
    return usage.ru_maxrss / 1024, time.perf_counter() - started


if __name__ == "__main__":
    run(main)
