"""The first half of the analysis: people in, window scores out."""

from __future__ import annotations

from collections.abc import Sequence

from scene_poses import FRAMES, IMAGE_HW, recognize, truth

from falldet.pipeline.scoring import TrackScorer
from falldet.stages.tracking import PoseTracker, TrackerSettings
from falldet.stages.windows import WindowBuffer, WindowSettings
from falldet.types import Window, WindowScore


def test_track_scorer_equals_its_stages_in_turn() -> None:
    scorer = TrackScorer(TrackerSettings(), WindowSettings(), recognize)
    tracker, buffer = PoseTracker(), WindowBuffer()
    found = 0
    for frame in FRAMES:
        people, scores = scorer.update(frame.time_s, truth(frame.index), IMAGE_HW)
        tracked = tracker.update(truth(frame.index), frame.time_s)
        assert people.track_ids.tolist() == tracked.track_ids.tolist()
        assert scores == recognize(buffer.push(frame.time_s, tracked, IMAGE_HW))
        found += len(scores)
    assert found > 30
    assert scorer.flush() == recognize(buffer.flush()) != []


def test_track_scorer_calls_the_recognizer_only_with_windows() -> None:
    batches: list[int] = []

    def counting(windows: Sequence[Window]) -> list[WindowScore]:
        batches.append(len(windows))
        return recognize(windows)

    counting.window_s = None  # type: ignore[attr-defined]
    scorer = TrackScorer(TrackerSettings(), WindowSettings(), counting)  # type: ignore[arg-type]
    for frame in FRAMES:
        scorer.update(frame.time_s, truth(frame.index), IMAGE_HW)
    assert 10 < len(batches) < len(FRAMES) / 4
    assert min(batches) > 0


def test_track_scorer_flush_forgets_all_tracks() -> None:
    scorer = TrackScorer(TrackerSettings(), WindowSettings(), recognize)
    runs = []
    for _ in range(2):
        runs.append([scorer.update(frame.time_s, truth(frame.index), IMAGE_HW)[1] for frame in FRAMES[:60]])
        runs[-1].append(scorer.flush())
    assert runs[0] == runs[1]
    assert scorer.flush() == []


def test_track_scorer_cuts_windows_of_the_recognizers_length() -> None:
    def of_four_seconds(windows: Sequence[Window]) -> list[WindowScore]:
        return recognize(windows)

    of_four_seconds.window_s = 4.0  # type: ignore[attr-defined]
    lengths = {}
    for own_s in (0.0, 3.0):
        scorer = TrackScorer(TrackerSettings(), WindowSettings(own_s), of_four_seconds)  # type: ignore[arg-type]
        scores = [score for f in FRAMES for score in scorer.update(f.time_s, truth(f.index), IMAGE_HW)[1]]
        lengths[own_s] = {round(score.stop_s - score.start_s, 6) for score in scores}
    assert lengths == {0.0: {4.0}, 3.0: {3.0}}
