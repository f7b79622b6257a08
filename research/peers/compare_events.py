"""How many falls do falldet and its peers find? Same clips, same matching, same poses where a peer takes poses.

    python -m research.peers.compare_events videos/manifest.csv --cnn cnn1d.onnx --reference epoch_80.pth --neura

Prints a table in Markdown. A peer that is not given is left out, and a line below the table says how to get it. Rows:

- falldet: the default configuration and the shipped recognizer, as a user gets them.
- 1-D CNN: research/peers/cnn1d_fall.py, strided convolutions on positions alone, trained on the same windows, run in
  falldet's pipeline.
- reference recipe as is: configs/stgcn_fall.py, trained on whole clips in image coordinates, run as the reference
  project's demo runs it: 48 frames every 8 at 30 fps, so windows of 1.6 s every 0.27 s; a person in sight from a
  window's middle on, or up to it, is scored; from 0.5 in any window on a fall is shown. `reference_config` says this as
  a configuration. It gets falldet's poses and tracks and one alert
  per fall: its own demo marks frames, each of which would be an alert.
- reference network: the same weights in falldet's pipeline, which tells recipe and pipeline apart.
- height and aspect-ratio rule: research/peers/aspect_rule.py, on falldet's tracks at every frame.
- neura-fall-detection: research/peers/neura_events.py, with its own poses and tracks, in its own environment.

The alert threshold of the networks in falldet's pipeline is the one with the best F1 on the val split, chosen anew in
every run; the thresholds of the rule were chosen on train and val; the others are taken as they come. Only test is
fresh for all of them. Compute is processor time of all threads, decoding and poses included, per second of video.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from falldet.build import build_recognizer
from falldet.cli.process import EXIT_OK, run
from falldet.data.annotations import SPLIT_NAMES
from falldet.data.manifest import ClipRecord
from falldet.evaluation.matching import ClipResult, match_alerts
from falldet.evaluation.metrics import compute_metrics
from falldet.evaluation.replay import ReplayedClip, evaluate_clip, replay_clip
from falldet.extraction.pose_cache import PoseCache, pose_cache
from falldet.pipeline.config import Config
from falldet.types import Event, EventState
from research.clips import add_clip_arguments, read_clips
from research.peers import aspect_rule
from research.peers.compute import pipeline_compute, tracking_compute
from research.peers.environment import NEURA
from research.peers.event_table import Row, as_markdown

THRESHOLDS = (*(threshold / 100 for threshold in range(5, 100, 5)), 0.99)

EXAMPLES = """\
examples:
  python -m research.peers.compare_events videos/manifest.csv --split val
  python -m research.peers.compare_events a.csv b.csv --root videos/ --reference work_dirs/stgcn_fall/epoch_80.pth
