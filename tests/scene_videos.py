"""Synthetic scenes as video files, and the events that the demo writes for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from falldet.io.video_writer import VideoWriter
from falldet.synthetic import Scene


def render(scene: Scene, path: Path) -> Path:
    """Write a scene as a video file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps=scene.fps) as writer:
        for frame in scene.frames():
            writer.write(frame.image, frame.time_s)
    return path


def last_events(out_dir: Path) -> list[dict[str, Any]]:
    """Return each event as its last line in events.jsonl tells it."""
    lines = (out_dir / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return list({event["id"]: event for event in map(json.loads, lines)}.values())
