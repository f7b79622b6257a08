"""Fall alerts of neura-fall-detection 0.1.0 on video files, through its public interface and with its own settings.

    python3 -m venv work_dirs/peers/neura
    work_dirs/peers/neura/bin/python -m pip install -r research/peers/requirements.txt
    echo '["videos/a.mp4"]' | work_dirs/peers/neura/bin/python research/peers/neura_events.py > alerts.json

It runs in that environment and imports nothing of falldet. The input is a JSON list of videos, the output a JSON object
with one entry a video: `alerts_s`, `duration_s`, and in seconds what it took, `cpu_s` and `wall_s`, decoding included.

What is called, after the package's README and its `nfd webcam` command:
- `NFDModel()`, bundled model and default settings (4 threads, pose score from 0.18), a new one for each video, because
  it has no reset; making it is not counted in the times.
- `process(frame, timestamp=seconds)` on every frame that begins a new eighth of a second: "the target rate is around 8
  processed frames per second" and "for a saved video, send its video time". `--every-frame` gives it all frames.
- an alert is `result.new_fall_events`, what its webcam command prints as an event. It comes after 0.6 to 1.5 s in the
  fallen posture. A clip may end before that, so `--hold-s 1.5` shows it the last picture for that long; an alert during
  it gets the time of the clip's end, as falldet's own last decision does. On the val split of the development data
  neither option finds another fall: 9 right, 6 missed, 6 false as it comes and held, 5 false with all frames, at four
  times the work.
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
        epilog="example: echo '[\"videos/a.mp4\"]' | python research/peers/neura_events.py",
    )
    parser.add_argument("--hold-s", type=float, default=0.0, help="show the last picture so long after the end")
    parser.add_argument("--every-frame", action="store_true", help="all frames, not eight a second")
    arguments = parser.parse_args()
    rate_hz = np.inf if arguments.every_frame else RATE_HZ
    try:
        videos = json.load(sys.stdin)
    except json.JSONDecodeError as error:
        raise SystemExit(f"error: standard input is no JSON list of videos ({error}); see --help") from None
    answers = {}
    for video in videos:
        answers[video] = watch(video, rate_hz, arguments.lying_hold_s)
        sys.stderr.write(f"{video}: {answers[video]['alerts_s']}\n")
    json.dump(answers, sys.stdout, indent=1)


def watch(video: str, rate_hz: float, lying_hold_s: float) -> dict[str, Any]:
    """Return the alerts of one video and what they cost."""
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
    for moment_s in last_s + np.arange(1, lying_hold_s * RATE_HZ + 1) / RATE_HZ:
        alerts_s += [last_s] * len(model.process(image, timestamp=float(moment_s)).new_fall_events)
    return {"alerts_s": alerts_s, "duration_s": last_s, **cost}


def read_frames(video: str) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the time in seconds and the image (H, W, 3) uint8 BGR of each frame."""
    capture = cv2.VideoCapture(video)
    number, fps = 0, capture.get(cv2.CAP_PROP_FPS) or 30.0
    while True:
        read, image = capture.read()
        if not read:
            break
        yield number / fps, image
        number += 1
    capture.release()


if __name__ == "__main__":
    main()
