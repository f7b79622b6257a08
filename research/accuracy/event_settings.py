"""What each number of the event rule does: one at a time is changed, the others stay as in configs/demo.py.

    python research/accuracy/event_settings.py videos/urfd/manifest.csv videos/gmdcsa24/manifest.csv --root videos/

writes docs/event_numbers.md: falls found, false alarms, F1 and the median delay over train and val, on which these
numbers may be chosen. The clips are short, a few seconds, and nobody in them falls twice or lies for a minute:
`cool_down_s`, `recover_s` and `long_lie_s` can't be chosen on them and are left out.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from falldet.config import read_settings
from falldet.data.manifest import read_manifest
from falldet.errors import FalldetError
from falldet.evaluation.matching import ClipResult, match_alerts
from falldet.evaluation.metrics import compute_metrics
from falldet.evaluation.replay import ReplayedClip, decide_clip, fuse, replay_clip
from falldet.io.files import atomic_write
from falldet.pipeline.detector import Pipeline, Settings, pose_cache
from falldet.pose.source import NoPoseSource
from falldet.runtime import signals as cli
from falldet.types import PersonScore

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "event_numbers.md"
VALUES = {
    "alert_threshold": (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98),
    "low_threshold": (0.1, 0.2, 0.3, 0.5, 0.7),
    "immediate_threshold": (0.97, 0.98, 0.99, 0.995, 1.0),
    "lying_degree": (0.5, 0.6, 0.7, 0.8),
    "lying_hold_s": (0.0, 0.15, 0.3, 0.5, 1.0),
    "upright_threshold": (0.2, 0.3, 0.4, 0.5),
    "confirm_s": (0.5, 1.0, 1.5, 2.0),
}
Watched = list[tuple[ReplayedClip, list[list[PersonScore]]]]


def main() -> int:
    """Observe the videos of train and val once, decide them with each value, write the table."""
    parser = argparse.ArgumentParser(
        description="The event rule's numbers, one by one.", epilog="example: %(prog)s videos/manifest.csv"
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and the falls' times")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    parser.add_argument("--poses", type=Path, default=ROOT / "work_dirs" / "poses", help="poses are kept here")
    arguments = parser.parse_args()
    settings = Settings.from_groups(read_settings(ROOT / "configs" / "demo.py", ["movenet.precision=f32"]))
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    clips = [clip for clip in clips if clip.split in ("train", "val")]
    if not clips:
        raise FalldetError("no clip has the split train or val; name some in a manifest")
    cache, pipeline = pose_cache(arguments.poses, settings), Pipeline(settings, pose_source=NoPoseSource())
    watched = []
    for clip in tqdm(clips, unit="clip", disable=None):
        observed = replay_clip(clip, cache.poses(clip.path), pipeline)
        watched.append((observed, fuse(observed, settings.fusion)))
    with atomic_write(TABLE) as stream:
        stream.write(as_markdown(watched, settings))
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))
    return cli.EXIT_OK


def as_markdown(watched: Watched, settings: Settings) -> str:
    """Return the table of every number and value; the shipped values are in bold."""
    lines = [
        "# The event rule's numbers",
        "",
        f"{len(watched)} videos of train and val, one number changed at a time, the shipped value in bold. "
        "`research/accuracy/event_settings.py` makes this table and says which numbers it can't tell about.",
        "",
        "| number | value | found | false alarms | F1 | median delay |",
        "|---|---|---|---|---|---|",
    ]
    for name, values in VALUES.items():
        shipped = getattr(settings.events, name)
        for value in values:
            shown = f"**{value:g}**" if value == shipped else f"{value:g}"
            lines.append(f"| {name} | {shown} | {' | '.join(figures(watched, settings, name, value))} |")
    return "\n".join(lines) + "\n"


def figures(watched: Watched, settings: Settings, name: str, value: float) -> list[str]:
    """Return what one value gives, as cells."""
    events = replace(settings.events, **{name: value})
    results = []
    for observed, scores in watched:
        found = decide_clip(observed, scores, events)
        falls = [(fall.start_s, fall.end_s) for fall in observed.clip.fall_intervals]
        match = match_alerts(falls, [event.alert_s for event in found])
        results.append(ClipResult(observed.clip, observed.duration_s, found, match))
    total = compute_metrics(results)
    delay = f"{np.median(total.delays_s):.2f} s" if total.delays_s else "none"
    return [f"{total.true_positives} of {total.falls}", str(total.false_positives), f"{total.f1 or 0:.3f}", delay]


if __name__ == "__main__":
    cli.run(main)
