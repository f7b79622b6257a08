"""Prefetching of pose estimation: the same results as without it, few inferences in flight, wrong forecasts dropped."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
from scene_poses import FRAMES, ScenePoses, ThreadedScenePoses, outcome, recognize, truth

from falldet.errors import FalldetError
from falldet.pipeline.config import Config
from falldet.pipeline.detector import FallDetector
from falldet.pipeline.prefetch import LOOKAHEAD_FRAMES, PosePrefetcher
from falldet.stages.frame_sampling import FrameSampler, SamplingSettings
from falldet.types import Frame, People

EVERY_FRAME = SamplingSettings(0)
FIXED_RATE = SamplingSettings(15, idle_fps=15, full_rate_hold_s=0)
FULL_RATE_AFTER_SCORES = replace(FIXED_RATE, full_rate_threshold=0.9, full_rate_hold_s=0.3)
BY_MOTION = replace(FIXED_RATE, idle_fps=5)
SAMPLINGS = {
    "every frame": EVERY_FRAME,
    "fixed rate": FIXED_RATE,
    "full rate after scores": FULL_RATE_AFTER_SCORES,
    "by motion": BY_MOTION,
    "default": SamplingSettings(),
    "slow": SamplingSettings(3, idle_fps=1, full_rate_hold_s=0),
}


@pytest.mark.parametrize("prefetch", [1, 2, 5])
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_pose_prefetcher_gives_the_results_of_the_plain_order(prefetch: int, sampling: SamplingSettings) -> None:
    config = Config(sampling=sampling)
    plain = list(FallDetector(config, recognize, ScenePoses()).run(FRAMES))
    source = ThreadedScenePoses()
    assert outcome(list(FallDetector(config, recognize, source).run(FRAMES, prefetch))) == outcome(plain)
    assert len(source.submitted) == len(set(source.submitted)), "no frame is estimated twice"
    assert sum(len(result.events) for result in plain) > 0 or sampling.active_fps == 3
    assert sum(len(result.final_scores) for result in plain) > 100


def states(sampling: SamplingSettings, source: ScenePoses, prefetch: int, moving: bool) -> Iterator[tuple[Frame, bool]]:
    """Yield each frame and whether it was processed, in a sampler that is updated with motion or without."""
    sampler = FrameSampler(sampling)
    for frame, future in PosePrefetcher(sampler, source, prefetch).run(FRAMES):
        if future is not None:
            assert future.result() is truth(frame.index)
            sampler.update(frame.time_s, 1.0 if moving else 0.0, [])
        yield frame, future is not None


@pytest.mark.parametrize("prefetch", [0, 1, 2, 5])
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_pose_prefetcher_has_no_more_than_one_and_prefetch_in_flight(prefetch: int, sampling: SamplingSettings) -> None:
    source, most = ThreadedScenePoses(), 0
    for frame, _ in states(sampling, source, prefetch, moving=True):
        in_flight = [index for index in source.submitted if index >= frame.index]  # those before have been taken
        most = max(most, len(in_flight))
    assert most <= prefetch + 1
    if sampling is EVERY_FRAME:
        assert most == prefetch + 1


@pytest.mark.parametrize("moving", [False, True])
def test_pose_prefetcher_drops_a_wrong_forecast(moving: bool) -> None:
    """Until the first update the sampler forecasts the active rate; without motion the idle rate comes true."""
    source = ThreadedScenePoses()
    processed = [frame.index for frame, process in states(BY_MOTION, source, 4, moving) if process]
    plain = [frame.index for frame, process in states(BY_MOTION, ScenePoses(), 0, moving) if process]
    assert processed == plain
    wrong = set(source.submitted) - set(processed)
    assert set(processed) <= set(source.submitted)
    assert bool(wrong) is not moving
    assert len(wrong) <= 4


def test_pose_prefetcher_estimates_every_frame_in_its_turn_where_the_pose_source_has_state() -> None:
    source = ScenePoses()
    assert source.max_in_flight == 1
    for frame, process in states(BY_MOTION, source, 4, moving=False):
        assert (source.submitted[-1] == frame.index) is process


@pytest.mark.parametrize(("prefetch", "advance"), [(0, 1), (1, LOOKAHEAD_FRAMES), (5, LOOKAHEAD_FRAMES)])
def test_pose_prefetcher_reads_few_frames_in_advance(prefetch: int, advance: int) -> None:
    read: list[int] = []

    def frames() -> Iterator[Frame]:
        for frame in FRAMES:
            read.append(frame.index)
            yield frame

    sampler = FrameSampler(replace(BY_MOTION, idle_fps=1))
    for frame, future in PosePrefetcher(sampler, ThreadedScenePoses(), prefetch).run(frames()):
        assert read[-1] - frame.index <= advance
        if future is not None:
            sampler.update(frame.time_s, 0.0, [])
    assert len(read) == len(FRAMES)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_pose_prefetcher_raises_an_error_at_its_frame(prefetch: int) -> None:
    class Failing(ThreadedScenePoses):
        def submit(self, image: np.ndarray) -> Future[People]:
            future = super().submit(image)
            if self.submitted[-1] == 3:
                future = Future()
                future.set_exception(FalldetError("no such device"))
            return future

    results = FallDetector(Config(sampling=EVERY_FRAME), recognize, Failing()).run(FRAMES, prefetch)
    assert [next(results).frame.index for _ in range(3)] == [0, 1, 2]  # type: ignore[union-attr]
    with pytest.raises(FalldetError, match="no such device"):
        next(results)
