"""Measure how fast the live chain is on a video: every stage, all together, and how many cameras it holds.

python tools/benchmark.py video.mp4
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from contextlib import closing  # noqa: E402
from dataclasses import asdict, replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

from falldet.io.files import atomic_write  # noqa: E402
from falldet.runtime import signals as cli  # noqa: E402

if TYPE_CHECKING:
    from falldet.pipeline.detector import Settings

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "demo.py"

EXAMPLES = """\
examples:
  python tools/benchmark.py video.mp4
  python tools/benchmark.py video.mp4 --no-video --people 3 --json speed.json
  python tools/benchmark.py video.mp4 --pose yolox_s+hrnet_w32
  python tools/benchmark.py video.mp4 --cameras 4 6 8       # 10 pictures a second each, all at once
  python tools/benchmark.py video.mp4 --pose yolox_s+hrnet_w32 --compare topdown.engine=torch topdown.precision=f32
The stages are timed one after the other. Frames per second are of the whole demo, in which the stages overlap, after
this first run has warmed everything up; the start is from the beginning of this program to the first frame's people.
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure how fast the live chain is on a video.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="a video file")
    parser.add_argument("--config", default=CONFIG, help="settings of the live chain (default: configs/demo.py)")
    parser.add_argument("--pose", metavar="SOURCE", help="where keypoints come from: movenet (default) or another")
    parser.add_argument(
        "--people",
        type=int,
        metavar="N",
        help="show N people: N upright strips side by side, each with the part of the picture around its surest person "
        "at the size it has (default: the video as it is)",
    )
    parser.add_argument("--no-video", action="store_true", help="neither draw nor write the annotated video")
    parser.add_argument("--repeat", type=int, default=3, help="runs of the whole demo (default: 3)")
    parser.add_argument(
        "--cameras", type=int, nargs="+", default=[], metavar="N", help="also show the video to N cameras at once"
    )
    parser.add_argument(
        "--compare",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="set the stages side by side with each of these settings instead (several at once: joined by commas)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--device", default="CPU", help="OpenVINO device, such as CPU or GPU (default: CPU)")
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="change single settings")
    return parser.parse_args()


def settings_of(arguments: argparse.Namespace, *more: str) -> Settings:
    from falldet.config import read_settings
    from falldet.pipeline.detector import Settings
    from falldet.pose.source import PoseSettings

    settings = Settings.from_groups(read_settings(arguments.config, [*arguments.cfg_options, *more]))
    return replace(settings, pose=PoseSettings(arguments.pose)) if arguments.pose else settings


def compare(arguments: argparse.Namespace) -> str:
    """Measure the video under each of the settings to compare, in turn, and return the table."""
    from falldet.pipeline.detector import Pipeline
    from falldet.profiling.stages import as_comparison, measure

    timings = {}
    for changes in arguments.compare:
        settings = settings_of(arguments, *changes.split(","))
        pipeline = Pipeline(settings, device=arguments.device)
        timings[changes] = measure(arguments.source, settings, pipeline, not arguments.no_video, arguments.repeat)
    return as_comparison(timings)


def main() -> int:
    arguments = parse_arguments()
    from falldet.io.video import probe, read_frames

    probe(arguments.source)  # before the slow imports: a wrong path is told at once
    from falldet.evaluation.markdown import table
    from falldet.pipeline.detector import Pipeline
    from falldet.profiling.stages import as_record, as_text, measure, with_people
    from falldet.runtime.multi_source import measure_cameras

    settings = settings_of(arguments)
    if arguments.compare:
        sys.stdout.write(compare(arguments) + "\n")
        return cli.EXIT_OK
    pipeline = Pipeline(settings, device=arguments.device)
    with closing(read_frames(arguments.source)) as frames:
        pipeline.pose_source(next(frames).image)
    start_s = time.perf_counter() - STARTED
    pipeline.pose_source.reset()
    with tempfile.TemporaryDirectory(prefix="falldet-benchmark-") as folder:
        source = arguments.source
        if arguments.people is not None:
            source = Path(folder) / "people.mp4"
            with_people(arguments.source, arguments.people, pipeline.pose_source, source)
        timing = measure(source, settings, pipeline, not arguments.no_video, arguments.repeat)
        record = as_record(timing, start_s, not arguments.no_video, settings)
        sys.stdout.write(as_text(record) + "\n")
        record["cameras"] = []
        for count in arguments.cameras:
            held = measure_cameras(source, settings, pipeline, count)
            record["cameras"].append(asdict(held))
            row = (str(count), f"{held.late_p95_s:.2f}", f"{held.late_max_s:.2f}", "yes" if held.held else "no")
            head = ("cameras at 10 pictures a second", "late s, p95", "at worst", "held")
            sys.stdout.write("\n" + "\n".join(table(head, [row])) + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"\nsettings: {settings}\n")
    if arguments.json:
        with atomic_write(arguments.json) as stream:
            json.dump(record, stream, indent=1)
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
