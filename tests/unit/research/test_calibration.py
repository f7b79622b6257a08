"""Made-up probabilities have the known temperature and calibration error; windows are labeled as in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmaction", reason="needs OpenMMLab (`make install`)")

from falldet.data.manifest import ClipRecord, FallInterval
from falldet.evaluation.replay import ReplayedClip, ReplayedFrame
from falldet.openmmlab.config import load_config
from falldet.stages.posture import read_postures
from falldet.stages.windows import WindowBuffer, label_windows
from falldet.types import People, Window, WindowScore
from research.accuracy.calibration import (
    CLASS_WEIGHT,
    CLEAR_OVERLAP,
    FALL_OVERLAP,
    Scaling,
    calibration_error,
    fitted,
    labelled_windows,
    reliability,
    rescored,
)
from research.accuracy.training_folds import ROOT

FRAMES, HW = 120, (100, 100)
TIMES = np.arange(FRAMES) / 20


def drawn(count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are true, and what came of them."""
    rng = np.random.default_rng(0)
    fall = rng.uniform(0.02, 0.98, count)
    return fall, rng.random(count) < fall


def clip(tracks: dict[int, slice], fall: tuple[float, float], scores: Sequence[WindowScore] = ()) -> ReplayedClip:
    """A clip of six seconds in which each track is seen in some of the frames."""
    frames = []
    for index, time_s in enumerate(TIMES):
        ids = [track_id for track_id, seen in tracks.items() if index in range(*seen.indices(FRAMES))]
        joints = np.ones((len(ids), 17))
        people = People(
            joints[..., None] * [10.0, 20.0], joints, np.ones((len(ids), 4)), np.ones(len(ids)), np.array(ids)
        )
        postures = read_postures(people.keypoints, people.scores, HW)
        frames.append(ReplayedFrame(float(time_s), people, postures, []))
    return ReplayedClip(
        ClipRecord(Path("clip.mp4"), 1, "somebody", "val", (FallInterval(*fall, True),)), frames, list(scores)
    )


def scored(observed: ReplayedClip) -> ReplayedClip:
    """The clip with the windows that the live chain cuts, each with the probability 0.9."""
    buffer = WindowBuffer()

    def scores(windows: list[Window]) -> list[WindowScore]:
        return [WindowScore(window.track_id, window.start_s, window.stop_s, 0.9) for window in windows]

    frames = [
        replace(frame, window_scores=scores(buffer.push(frame.time_s, frame.people, HW))) for frame in observed.frames
    ]
    return replace(observed, frames=frames, rest=scores(buffer.flush()))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_again(temperature: float) -> None:
    fall, truth = drawn()
    assert fitted(Scaling(1 / temperature)(fall), truth).temperature == pytest.approx(temperature, rel=0.05)


def test_a_weight_multiplies_the_odds() -> None:
    np.testing.assert_allclose(Scaling(weight=3.0)(np.array([0.75, 0.5])), [0.5, 0.25])
    fall, truth = drawn()
    weighted = 3 * fall / (3 * fall + 1 - fall)
    assert fitted(weighted, truth, 3.0).temperature == pytest.approx(1, rel=0.05)


def test_weight_and_overlaps_are_those_of_training() -> None:
    config = load_config(ROOT / "configs" / "stgcn_fall_best.py")
    once, more = config.model.cls_head.loss_cls.class_weight
    assert more / once == CLASS_WEIGHT
    window = config.val_dataloader.dataset.window
    assert (window.fall_overlap, window.clear_overlap) == (FALL_OVERLAP, CLEAR_OVERLAP)


def test_the_calibration_error_is_the_gap() -> None:
    fall, truth = drawn()
    assert calibration_error(reliability(fall, truth)) < 0.02
    sure = np.where(np.arange(1000) % 2, 0.95, 0.05)
    truth = np.where(sure > 0.5, np.arange(1000) % 20 < 15, np.arange(1000) % 20 < 5)
    gap = abs(0.95 - truth[sure > 0.5].mean()) / 2 + abs(0.05 - truth[sure < 0.5].mean()) / 2
    assert calibration_error(reliability(sure, truth)) == pytest.approx(gap)


def test_certainty_falls_into_the_last_bin() -> None:
    bins = reliability(np.array([0.0, 1.0]), np.array([False, True]))
    assert (bins["windows"][0], bins["windows"][-1], bins["falls"][-1]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("stop_s", "first_or_last_s", "label"),
    [
        (2.17, 2.15, False),
        (2.22, 2.2, None),
        (2.47, 2.45, None),
        (2.52, 2.5, True),
        (4.48, 2.5, True),
        (4.53, 2.55, None),
        (4.78, 2.8, None),
        (4.83, 2.85, False),
    ],
)
def test_windows_are_labelled_by_their_share_of_the_fall(
    stop_s: float, first_or_last_s: float, label: bool | None
) -> None:
    seen_s = [time_s for time_s in TIMES if stop_s - 2 <= time_s < stop_s]
    assert first_or_last_s in (seen_s[0], seen_s[-1])
    score = WindowScore(1, stop_s - 2, stop_s, 0.9)
    expected = [] if label is None else [(score, label)]
    assert labelled_windows(clip({1: slice(FRAMES)}, (2.0, 3.0), [score])) == expected


def test_only_who_falls_has_windows_with_a_fall() -> None:
    tracks = {1: slice(FRAMES), 2: slice(80), 3: slice(70, FRAMES)}
    early, late = (0.5, 2.5), (2.0, 4.0)
    scores = [WindowScore(track_id, *span, 0.9) for track_id in tracks for span in (early, late)]
    scores = [score for score in scores if (score.track_id, score.stop_s) != (3, 2.5)]
    windows = labelled_windows(clip(tracks, (2.4, 3.4), scores))
    assert [(score.track_id, score.stop_s, is_fall) for score, is_fall in windows] == [
        (1, 2.5, False),
        (1, 4.0, True),
        (2, 2.5, False),
        (3, 4.0, False),
    ]


def test_the_labels_are_those_of_training() -> None:
    tracks = {9: slice(40, FRAMES), 11: slice(30, 85), 7: slice(38)}  # who falls, a bystander, the first one before
    fall, shape = (1.2, 2.2), (len(tracks), FRAMES, 17)
    joint_scores = np.zeros(shape)
    for row, seen in enumerate(tracks.values()):
        joint_scores[row, seen] = 1
    annotation = {
        "frame_dir": "clip",
        "keypoint": np.full((*shape, 2), 10.0),
        "keypoint_score": joint_scores,
        "time_s": TIMES,
        "fall_intervals": [fall],
        "img_shape": HW,
        "original_shape": HW,
    }
    names = {
        f"clip@{list(tracks).index(score.track_id)}@{score.stop_s:.2f}": is_fall
        for score, is_fall in labelled_windows(scored(clip(tracks, fall)))
    }
    assert names == {
        sample["frame_dir"]: bool(sample["label"]) for sample in label_windows(annotation, fall_overlap=FALL_OVERLAP)
    }
    assert {name[:7] for name, is_fall in names.items() if is_fall} == {"clip@2@"}


def test_every_window_of_a_clip_is_scaled() -> None:
    before = scored(clip({1: slice(FRAMES)}, (2.0, 3.0)))
    after = rescored(before, Scaling(temperature=2.0))
    assert {score.fall for score in before.window_scores} == {0.9}
    np.testing.assert_allclose([score.fall for score in after.window_scores], 0.75)  # odds of 9 become 3
