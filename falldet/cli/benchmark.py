"""Measure how fast the pipeline is on a video: each stage, all together, and how many cameras it keeps up with.

The stages are timed one after the other, which also warms everything up. Frames per second are those of the whole demo,
in which the stages overlap. The start time is from the beginning of the command to the people of the first frame.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from contextlib import closing  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

from falldet.cli import options  # noqa: E402
from falldet.cli.process import EXIT_OK  # noqa: E402

if TYPE_CHECKING:
    from falldet.pipeline.detector import FallDetector

EXAMPLES = """\
  falldet benchmark video.mp4
  falldet benchmark video.mp4 --no-video --people 3 --json speed.json
  falldet benchmark video.mp4 --pose yolox_s+hrnet_w32
  falldet benchmark video.mp4 --cameras 4 6 8       # at 10 frames per second each
  falldet benchmark video.mp4 --pose yolox_s+hrnet_w32 --compare topdown.engine=torch topdown.precision=f32
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("source", type=Path, help="a video file")
    parser.add_argument(
        "--people",
        type=int,
        metavar="N",
        help="show N people: N upright strips of the image, each with the most confident person at the original size "
        "(default: the video as it is)",
    )
    parser.add_argument("--no-video", action="store_true", help="neither draw nor write the annotated video")
    parser.add_argument("--repeat", type=int, default=3, help="runs of the whole demo (default: 3)")
    parser.add_argument(
        "--cameras", type=int, nargs="+", default=[], metavar="N", help="also play the video to N detectors at once"
    )
    parser.add_argument(
        "--compare",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="compare the stages under each of these settings (several at once: joined by commas)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options.add_pose(parser)
    options.add_device(parser)
    options.add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and show the tables."""
    from falldet.io.video import probe

    probe(arguments.source)  # before the slow imports: a wrong path is told at once
    if arguments.compare:
        sys.stdout.write(compare(arguments) + "\n")
        return EXIT_OK
    from falldet.io.files import atomic_write
    from falldet.profiling.crowd import with_people
    from falldet.profiling.report import as_record, as_text
    from falldet.profiling.stages import measure

    detector, start_s = start(arguments)
    with tempfile.TemporaryDirectory(prefix="falldet-benchmark-") as folder:
        source = arguments.source
        if arguments.people is not None:
            source = Path(folder) / "people.mp4"
            with_people(arguments.source, arguments.people, detector.pose_source, source)
        timing = measure(source, detector, not arguments.no_video, arguments.repeat)
        record = as_record(timing, start_s, not arguments.no_video, detector.config)
        sys.stdout.write(as_text(record) + "\n")
        record["cameras"] = measure_cameras(source, detector, arguments.cameras)
    sys.stdout.write(f"\nconfig: {detector.config}\n")
    if arguments.json:
        with atomic_write(arguments.json) as stream:
            json.dump(record, stream, indent=1)
    return EXIT_OK


def start(arguments: argparse.Namespace) -> tuple[FallDetector, float]:
    """Return a detector that has estimated the poses of the first frame, and the seconds since the command began."""
    from falldet.io.video import read_frames
    from falldet.pipeline.detector import FallDetector

    detector = FallDetector(options.config_from(arguments), device=arguments.device)
    with closing(read_frames(arguments.source)) as frames:
        detector.pose_source.submit(next(frames).image).result()
    start_s = time.perf_counter() - STARTED
    detector.pose_source.reset()
    return detector, start_s


def compare(arguments: argparse.Namespace) -> str:
    """Return a table of the stages under each of the settings to compare, measured in turn."""
    from falldet.pipeline.detector import FallDetector
    from falldet.profiling.report import as_comparison
    from falldet.profiling.stages import measure

    timings = {}
    for changes in arguments.compare:
        detector = FallDetector(options.config_from(arguments, changes.split(",")), device=arguments.device)
        timings[changes] = measure(arguments.source, detector, not arguments.no_video, arguments.repeat)
    return as_comparison(timings)


def measure_cameras(source: Path, detector: FallDetector, counts: list[int]) -> list[dict[str, Any]]:
    """Play `source` to each number of cameras in turn; show and return the delays."""
    from falldet.profiling import cameras
    from falldet.visualization.tables import markdown_table

    records = []
    for count in counts:
        timing = cameras.measure_cameras(source, detector, count)
        row = (str(count), f"{timing.late_p95_s:.2f}", f"{timing.late_max_s:.2f}", "yes" if timing.held else "no")
        head = (f"cameras at {cameras.CAMERA_FPS:g} frames per second", "delay s, p95", "delay s, worst", "kept up")
        sys.stdout.write("\n" + "\n".join(markdown_table(head, [row])) + "\n")
        sys.stdout.flush()
        records.append(asdict(timing))
    return records
