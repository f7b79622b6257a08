"""How often does "found lying" alarm without a fall, and how many fallen people does it find?

    python -m research.accuracy.found_lying videos/urfd/manifest.csv videos/exercise/manifest.csv --root videos/

The rule of `falldet.live.lying` on the poses of whole clips, without the recognizer: a person who lies for 3 to 60
seconds and was not upright since opens an incident. Prints false alarms per hour of everyday video, by data set, with
the clips that are longer than that time, for a shorter one can't alarm; and the falls after which a person is found,
of those whose clip goes on for that time after the descent.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from falldet.cli.process import EXIT_OK, run
from falldet.data.manifest import ClipRecord
from falldet.extraction.pose_cache import PoseSequence, pose_cache
from falldet.live.config import CameraConfig
from falldet.live.incident_manager import is_found_lying
from falldet.live.lying import LyingWatch
from falldet.pipeline.config import Config
from falldet.stages.frame_sampling import FrameSampler
from falldet.stages.posture import read_postures
from falldet.stages.tracking import PoseTracker
from falldet.visualization.tables import markdown_table
from research.clips import add_clip_arguments, read_clips

TIMES_S = (3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
HEADER = ("clips", "found_lying_s", "everyday hours", "long enough", "alarms", "an hour", "found, of falls long enough")


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
    cache = pose_cache(arguments.poses, config)
    findings = [find_lying(clip, cache.poses(clip.path), config, arguments.min_y) for clip in read_clips(arguments)]
    print(table(findings, arguments.root or arguments.manifests[0].parent.parent))
    return EXIT_OK


def find_lying(clip: ClipRecord, poses: PoseSequence, config: Config, min_y: float = 0.0) -> ClipFinding:
    """Return when the rule finds a person lying in a clip.

    Args:
        clip: the clip and its labels.
        poses: the people in its frames.
        config: settings of sampling and tracker, thresholds of lying and upright.
        min_y: `CameraConfig.found_lying_min_y`.
    """
    watch, tracker, sampler = LyingWatch(config.events), PoseTracker(config.tracker), FrameSampler(config.sampling)
    found: dict[float, float | None] = dict.fromkeys(TIMES_S)
    time_s = 0.0
    for time_s, people in poses.frames():
        if not sampler.should_process(time_s):
            continue
        tracked = tracker.update(people, time_s)
        sampler.update(time_s, tracker.speed(time_s), [])
        postures = read_postures(tracked.keypoints, tracked.scores, poses.image_hw)
        places = watch.update(time_s, tracked, postures)
        for after_s in TIMES_S:
            camera = CameraConfig("study", "0", found_lying_s=after_s, found_lying_min_y=min_y)
            if found[after_s] is None and any(is_found_lying(place, time_s, camera) for place in places):
                found[after_s] = time_s
    return ClipFinding(clip, time_s, found)


def table(findings: Sequence[ClipFinding], root: Path) -> str:
    """Return the Markdown table: a row per data set below `root` and time, then all of them."""
    names = [finding.clip.path.resolve().relative_to(root.resolve()).parts[0] for finding in findings]
    rows = []
    for chosen_name in [*sorted(set(names)), "all"]:
        pairs = zip(names, findings, strict=True)
        chosen = [finding for name, finding in pairs if chosen_name in ("all", name)]
        rows += [row_of(chosen_name, after_s, chosen) for after_s in TIMES_S]
    return "\n".join(markdown_table(HEADER, rows))


def row_of(name: str, after_s: float, findings: Sequence[ClipFinding]) -> tuple[str, ...]:
    """Return one row; a clip alarms once at most."""
    everyday = [finding for finding in findings if not finding.clip.label]
    hours = sum(finding.duration_s for finding in everyday) / 3600
    enough = sum(finding.duration_s > after_s for finding in everyday)
    alarms = sum(finding.found_s[after_s] is not None for finding in everyday)
    falls = [f for f in findings if f.clip.fall_intervals]
    lasting = [f for f in falls if f.duration_s - f.clip.fall_intervals[0].descent[1] >= after_s + 0.5]
    found = sum(finding.found_s[after_s] is not None for finding in lasting)
    rate = f"{alarms / hours:.0f}" if hours else "-"
    clips = f"{enough} of {len(everyday)} clips"
    return name, f"{after_s:g}", f"{hours:.2f}", clips, str(alarms), rate, f"{found} of {len(lasting)}"


if __name__ == "__main__":
    run(main)
