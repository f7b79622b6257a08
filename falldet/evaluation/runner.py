"""The event-level evaluation over many clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from falldet.data.manifest import ClipRecord
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
    """Evaluation of one clip: result at the configured threshold, error analysis, results at other thresholds."""

    result: ClipResult
    analysis: ErrorAnalysis
    at_thresholds: list[ClipResult]


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """How clips are evaluated; a `falldet.runtime.parallel.ClipTask`.

    Attributes:
        config: of the pipeline.
        thresholds: alert thresholds at which clips are evaluated besides the one in `config`.
        cache: folder that keeps the poses.
    """

    config: Config
    thresholds: tuple[float, ...]
    cache: Path

    def load(self, threads: int, stop_if_asked: Callable[[], None]) -> Callable[[ClipRecord], ClipEvaluation]:
        """Return the function that evaluates one clip; it raises FalldetError where the clip is unreadable."""
        config = self.config.with_threads(threads) if threads else self.config
        recognizer, cache = load_recognizer(config), pose_cache(self.cache, config)

        def evaluate(clip: ClipRecord) -> ClipEvaluation:
            replayed = replay_clip(clip, cache.poses(clip.path, stop_if_asked), config, recognizer)
            result, *others = evaluate_clip(replayed, config, self.thresholds)
            return ClipEvaluation(result, analyze_errors(replayed, result, config), others)

        return evaluate


def evaluate_clips(
    clips: Sequence[ClipRecord], job: EvaluationJob, jobs: int = 1
) -> tuple[list[ClipEvaluation], list[tuple[Path, str]]]:
    """Evaluate every clip, in `jobs` processes; the results do not depend on `jobs`.

    Returns:
        The evaluations in the order of the clips, and the clips that couldn't be read with the reason.

    Raises:
        FalldetError: not one clip could be read, the recognizer can't be loaded, or a process was killed.
        KeyboardInterrupt: after Ctrl-C; poses of finished videos are kept.
    """
    load_recognizer(job.config)  # checked, and exported, once for all processes
    pose_cache(job.cache, job.config)
    outcomes = map_clips(job, clips, jobs, "evaluating")
    evaluated = [outcome for outcome in outcomes if isinstance(outcome, ClipEvaluation)]
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
    """Return the metrics at each of the thresholds that the clips were evaluated at besides the one in use."""
    return [
        (threshold, compute_metrics([clip.at_thresholds[i] for clip in evaluated]))
        for i, threshold in enumerate(thresholds)
    ]
