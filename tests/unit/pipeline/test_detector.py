"""The chain over frames: asked ahead or not, at full pace or less, the results are those of the plain order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.models import openvino as runtime
from falldet.models.checkpoints import find_checkpoint
from falldet.pipeline.detector import Pipeline, Seen, Settings
from falldet.pose.movenet import MoveNet
from falldet.stages.frame_sampling import SamplingSettings
from falldet.synthetic import SCENES
from falldet.types import Frame, People, Window, WindowScore

SCENE = replace(SCENES["fall_in_company"](), fps=30.0)
TIMES_S = np.arange(0, 6, 1 / SCENE.fps)
FRAMES = [Frame(i, float(t), np.full((2, 2, 3), i, np.uint8)) for i, t in enumerate(TIMES_S)]


@cache
def truth_of(index: int) -> People:
    return SCENE.truth(float(TIMES_S[index]))


class Plain:
    """A pose source that is only called."""

    def __call__(self, image: np.ndarray) -> People:
        return truth_of(int(image[0, 0, 0]))

    def reset(self) -> None:
        pass


truth = Plain()


class Waiting(Plain):
    """A pose source that can be asked ahead; counts what is on its way."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.on_their_way = self.most = 0

    def __call__(self, image: np.ndarray) -> People:
        raise AssertionError("must be asked by submit")

    def submit(self, image: np.ndarray) -> Callable[[], People]:
        self.asked.append(int(image[0, 0, 0]))
        self.on_their_way += 1
        self.most = max(self.most, self.on_their_way)
        copy = image.copy()

        def answer() -> People:
            self.on_their_way -= 1
            return truth(copy)

        return answer


def recognize(windows: list[Window]) -> list[WindowScore]:
    """A score that depends on all that a window holds."""
    return [
        WindowScore(w.track_id, w.start_s, w.stop_s, float(abs(np.sin(w.keypoints.sum() + w.time_s.sum()))))
        for w in windows
    ]


EVERY_FRAME, FIFTEEN = SamplingSettings(0), SamplingSettings(15, idle_fps=15, full_rate_hold_s=0)
WAKING, MOVING = replace(FIFTEEN, full_rate_threshold=0.9, full_rate_hold_s=0.3), replace(FIFTEEN, idle_fps=5)
DEFAULT = SamplingSettings()


def run(pose_source: Plain, pace: SamplingSettings = EVERY_FRAME, ahead: int = 0) -> list[Seen]:
    return list(Pipeline(Settings(pace=pace), recognize, pose_source).run(FRAMES, ahead))


def outcome(seen: list[Seen]) -> list[tuple]:
    return [
        (
            s.frame and s.frame.index,
            s.people.track_ids.tolist(),
            s.people.keypoints.tobytes(),
            s.scores,
            s.record,
            s.events,
            dict(s.current),
        )
        for s in seen
    ]


@pytest.mark.parametrize("ahead", [1, 2])
@pytest.mark.parametrize("pace", [EVERY_FRAME, FIFTEEN, WAKING, MOVING, DEFAULT])
def test_asking_ahead_changes_nothing(ahead: int, pace: SamplingSettings) -> None:
    source = Waiting()
    plain = run(truth, pace)
    assert outcome(run(source, pace, ahead)) == outcome(plain)
    assert source.most == min(ahead + 1, len(source.asked))
    assert source.on_their_way == 0
    assert sum(len(s.events) for s in plain) > 0
    assert sum(len(s.record) for s in plain) > 100


def test_while_little_moves_fewer_frames_are_looked_at() -> None:
    def looked(pace: SamplingSettings) -> int:
        source = Waiting()
        run(source, pace, ahead=0)
        return len(source.asked)

    assert looked(replace(MOVING, motion_threshold=10.0)) < 0.5 * looked(FIFTEEN)  # but at first, people being new
    assert 0.5 * looked(FIFTEEN) < looked(MOVING) < looked(FIFTEEN)


