"""A strip of frames around an alert, for reviewing it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from falldet.io.video import Rotation, read_frames
from falldet.types import Event
from falldet.visualization.overlay import RED, WHITE, draw_skeleton

STRIP_FRAMES = 5
STRIP_MARGIN_S = 1.0
"""A strip shows `STRIP_FRAMES` frames from this long before the onset to this long after the alert."""

STRIP_HEIGHT = 360


def draw_strip(
    video: Path, event: Event, time_s: np.ndarray, keypoints: np.ndarray, scores: np.ndarray, rotate: Rotation = 0
) -> np.ndarray:
    """Return (`STRIP_HEIGHT`, W, 3) uint8 BGR: frames around the alert that show the person, with skeleton and time.

    Args:
        video: the clip.
        event: the alert.
        time_s: (T,) times of the processed frames in seconds.
        keypoints: (T, K, 2) pixels, of the alarmed person.
        scores: (T, K); 0 where the person was not seen.
        rotate: degrees clockwise by which images are turned.

    Raises:
        FalldetError: the video can't be read.
    """
    first_s = max(event.start_s - STRIP_MARGIN_S, float(time_s[0]))
    last_s = min(event.alert_s + STRIP_MARGIN_S, float(time_s[-1]))
    seen = np.flatnonzero(scores.any(axis=1))
    moments = np.linspace(first_s, last_s, STRIP_FRAMES)
    wanted = [int(seen[np.argmin(np.abs(time_s[seen] - moment))]) for moment in moments]
    row_at = {round(float(time_s[row]), 3): row for row in wanted}
    tiles: dict[int, np.ndarray] = {}
    for frame in read_frames(video, rotate):
        row = row_at.get(round(frame.time_s, 3))
        if row is not None:
            image = frame.image.copy()
            draw_skeleton(image, keypoints[row], scores[row], RED, unit=max(image.shape[:2]) / 640)
            tiles[row] = _tile(image, f"{frame.time_s:.2f} s")
        if len(tiles) == len(row_at):
            break
    return np.hstack([tiles[row] for row in wanted])


def _tile(image: np.ndarray, text: str) -> np.ndarray:
    """Return `image` (H, W, 3) scaled to `STRIP_HEIGHT`, with `text` in its lower left corner."""
    width = max(1, round(image.shape[1] * STRIP_HEIGHT / image.shape[0]))
    tile = cv2.resize(image, (width, STRIP_HEIGHT), interpolation=cv2.INTER_AREA)
    for color, thickness in (((0, 0, 0), 4), (WHITE, 1)):
        cv2.putText(tile, text, (8, STRIP_HEIGHT - 10), cv2.FONT_HERSHEY_DUPLEX, 0.6, color, thickness, cv2.LINE_AA)
    return tile
