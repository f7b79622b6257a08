"""falldet and its peers in one table: the same clips, the same poses where a peer takes poses, the same judge.

    python research/peers/compare_events.py MANIFEST.csv... --split test --cnn cnn1d.onnx --reference epoch_80.pth

Whatever is not given is left out, and a line below the table says how to make it. The rows:

- falldet: configs/demo.py and the shipped recognizer, as a user gets them.
- 1-D CNN: research/peers/cnn1d_fall.py, a network that knows no skeleton, trained on the same windows and run in
  falldet's chain.
- reference recipe as is: configs/stgcn_fall.py, trained on whole clips in image coordinates, run as the reference
  project's demo runs it: 48 frames every 8 at 30 fps, so windows of 1.6 s every 0.27 s; whoever is seen from a window's
  middle on, or up to it, is scored; the higher score wins; from 0.5 on a fall is shown, and no posture confirms it.
  `REFERENCE` says this in the settings of configs/demo.py. It gets falldet's poses, tracker and one alert a fall: its
  own demo marks frames, each of which would be an alert.
- reference network: the same weights in falldet's chain, so that recipe and chain can be told apart.
- height and aspect-ratio rule: research/peers/aspect_rule.py, on the same tracked people.
- neura-fall-detection: research/peers/neura_events.py, with its own poses and tracker, in its own environment.

The alert score of the networks in falldet's chain is the one with the best F1 on the val split, chosen anew in every
run; the rule's thresholds were chosen on train and val; falldet, whose score was chosen on val too, the reference
recipe and neura are taken as they come. So only test judges all of them on clips that nothing was chosen on.
Compute is processor time, all threads, decoding and poses included, over the videos' length. All frames are looked at,
except by neura, which is made for eight a second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from falldet.config import read_settings
from falldet.data.manifest import ClipRecord, read_manifest
from falldet.errors import FalldetError
from falldet.evaluation.matching import ClipResult, match_alerts
from falldet.evaluation.metrics import RATIOS, bootstrap, compute_metrics
from falldet.evaluation.replay import ReplayedClip, judge, replay_clip
from falldet.extraction.pose_cache import PoseCache
from falldet.io.video import read_frames
from falldet.pipeline.detector import Pipeline, Settings, pose_cache
from falldet.pose.source import NoPoseSource
from falldet.runtime import signals as cli
from falldet.types import Event, EventState, Window, WindowScore
from research.peers import aspect_rule

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "demo.py"
SPLITS = ("train", "val", "test")
SCORES = (*(score / 100 for score in range(5, 100, 5)), 0.97, 0.98, 0.99)
SURVEILLANCE = "survnofight"
"""Part of the paths of the surveillance clips, in which nobody falls."""

REFERENCE = (
    "sampling.active_fps=0",
    "windows.length_s=1.6",
    "windows.stride_s=0.267",
    "windows.min_track_s=0.8",
    "windows.linger_s=0.8",
    "fusion.rule=higher_score",
    "fusion.latency_s=0.0",
    "events.low_threshold=0.5",
    "events.alert_threshold=0.5",
    "events.immediate_threshold=0.5",
    "events.lying_degree=0.0",
    "events.upright_threshold=0.0",
    "events.lying_hold_s=0.0",
)
"""The reference project's demo, as --cfg-options of configs/demo.py; with these degrees everybody passes for lying."""

