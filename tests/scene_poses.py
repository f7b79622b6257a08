"""True poses of a synthetic scene for tests: its frames, a pose source that estimates them, and a recognizer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np

from falldet.pipeline.result import FrameResult
from falldet.pose.source import completed
from falldet.synthetic import SCENES
from falldet.types import Frame, People, Window, WindowScore

SCENE = replace(SCENES["fall_in_company"](), fps=30.0)
TIMES_S = np.arange(0, 6, 1 / SCENE.fps)
IMAGE_HW = (2, 2)
FRAMES = [Frame(i, float(t), np.full((*IMAGE_HW, 3), i, np.uint8)) for i, t in enumerate(TIMES_S)]
"""Tiny frames: each pixel holds the index of the frame, from which the pose source knows the time."""


@cache
def truth(index: int) -> People:
    """The true people of a frame."""
    return SCENE.truth(float(TIMES_S[index]))


class ScenePoses:
    """Pose source of the true people, in the calling thread; stores the indices of the submitted frames."""

    max_in_flight = 1

    def __init__(self) -> None:
        self.submitted: list[int] = []

    def submit(self, image: np.ndarray) -> Future[People]:
        self.submitted.append(int(image[0, 0, 0]))
        return completed(truth(self.submitted[-1]))

    def reset(self) -> None:
        pass


class ThreadedScenePoses(ScenePoses):
    """Pose source of the true people, in two threads that take longer for some frames than for others."""

    max_in_flight = 2

    def __init__(self) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(2)

    def submit(self, image: np.ndarray) -> Future[People]:
        self.submitted.append(int(image[0, 0, 0]))
        return self._pool.submit(self._estimate, self.submitted[-1])

    def _estimate(self, index: int) -> People:
        time.sleep(0.002 * (index % 3 == 0))
        return truth(index)


def recognize(windows: Sequence[Window]) -> list[WindowScore]:
    """Recognizer whose scores depend on every value of a window."""
    return [
        WindowScore(w.track_id, w.start_s, w.stop_s, float(abs(np.sin(w.keypoints.sum() + w.time_s.sum()))))
        for w in windows
    ]


def recognize_nothing(windows: Sequence[Window]) -> list[WindowScore]:
    """Recognizer that scores every window 0."""
    return [WindowScore(w.track_id, w.start_s, w.stop_s, 0.0) for w in windows]


for each in (recognize, recognize_nothing):  # as a `WindowRecognizer` has them
    each.normalization, each.frames, each.window_s = "image", 48, None  # type: ignore[attr-defined]


def outcome(results: Sequence[FrameResult], frames: bool = True) -> list[tuple]:
    """Everything in the results that can be compared; without the frames if `frames` is False."""
    return [
        (
            result.frame and result.frame.index if frames else None,
            result.people.track_ids.tolist(),
            result.people.keypoints.tobytes(),
            result.window_scores,
            result.scores,
            result.final_scores,
            result.events,
            dict(result.active_events),
        )
        for result in results
    ]