def test_every_frame_is_looked_at_while_somebody_may_be_falling() -> None:
    def suspicious(windows: list[Window]) -> list[WindowScore]:
        return [WindowScore(w.track_id, w.start_s, w.stop_s, 0.5 if 2.0 <= w.stop_s < 3.0 else 0.0) for w in windows]

    source = Waiting()
    list(Pipeline(Settings(pace=replace(FIFTEEN, full_rate_hold_s=1.0)), suspicious, source).run(FRAMES, ahead=2))
    awake = range(61, 113)  # from the look at 2.0 s on until one second after that at 2.77 s
    odd = [index for index in source.asked if index % 2 == 1 and index < len(FRAMES) - 1]
    assert odd == [index for index in awake if index % 2 == 1]


def test_a_result_comes_as_soon_as_its_people_are_known() -> None:
    source = Waiting()
    given: list[int] = []

    def frames():
        for frame in FRAMES:
            given.append(frame.index)
            yield frame

    for seen in Pipeline(Settings(pace=FIFTEEN), recognize, source).run(frames(), ahead=0):
        if seen.frame is not None:
            assert seen.frame.index >= given[-1] - (seen.frame.index % 2)  # frames between wait for the next
    assert len(given) == len(FRAMES)


def test_between_poses_people_stay_and_every_frame_keeps_its_row() -> None:
    source = Waiting()
    seen = run(source, FIFTEEN, ahead=2)
    assert source.asked == [*range(0, len(FRAMES), 2), len(FRAMES) - 1]
    for before, between in zip(seen[:-3:2], seen[1:-3:2], strict=True):
        assert between.people is before.people
        assert (between.events, between.scores) == ([], [])
        assert between.current == before.current
    rows = [(score.track_id, score.frame_index) for s in seen for score in s.record]
    assert len(set(rows)) == len(rows)
    assert {index for track_id, index in rows if track_id == 1} == set(range(2, len(FRAMES)))


def test_after_one_source_the_next_starts_afresh() -> None:
    pipeline = Pipeline(Settings(pace=FIFTEEN), recognize, truth)
    first = outcome(list(pipeline.run(FRAMES[:121])))
    assert outcome(list(pipeline.run(FRAMES[:121]))) == first


@pytest.fixture
def movenet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], MoveNet]:
    """Makes pose sources whose compiled models are kept in a folder of the test's own."""
    try:
        path = find_checkpoint("movenet_multipose")
    except FalldetError as error:
        pytest.skip(f"needs the pose model: {error}")
    monkeypatch.setenv("FALLDET_CHECKPOINTS", str(path.parent))
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path))
    return MoveNet


def as_bytes(people: People) -> tuple[bytes, ...]:
    return people.keypoints.tobytes(), people.scores.tobytes(), people.boxes.tobytes(), people.box_scores.tobytes()


def test_images_on_their_way_together_do_not_disturb_each_other(movenet: Callable[[], MoveNet]) -> None:
    images = [frame.image for frame in islice(replace(SCENE, fps=1.0).frames(), 5)]
    images[3] = images[3][:200]  # another shape in between
    source = movenet()
    plain = [as_bytes(source(image)) for image in images]
    assert len(set(plain)) == len(images)
    answers = []
    for image in images:
        scratch = image.copy()
        answers.append(source.submit(scratch))
        scratch[:] = 0  # what happens to the image afterwards doesn't matter
    assert [as_bytes(answer()) for answer in reversed(answers)] == plain[::-1]


def test_a_model_from_the_cache_answers_the_same_and_a_spoilt_one_is_made_anew(
    movenet: Callable[[], MoveNet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = next(iter(SCENE.frames())).image
    fresh = as_bytes(movenet()(image))
    (kept,) = (tmp_path / "compiled").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(runtime.openvino_core(), "compile_model", None, raising=False)
        assert as_bytes(movenet()(image)) == fresh
    kept.write_bytes(b"no model")
    assert as_bytes(movenet()(image)) == fresh
    assert kept.stat().st_size > 1000


def test_a_cache_that_cannot_be_written_is_done_without(
    movenet: Callable[[], MoveNet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "file"))
    image = next(iter(SCENE.frames())).image
    assert len(movenet()(image)) >= 1
