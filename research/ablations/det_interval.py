"""What it costs to look for people in fewer pictures: fall events with the detector asked at every look or at some.

    python research/ablations/det_interval.py videos/urfd/manifest.csv --root videos/ --split val
    python research/ablations/det_interval.py ... --networks detector.onnx+pose.xml        # exported networks, any weights

Each clip goes through the live chain of configs/demo.py with `topdown.det_interval` at each value. Between two looks of
the detector people are followed by their joints. The recognizer has learnt from other poses: compare the rows with each
other, not with MoveNet's figures.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from falldet.config import read_settings
from falldet.data.manifest import ClipRecord, read_manifest
from falldet.errors import FalldetError
from falldet.evaluation.markdown import table
from falldet.evaluation.matching import ClipResult, match_alerts
from falldet.evaluation.metrics import compute_metrics
from falldet.io.video import read_frames
from falldet.pipeline.detector import Pipeline, Settings
from falldet.pose.detector import YoloxDetector
from falldet.pose.estimator import CropPoseEstimator
from falldet.pose.exported import exported_network, find_network
from falldet.pose.topdown import TopDown
from falldet.runtime import signals as cli

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "demo.py"


@dataclass(slots=True)
class Looks:
    """What was found, and what it took."""

    count: int = 0
    people: int = 0
    cpu_s: float = 0.0


def main() -> int:
    """Run the clips at each value and print a table."""
    parser = argparse.ArgumentParser(
        description="Fall events by how often people are looked for.",
        epilog="example: %(prog)s videos/urfd/manifest.csv --root videos/ --split val",
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="CSV files with path, label and the falls' times")
    parser.add_argument("--root", type=Path, help="what the manifests' paths start from (default: their own folder)")
    parser.add_argument("--split", choices=("train", "val", "test"), default="val", help="(default: val)")
    parser.add_argument(
        "--networks", default="yolox_s+hrnet_w32", help="names, or exported files (default: yolox_s+hrnet_w32)"
    )
    parser.add_argument("--every", type=int, nargs="+", default=[1, 2, 3, 5], help="(default: 1 2 3 5)")
    arguments = parser.parse_args()
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    clips = [clip for clip in clips if clip.split == arguments.split]
    if not clips:
        raise FalldetError(f"no video of the {arguments.split} split; name another --split")
    detector, estimator = (_exported(name) for name in arguments.networks.partition("+")[::2])
    rows = []
    for every in arguments.every:
        settings = Settings.from_groups(read_settings(CONFIG, [f"topdown.det_interval={every}"]))
        topdown = TopDown(YoloxDetector(detector), CropPoseEstimator(estimator), settings.topdown)
        rows.append((str(every), *_row(clips, settings, topdown)))
    head = ("det_interval", "people a look", "processor ms a look", "falls found", "false alarms", "F1")
    sys.stdout.write("\n".join(table(head, rows)) + "\n")
    return cli.EXIT_OK


def _exported(name: str) -> Path:
    return Path(name) if Path(name).is_file() else exported_network(find_network(name))


def _row(clips: Sequence[ClipRecord], settings: Settings, topdown: TopDown) -> tuple[str, ...]:
    looks = Looks()

    def look(image):
        started = time.process_time()
        people = topdown(image)
        looks.cpu_s += time.process_time() - started
        looks.count, looks.people = looks.count + 1, looks.people + len(people)
        return people

    look.reset = topdown.reset
    pipeline = Pipeline(settings, pose_source=look)
    figures = compute_metrics([_result(clip, pipeline) for clip in tqdm(clips, unit="clip")])
    return (
        f"{looks.people / looks.count:.2f}",
        f"{1000 * looks.cpu_s / looks.count:.0f}",
        f"{figures.true_positives} of {figures.falls}",
        str(figures.false_positives),
        f"{figures.f1 or 0:.3f}",
    )


def _result(clip: ClipRecord, pipeline: Pipeline) -> ClipResult:
    events, last_s = {}, 0.0
    for seen in pipeline.run(read_frames(clip.path)):
        events |= {(event.track_id, event.alert_s): event for event in seen.events}
        last_s = seen.frame.time_s if seen.frame else last_s
    alerts = sorted(events.values(), key=lambda event: event.alert_s)
    falls = [(interval.start_s, interval.end_s) for interval in clip.fall_intervals]
    return ClipResult(clip, last_s, alerts, match_alerts(falls, [event.alert_s for event in alerts]))


if __name__ == "__main__":
    cli.run(main)
