"""Processor time per second of video, of all threads, decoding and pose estimation included."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from falldet.build import build_pose_source
from falldet.data.manifest import ClipRecord
from falldet.io.video import read_frames
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.stages.tracking import PoseTracker


def pipeline_compute(config: Config, clips: Sequence[ClipRecord]) -> float | None:
    """Return the processor seconds of the whole pipeline per second of the clips; None where there are none."""
    detector = FallDetector(config)

    def detect(video: Path) -> float:
        last_s = 0.0
        for result in detector.run(read_frames(video)):
            last_s = result.frame.time_s if result.frame else last_s
        return last_s

    return _per_second(detect, clips)


def tracking_compute(config: Config, clips: Sequence[ClipRecord]) -> float | None:
    """Return the processor seconds of poses and tracks of every frame per second of the clips; None without clips."""
    pose_source, tracker = build_pose_source(config.pose, config.movenet, config.topdown), PoseTracker(config.tracker)

    def track(video: Path) -> float:
        last_s = 0.0
        for frame in read_frames(video):
            last_s = frame.time_s
            tracker.update(pose_source.submit(frame.image).result(), last_s)
        tracker.reset()
        pose_source.reset()
        return last_s

    return _per_second(track, clips)


def _per_second(work: Callable[[Path], float], clips: Sequence[ClipRecord]) -> float | None:
    """Return the processor seconds of `work` per second of the clips; it returns the length of a video in seconds."""
    if not clips:
        return None
    started_s = time.process_time()
    length_s = sum(work(clip.path) for clip in clips)
    return (time.process_time() - started_s) / length_s
