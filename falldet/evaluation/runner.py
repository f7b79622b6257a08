"""The event-level evaluation over many clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from falldet.data.manifest import ClipRecord, check_times
from falldet.errors import FalldetError
from falldet.evaluation.error_analysis import ErrorAnalysis, analyze_errors
from falldet.evaluation.matching import ClipResult
from falldet.evaluation.metrics import EventMetrics, compute_metrics
from falldet.evaluation.replay import evaluate_clip, replay_clip
from falldet.extraction.pose_cache import pose_cache
from falldet.pipeline.analyzer import load_recognizer
from falldet.pipeline.config import Config
from falldet.runtime.parallel import map_clips


@dataclass(frozen=True, slots=True)
class ClipEvaluation:
    """Evaluation of one clip.

    Attributes:
        result: events and their match at the configured alert threshold.
        analysis: causes of its errors.
        at_thresholds: events and their match at each further alert threshold.
    """

    result: ClipResult
    analysis: ErrorAnalysis
    at_thresholds: list[ClipResult]


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """The evaluation of one clip after the other; a `falldet.runtime.parallel.ClipTask`.

    Attributes:
        config: the configuration of the pipeline.
        thresholds: further alert thresholds at which clips are evaluated.
        cache: folder of the cached poses.
    """

    config: Config
    thresholds: tuple[float, ...]
    cache: Path

    def load(self, stop_if_asked: Callable[[], None]) -> Callable[[ClipRecord], ClipEvaluation]:
        """Return the function that evaluates one clip; it raises FalldetError where its video or labels are wrong."""
        config = self.config.with_threads(1)
        recognizer, cache = load_recognizer(config), pose_cache(self.cache, config)

        def evaluate(clip: ClipRecord) -> ClipEvaluation:
            poses = cache.poses(clip.path, stop_if_asked)
            check_times(clip, float(poses.time_s[-1]))
            replayed = replay_clip(clip, poses, config, recognizer)
            result, *others = evaluate_clip(replayed, config, self.thresholds)
            return ClipEvaluation(result, analyze_errors(replayed, result, config), others)

        return evaluate


def evaluate_clips(
    clips: Sequence[ClipRecord], job: EvaluationJob, jobs: int = 1
) -> tuple[list[ClipEvaluation], list[tuple[Path, str]]]:
    """Evaluate every clip, in `jobs` processes; the results don't depend on `jobs`.

    Returns:
        The evaluations in the order of the clips, and the clips that can't be read with the reason.

    Raises:
        FalldetError: not one clip could be read, the recognizer can't be loaded, or a process was killed.
        KeyboardInterrupt: after Ctrl-C; poses of finished videos are kept.
    """
    load_recognizer(job.config)  # checked, and exported, once for all processes
    pose_cache(job.cache, job.config)  # the folder is made once
    outcomes = map_clips(job, clips, jobs, "evaluating")
    evaluated = [outcome for outcome in outcomes if not isinstance(outcome, FalldetError)]
    left_out = [
        (clip.path, str(outcome))
        for clip, outcome in zip(clips, outcomes, strict=True)
        if isinstance(outcome, FalldetError)
    ]
    if not evaluated:
        reason = left_out[0][1] if left_out else "there are none"
        raise FalldetError(f"none of the {len(clips)} videos could be evaluated: {reason}")
    return evaluated, left_out


def operating_curve(
    evaluated: Sequence[ClipEvaluation], thresholds: Sequence[float]
) -> list[tuple[float, EventMetrics]]:
    """Return the metrics at each of `thresholds`, the further ones that the clips were evaluated at."""
    return [
        (threshold, compute_metrics([clip.at_thresholds[i] for clip in evaluated]))
        for i, threshold in enumerate(thresholds)
    ]
