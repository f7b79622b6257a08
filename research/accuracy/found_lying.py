"""How often would "found lying" alarm without a fall, and how many fallen people would it find?

    python -m research.accuracy.found_lying videos/urfd/manifest.csv videos/exercise/manifest.csv --root videos/

The rule of `falldet.live.lying` on the poses of whole clips, without the recognizer: a person who lies for 10, 20, 30
or 60 seconds and was not upright since opens an incident. Prints false alarms per hour of everyday video, by folder,
and the falls after which a person is found. A clip shorter than the time can't alarm, so the hours counted are those
after the time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from falldet.cli.process import EXIT_OK, run
from falldet.data.manifest import ClipRecord
from falldet.evaluation.replay import ReplayedClip, replay_clip
from falldet.extraction.pose_cache import pose_cache
from falldet.live.config import CameraConfig
from falldet.live.incident_manager import is_found_lying
from falldet.live.lying import LyingWatch
from falldet.pipeline.analyzer import load_recognizer
from falldet.pipeline.config import Config
from falldet.visualization.tables import markdown_table
from research.clips import add_clip_arguments, read_clips

TIMES_S = (10.0, 20.0, 30.0, 60.0)
HEADER = ("clips", "found_lying_s", "hours after that time", "alarms", "an hour", "found of falls that last as long")


@dataclass(frozen=True, slots=True)
class ClipFinding:
    """What the rule finds in one clip: for each time, when a person was first found lying, seconds, or None."""

    clip: ClipRecord
    duration_s: float
    found_s: dict[float, float | None]


def main() -> int:
    """Replay every clip and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_clip_arguments(parser)
    parser.add_argument("--min-y", type=float, default=0.0, help="found_lying_min_y (default: 0)")
    arguments = parser.parse_args()
    config = Config()
    recognizer, cache = load_recognizer(config), pose_cache(arguments.poses, config)
    findings = []
    for clip in read_clips(arguments):
        replayed = replay_clip(clip, cache.poses(clip.path), config, recognizer)
        findings.append(find_lying(replayed, config, arguments.min_y))
    print(table(findings))
    return EXIT_OK


def find_lying(replayed: ReplayedClip, config: Config, min_y: float = 0.0) -> ClipFinding:
    """Return when the rule finds a person lying in a clip.

    Args:
        replayed: the clip's tracked people.
        config: thresholds of lying and upright.
        min_y: `CameraConfig.found_lying_min_y`.
    """
    watch, found = LyingWatch(config.events), dict.fromkeys(TIMES_S)
    for frame in replayed.frames:
        places = watch.update(frame.time_s, frame.people, frame.postures)
        for after_s in TIMES_S:
            camera = CameraConfig("study", "0", found_lying_s=after_s, found_lying_min_y=min_y)
            if found[after_s] is None and any(is_found_lying(place, frame.time_s, camera) for place in places):
                found[after_s] = frame.time_s
    return ClipFinding(replayed.clip, replayed.duration_s, found)


def table(findings: Sequence[ClipFinding]) -> str:
    """Return the Markdown table: a row per folder of everyday clips and time, then all folders."""
    folders = sorted({finding.clip.path.parts[-2] for finding in findings})
    rows = []
    for folder in [*folders, "all"]:
        chosen = [finding for finding in findings if folder in ("all", finding.clip.path.parts[-2])]
        rows += [row_of(folder, after_s, chosen) for after_s in TIMES_S]
    return markdown_table(HEADER, rows)


def row_of(folder: str, after_s: float, findings: Sequence[ClipFinding]) -> tuple[str, ...]:
    """Return one row; a clip alarms once at most."""
    everyday = [finding for finding in findings if not finding.clip.label]
    hours = sum(max(0.0, finding.duration_s - after_s) for finding in everyday) / 3600
    alarms = sum(finding.found_s[after_s] is not None for finding in everyday)
    lasting = [
        f for f in findings if f.clip.fall_intervals and f.duration_s - f.clip.fall_intervals[0].end_s >= after_s + 1
    ]
    found = sum(finding.found_s[after_s] is not None for finding in lasting)
    rate = f"{alarms / hours:.0f}" if hours else "-"
    return folder, f"{after_s:g}", f"{hours:.3f}", str(alarms), rate, f"{found} of {len(lasting)}"


if __name__ == "__main__":
    run(main)
