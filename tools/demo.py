"""Find falls in a video: annotated video, events, scores and a timeline.

python tools/demo.py video.mp4
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from falldet.runtime import signals as cli

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "demo.py"

EXAMPLES = """\
examples:
  python tools/demo.py video.mp4
  python tools/demo.py video.mp4 --checkpoint work_dirs/stgcn_fall/epoch_80.pth --out-dir results
  python tools/demo.py video.mp4 --no-video --cfg-options events.alert_threshold=0.7
  python tools/demo.py video.mp4 --pose yolox_s+hrnet_w32 --cfg-options topdown.det_interval=5
  python tools/demo.py rtsp://127.0.0.1:8554/camera --skeleton-only
  python tools/demo.py hall.mp4 stairs.mp4 rtsp://127.0.0.1:8554/kitchen    # all at once, with one set of models
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Find falls in a video file or stream.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="source",
        help="a video file, an rtsp:// or http:// address, or a webcam's number; several are watched at once",
    )
    parser.add_argument("--config", default=CONFIG, help="settings of the live chain (default: configs/demo.py)")
    parser.add_argument(
        "--checkpoint", help="recognizer, .onnx or a .pth fresh from training (default: the shipped one)"
    )
    parser.add_argument(
        "--out-dir",
        type=Path,
        help="folder for the results, of several sources one in it for each (default: work_dirs/demo/<name>)",
    )
    parser.add_argument("--no-video", action="store_true", help="don't write the annotated video")
    parser.add_argument(
        "--pose",
        metavar="SOURCE",
        help="where keypoints come from: movenet (default) or such as yolox_s+hrnet_w32",
    )
    parser.add_argument("--skeleton-only", action="store_true", help="draw on black, so that nobody can be recognized")
    parser.add_argument("--device", default="CPU", help="OpenVINO device, such as CPU or GPU (default: CPU)")
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="change single settings")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    from falldet.io.video import probe, redacted

    for source in arguments.sources:
        probe(source)  # before the slow imports: a wrong path is told at once
    from falldet.config import read_settings
    from falldet.pipeline.detector import Pipeline, Settings
    from falldet.pose.source import PoseSettings
    from falldet.runtime.multi_source import run_sources
    from falldet.runtime.runner import OutputOptions, output_name, run_source

    settings = Settings.from_groups(read_settings(arguments.config, arguments.cfg_options))
    if arguments.checkpoint:
        settings = replace(settings, recognizer=replace(settings.recognizer, checkpoint=arguments.checkpoint))
    if arguments.pose:
        settings = replace(settings, pose=PoseSettings(arguments.pose))
    single = len(arguments.sources) == 1
    out_dir = arguments.out_dir or Path("work_dirs/demo") / (output_name(arguments.sources[0]) if single else "")
    options = OutputOptions(out_dir, video=not arguments.no_video, skeleton_only=arguments.skeleton_only)
    pipeline = Pipeline(settings, device=arguments.device)
    started = time.perf_counter()
    if single:
        results = [run_source(arguments.sources[0], pipeline, settings, options)]
    else:
        results = run_sources(arguments.sources, pipeline, settings, options)
    took_s = time.perf_counter() - started
    for source, result in zip(arguments.sources, results, strict=True):
        falls = ", ".join(f"{event.alert_s:.1f} s (person #{event.track_id})" for event in result.events)
        count = f"{len(result.events)} fall{'' if len(result.events) == 1 else 's'}{': ' + falls if falls else ''}"
        sys.stdout.write(f"{count}; " if single else f"{redacted(source)}: {count}\n")
    frames = sum(result.frames for result in results)
    sys.stdout.write(f"{frames} frames in {took_s:.1f} s ({frames / took_s:.0f} per second); results in {out_dir}\n")
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run(main)