EXAMPLES = """\
examples:
  python research/peers/compare_events.py videos/manifest.csv --split val
  python research/peers/compare_events.py a.csv b.csv --root videos/ --split test --reference work_dirs/stgcn_fall/epoch_80.pth
"""
MISSING = {
    "1-D CNN": "`python tools/train.py research/peers/cnn1d_fall.py --seed 0` trains it; "
    "give --cnn work_dirs/cnn1d_fall/epoch_6.pth",
    "reference recipe": "`python tools/train.py configs/stgcn_fall.py` trains it; "
    "give --reference work_dirs/stgcn_fall/epoch_80.pth",
    "neura-fall-detection": "`python3 -m venv work_dirs/peers/neura && work_dirs/peers/neura/bin/python -m pip install "
    "-r research/peers/requirements.txt` installs it; give --neura-python work_dirs/peers/neura/bin/python",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        detector: its name.
        results: every clip judged.
        compute: processor seconds per second of video, or None where it was not measured.
    """

    detector: str
    results: list[ClipResult]
    compute: float | None


@dataclass(frozen=True, slots=True)
class Bench:
    """What all rows are measured on.

    Attributes:
        settings: configs/demo.py.
        cache: poses.
        clips: the clips judged.
        val: the clips of the val split, on which alert scores are chosen.
        timed: the clips on which compute is measured.
    """

    settings: Settings
    cache: PoseCache
    clips: list[ClipRecord]
    val: list[ClipRecord]
    timed: list[ClipRecord]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="falldet and its peers, fall events on labeled videos, as a markdown table.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and the falls' times")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    parser.add_argument("--split", choices=SPLITS, default="test", help="(default: test)")
    parser.add_argument("--cache", type=Path, default=Path("work_dirs/poses"), help="poses are kept here")
    parser.add_argument("--reference", help=".onnx or .pth of configs/stgcn_fall.py")
    parser.add_argument("--cnn", nargs="+", default=[], help=".onnx or .pth of research/peers/cnn1d_fall.py")
    parser.add_argument("--neura-python", help="the interpreter that neura-fall-detection is installed for")
    parser.add_argument("--neura-hold-s", type=float, default=0.0, help="show it the last picture so long (default: 0)")
    parser.add_argument(
        "--time-every", type=int, default=0, metavar="N", help="measure compute on every Nth clip (default: not at all)"
    )
    return parser.parse_args()


def main() -> int:
    """Judge every detector that is given and print the table."""
    arguments = parse_arguments()
    settings = Settings.from_groups(read_settings(CONFIG))
    every = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    clips = [clip for clip in every if clip.split == arguments.split]
    if not clips:
        raise FalldetError(f"no clip has the split {arguments.split!r}; give another --split")
    timed = clips[:: arguments.time_every] if arguments.time_every > 0 else []
    val = [clip for clip in every if clip.split == "val"]
    bench = Bench(settings, pose_cache(arguments.cache, settings), clips, val, timed)
    rows = [settings_row("falldet", settings, bench)]
    for checkpoint in arguments.cnn:
        rows.append(chosen_row(f"1-D CNN ({Path(checkpoint).parent.name})", checkpoint, bench))
    if arguments.reference:
        as_is = Settings.from_groups(read_settings(CONFIG, REFERENCE))
        rows.append(settings_row("reference recipe as is", with_checkpoint(as_is, arguments.reference), bench))
        rows.append(chosen_row("reference network", arguments.reference, bench))
    rows.append(aspect_row(bench))
    if arguments.neura_python:
        rows.append(neura_row(arguments.neura_python, arguments.neura_hold_s, bench))
    given = zip(MISSING, (arguments.cnn, arguments.reference, arguments.neura_python), strict=True)
    missing = [f"\n{peer} is left out: {MISSING[peer]}\n" for peer, argument in given if not argument]
    sys.stdout.write(as_markdown(rows, arguments.split) + "".join(missing))
    return cli.EXIT_OK


def settings_row(name: str, settings: Settings, bench: Bench) -> Row:
    """Judge a chain as its settings say."""
    results = [judge(clip, settings)[0] for clip in observe(bench.clips, settings, bench.cache)]
    return Row(name, results, compute_per_second(settings, bench.timed))


def chosen_row(name: str, checkpoint: str, bench: Bench) -> Row:
    """Judge a network in falldet's chain, its alert score chosen on the val split."""
    settings = with_checkpoint(bench.settings, checkpoint)
    judged = [judge(clip, settings, SCORES)[1:] for clip in observe(bench.val, settings, bench.cache)]
    if not judged:
        raise FalldetError("no clip has the split 'val', on which alert scores are chosen; name some in a manifest")

    def merit(score: float) -> tuple[float, int, float]:
        figures = compute_metrics([results[SCORES.index(score)] for results in judged])
        return figures.f1 or 0.0, -figures.false_positives, score

    best = max(SCORES, key=merit)
    results = [judge(clip, settings, [best])[1] for clip in observe(bench.clips, settings, bench.cache)]
    return Row(f"{name} in falldet's chain, alert score {best:g}", results, compute_per_second(settings, bench.timed))


def aspect_row(bench: Bench) -> Row:
    """Judge the height and aspect-ratio rule on the people falldet tracks."""
    results = []
    for clip in bench.clips:
        frames = aspect_rule.follow(bench.cache.poses(clip.path), bench.settings.tracker)
        results.append(judge_alerts(clip, frames[-1][0], aspect_rule.clip_alerts(frames)))
    compute = compute_per_second(bench.settings, bench.timed, recognize=lambda windows: [])
    return Row("height and aspect-ratio rule", results, compute)


def neura_row(python: str, lying_hold_s: float, bench: Bench) -> Row:
    """Judge neura-fall-detection, run in its own environment."""
    command = [python, str(ROOT / "research" / "peers" / "neura_events.py"), "--hold-s", str(lying_hold_s)]
    videos = json.dumps([str(clip.path) for clip in bench.clips])
    cure = MISSING["neura-fall-detection"]
    try:
        run = subprocess.run(command, input=videos, capture_output=True, text=True, check=True)
    except OSError as error:
        raise FalldetError(f"can't run --neura-python {python} ({error.strerror}); {cure}") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise FalldetError(f"neura-fall-detection stopped ({reason}); {cure}") from None
    answers = {clip: json.loads(run.stdout)[str(clip.path)] for clip in bench.clips}
    results = [judge_alerts(clip, answer["duration_s"], answer["alerts_s"]) for clip, answer in answers.items()]
    took = [answers[clip] for clip in bench.timed]
    compute = sum(each["cpu_s"] for each in took) / sum(each["duration_s"] for each in took) if took else None
    held = f", last picture held {lying_hold_s:g} s" if lying_hold_s else ""
    return Row(f"neura-fall-detection 0.1.0{held}", results, compute)


def observe(clips: Sequence[ClipRecord], settings: Settings, cache: PoseCache) -> list[ReplayedClip]:
    """Run the first half of falldet's chain over every clip."""
    pipeline = Pipeline(settings, pose_source=NoPoseSource())
    shown = tqdm(clips, unit="clip", desc=Path(settings.recognizer.checkpoint).stem, disable=None)
    return [replay_clip(clip, cache.poses(clip.path), pipeline) for clip in shown]


def with_checkpoint(settings: Settings, checkpoint: str) -> Settings:
    """Return the settings with another recognizer."""
    return replace(settings, recognizer=replace(settings.recognizer, checkpoint=checkpoint))


def judge_alerts(clip: ClipRecord, duration_s: float, alerts_s: Iterable[float]) -> ClipResult:
    """Judge a detector that gives alert times and nothing else."""
    ordered = sorted(alerts_s)
    falls = [(fall.start_s, fall.end_s) for fall in clip.fall_intervals]
    events = [Event(0, at_s, at_s, None, at_s, 1.0, EventState.FALLING, (0.0,) * 4) for at_s in ordered]
    return ClipResult(clip, duration_s, events, match_alerts(falls, ordered))


def compute_per_second(
    settings: Settings,
    clips: Sequence[ClipRecord],
    recognize: Callable[[list[Window]], list[WindowScore]] | None = None,
) -> float | None:
    """Return the processor seconds that the whole chain takes per second of the clips, None where there are none."""
    if not clips:
        return None
    pipeline = Pipeline(settings, recognize)
    used_s = length_s = 0.0
    for clip in clips:
        started_s, last_s = time.process_time(), 0.0
        for seen in pipeline.run(read_frames(clip.path)):
            last_s = seen.frame.time_s if seen.frame else last_s
        used_s, length_s = used_s + time.process_time() - started_s, length_s + last_s
    return used_s / length_s


def as_markdown(rows: Sequence[Row], split: str) -> str:
    """Return the table."""
    results = rows[0].results
    minutes = sum(result.duration_s for result in results) / 60
    lines = [
        f"Split {split}: {len(results)} clips, {compute_metrics(results).falls} falls, {minutes:.1f} minutes. "
        "In brackets 95 % intervals, videos drawn with replacement.",
        "",
        "| detector | recall | precision | F1 | false alarms, surveillance | delay, median | p95 | compute, s per s |",
        "|---|---|---|---|---|---|---|---|",
        *map(_line, rows),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    figures = compute_metrics(row.results)
    watched = [result for result in row.results if SURVEILLANCE in result.clip.path.parts]
    delays = np.percentile(figures.delays_s, (50, 95)) if figures.delays_s else ()
    cells = [
        row.detector,
        f"{_ratio(row.results, 'recall')}, {figures.true_positives} of {figures.falls}",
        f"{_ratio(row.results, 'precision')}, {figures.false_positives} false",
        _ratio(row.results, "f1"),
        f"{sum(len(result.match.false_positives) for result in watched)} on {len(watched)} clips",
        *([f"{delay:.1f} s" for delay in delays] or ["none"] * 2),
        "not measured" if row.compute is None else f"{row.compute:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _ratio(results: Sequence[ClipResult], name: str) -> str:
    """Return a figure and its interval over videos as text."""
    value = RATIOS[name](compute_metrics(results))
    interval = bootstrap(results, RATIOS[name], np.random.default_rng(0), over="video")
    if value is None:
        return "not defined"
    return f"{value:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


if __name__ == "__main__":
    cli.run(main)