"""
CURES = {
    "cnn": "1-D CNN: research/peers/cnn1d_fall.py says how to train and export it; give --cnn cnn1d.onnx",
    "reference": "reference recipe: `python tools/train.py configs/stgcn_fall.py` trains it; "
    "give --reference work_dirs/stgcn_fall/epoch_80.pth",
    "neura": f"neura-fall-detection: {NEURA.installation} installs it; give --neura",
}
"""Option -> what to do where it is not given."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What all rows are measured on.

    Attributes:
        config: the default configuration.
        cache: poses of the clips.
        clips: the evaluated clips.
        val: the clips on which alert thresholds are chosen.
        timed: the clips on which compute is measured.
    """

    config: Config
    cache: PoseCache
    clips: list[ClipRecord]
    val: list[ClipRecord]
    timed: list[ClipRecord]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="falldet and its peers: fall events on labeled videos, as a Markdown table.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_clip_arguments(parser)
    parser.add_argument("--split", choices=SPLIT_NAMES, default="test", help="(default: test)")
    parser.add_argument("--reference", help=".onnx or .pth of configs/stgcn_fall.py")
    parser.add_argument("--cnn", nargs="+", default=[], help=".onnx of research/peers/cnn1d_fall.py")
    parser.add_argument("--neura", action="store_true", help="run neura-fall-detection, which must be installed")
    parser.add_argument("--neura-hold-s", type=float, default=0.0, help="repeat its last frame so long (default: 0)")
    parser.add_argument(
        "--time-every", type=int, default=0, metavar="N", help="measure compute on every Nth clip (default: not at all)"
    )
    return parser.parse_args()


def main() -> int:
    """Evaluate every detector that is given and print the table."""
    arguments = parse_arguments()
    config = Config()
    clips = read_clips(arguments, [arguments.split])
    val = read_clips(arguments, ["val"]) if arguments.cnn or arguments.reference else []
    timed = clips[:: arguments.time_every] if arguments.time_every > 0 else []
    benchmark = Benchmark(config, pose_cache(arguments.poses, config), clips, val, timed)
    rows = [config_row("falldet", config, benchmark)]
    for checkpoint in arguments.cnn:
        rows.append(tuned_row(f"1-D CNN ({Path(checkpoint).stem})", checkpoint, benchmark))
    if arguments.reference:
        rows.append(config_row("reference recipe as is", reference_config(config, arguments.reference), benchmark))
        rows.append(tuned_row("reference network", arguments.reference, benchmark))
    rows.append(aspect_row(benchmark))
    if arguments.neura:
        rows.append(neura_row(arguments.neura_hold_s, benchmark))
    missing = [f"\nLeft out: {cure}\n" for option, cure in CURES.items() if not getattr(arguments, option)]
    sys.stdout.write(as_markdown(rows, arguments.split) + "".join(missing))
    return EXIT_OK


def config_row(name: str, config: Config, benchmark: Benchmark) -> Row:
    """Evaluate the pipeline with `config`."""
    results = [evaluate_clip(clip, config)[0] for clip in replayed(benchmark.clips, config, benchmark.cache)]
    return Row(name, results, pipeline_compute(config, benchmark.timed))


def tuned_row(name: str, checkpoint: str, benchmark: Benchmark) -> Row:
    """Evaluate a network in falldet's pipeline at the alert threshold with the best F1 on the val split.

    Of thresholds with the same F1 the one with the fewest false alarms is taken, then the highest.
    """
    config = with_checkpoint(benchmark.config, checkpoint)
    on_val = [evaluate_clip(clip, config, THRESHOLDS)[1:] for clip in replayed(benchmark.val, config, benchmark.cache)]

    def merit(column: int) -> tuple[float, int, float]:
        metrics = compute_metrics([results[column] for results in on_val])
        return metrics.f1 or 0.0, -metrics.false_positives, THRESHOLDS[column]

    best = THRESHOLDS[max(range(len(THRESHOLDS)), key=merit)]
    results = [evaluate_clip(clip, config, [best])[1] for clip in replayed(benchmark.clips, config, benchmark.cache)]
    compute = pipeline_compute(config, benchmark.timed)
    return Row(f"{name} in falldet's pipeline, alert threshold {best:g}", results, compute)


def aspect_row(benchmark: Benchmark) -> Row:
    """Evaluate the height and aspect-ratio rule on falldet's tracks; its compute is that of poses and tracks."""
    results = []
    for clip in benchmark.clips:
        frames = aspect_rule.tracked_frames(benchmark.cache.poses(clip.path), benchmark.config.tracker)
        results.append(alerts_result(clip, frames[-1][0], aspect_rule.clip_alerts(frames)))
    return Row("height and aspect-ratio rule", results, tracking_compute(benchmark.config, benchmark.timed))


def neura_row(hold_s: float, benchmark: Benchmark) -> Row:
    """Evaluate neura-fall-detection, run in its own environment."""
    videos = [str(clip.path.resolve()) for clip in benchmark.clips]
    answers = NEURA.ask(videos, "--hold-s", str(hold_s))
    by_clip = {clip: answers[video] for clip, video in zip(benchmark.clips, videos, strict=True)}
    results = [alerts_result(clip, answer["duration_s"], answer["alerts_s"]) for clip, answer in by_clip.items()]
    timed = [by_clip[clip] for clip in benchmark.timed]
    compute = sum(each["cpu_s"] for each in timed) / sum(each["duration_s"] for each in timed) if timed else None
    repeated = f", last frame repeated for {hold_s:g} s" if hold_s else ""
    return Row(f"{NEURA.name}{repeated}", results, compute)


def replayed(clips: Sequence[ClipRecord], config: Config, cache: PoseCache) -> list[ReplayedClip]:
    """Run tracking and recognizer of `config` over every clip."""
    recognizer = build_recognizer(config.recognizer)
    progress = tqdm(clips, unit="clip", desc=Path(config.recognizer.checkpoint).stem, disable=None)
    return [replay_clip(clip, cache.poses(clip.path), config, recognizer) for clip in progress]


def with_checkpoint(config: Config, checkpoint: str) -> Config:
    """Return `config` with another recognizer."""
    return replace(config, recognizer=replace(config.recognizer, checkpoint=checkpoint))


def reference_config(config: Config, checkpoint: str) -> Config:
    """Return `config` with the windows, fusion and events of the reference project's demo; see the module."""
    return replace(
        with_checkpoint(config, checkpoint),
        sampling=replace(config.sampling, active_fps=0.0),
        windows=replace(config.windows, length_s=1.6, stride_s=0.267, min_track_s=0.8, linger_s=0.8),
        fusion=replace(config.fusion, evidence_windows=1),
        events=replace(config.events, alert_threshold=0.5, low_share=1.0),
    )


def alerts_result(clip: ClipRecord, duration_s: float, alerts_s: Iterable[float]) -> ClipResult:
    """Match the alerts of a detector that gives alert times and nothing else."""
    ordered = sorted(alerts_s)
    falls = [(fall.start_s, fall.end_s) for fall in clip.fall_intervals]
    events = [
        Event(str(index), str(clip.path), 0, at_s, at_s, None, at_s, 1.0, EventState.FALLING, (0.0,) * 4)
        for index, at_s in enumerate(ordered)
    ]
    return ClipResult(clip, duration_s, events, match_alerts(falls, ordered))


if __name__ == "__main__":
    run(main)
