"""Fall alerts of neura-fall-detection 0.1.0 on video files, through its public interface and with its own settings.

    python3 -m venv work_dirs/peers/neura
    work_dirs/peers/neura/bin/python -m pip install -r research/peers/requirements_neura.txt
    echo '["videos/a.mp4"]' | work_dirs/peers/neura/bin/python -m research.peers.neura_events > alerts.json

Runs in that environment and imports nothing of falldet. Reads a JSON list of videos from standard input. Writes a JSON
object with one entry per video to standard output: `alerts_s`, `duration_s`, `cpu_s` and `wall_s`, all in seconds; the
last two include decoding.

The calls follow the package's README and its `nfd webcam` command:
- `NFDModel()` with the bundled model and the default settings (4 threads, pose score from 0.18), a new one per video,
  because it has no reset. Its construction is not timed.
- `process(frame, timestamp=seconds)` on the first frame of every eighth of a second: "the target rate is around 8
  processed frames per second" and "for a saved video, send its video time". `--every-frame` processes all frames.
- An alert is an entry of `result.new_fall_events`, which its webcam command prints as an event. It comes after 0.6 to
  1.5 s in the fallen posture. A clip may end before that: `--hold-s 1.5` repeats the last frame for that long, and an
  alert during the repetition gets the time of the clip's end.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from neura_fall_detection import NFDModel

RATE_HZ = 8.0


def main() -> None:
    """Read the list of videos from standard input and write the alerts to standard output."""
    parser = argparse.ArgumentParser(
        description="Fall alerts of neura-fall-detection on videos: a JSON list in, a JSON object out.",
        epilog="example: echo '[\"videos/a.mp4\"]' | python -m research.peers.neura_events",
    )
    parser.add_argument("--hold-s", type=float, default=0.0, help="repeat the last frame for so long (default: 0)")
    parser.add_argument("--every-frame", action="store_true", help="process all frames instead of eight per second")
    arguments = parser.parse_args()
    rate_hz = np.inf if arguments.every_frame else RATE_HZ
    try:
        videos = json.load(sys.stdin)
    except json.JSONDecodeError as error:
        raise SystemExit(f"error: standard input is no JSON list of videos ({error}); see --help") from None
    answers = {}
    for video in videos:
        answers[video] = detect(video, rate_hz, arguments.hold_s)
        sys.stderr.write(f"{video}: {answers[video]['alerts_s']}\n")
    json.dump(answers, sys.stdout, indent=1)


def detect(video: str, rate_hz: float, hold_s: float) -> dict[str, Any]:
    """Return the alerts of one video and their cost.

    Args:
        video: path of the file.
        rate_hz: processed frames per second of video; infinite for all.
        hold_s: how long the last frame is repeated, seconds.
    """
    model = NFDModel()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    alerts_s: list[float] = []
    slot, image, last_s = -1, None, 0.0
    for last_s, image in read_frames(video):
        if np.isinf(rate_hz) or int(last_s * rate_hz + 1e-6) > slot:
            slot = int(last_s * rate_hz + 1e-6) if np.isfinite(rate_hz) else slot
            alerts_s += [last_s] * len(model.process(image, timestamp=last_s).new_fall_events)
    cost = {"cpu_s": time.process_time() - cpu_s, "wall_s": time.perf_counter() - wall_s}
    if image is None:
        raise SystemExit(f"error: {video} can't be read as a video; leave it out of the list")
    for time_s in last_s + np.arange(1, hold_s * RATE_HZ + 1) / RATE_HZ:
        alerts_s += [last_s] * len(model.process(image, timestamp=float(time_s)).new_fall_events)
    return {"alerts_s": alerts_s, "duration_s": last_s, **cost}


def read_frames(video: str) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the time in seconds and the image (H, W, 3) uint8 BGR of each frame."""
    capture = cv2.VideoCapture(video)
    index, fps = 0, capture.get(cv2.CAP_PROP_FPS) or 30.0
    while True:
        read, image = capture.read()
        if not read:
            break
        yield index / fps, image
        index += 1
    capture.release()


if __name__ == "__main__":
    main()
