"""Find falls in videos and streams: events, scores, a timeline and an annotated video of each.

Several sources run at the same time with one set of models; a source that fails does not stop the others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from falldet.cli import options
from falldet.cli.process import EXIT_BROKEN_OFF, EXIT_INCOMPLETE, EXIT_OK, EXIT_USER_ERROR, tell_error
from falldet.errors import FalldetError

if TYPE_CHECKING:
    from falldet.pipeline.config import Config
    from falldet.runtime.runner import RunResult

EXAMPLES = """\
  falldet demo video.mp4
  falldet demo video.mp4 --checkpoint work_dirs/stgcn_fall/epoch_80.pth --out-dir results
  falldet demo video.mp4 --no-video --cfg-options events.alert_threshold=0.7
  falldet demo video.mp4 --pose yolox_s+hrnet_w32 --cfg-options topdown.det_interval=5
  falldet demo rtsp://127.0.0.1:8554/camera --skeleton-only
  falldet demo hall.mp4 stairs.mp4 rtsp://127.0.0.1:8554/kitchen
"""

OUT_DIR = Path("work_dirs/demo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="source",
        help="video file, rtsp:// or http:// address, named pipe, or number of a webcam",
    )
    parser.add_argument(
        "--out-dir",
        type=Path,
        help=f"folder for the results, with a folder for each of several sources (default: {OUT_DIR}/<source>)",
    )
    parser.add_argument("--no-video", action="store_true", help="don't write the annotated video")
    parser.add_argument(
        "--skeleton-only", action="store_true", help="draw on black, so that people can't be recognized"
    )
    options.add_checkpoint(parser)
    options.add_pose(parser)
    options.add_device(parser)
    options.add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the sources and tell the falls of each."""
    from falldet.io.source_kind import SourceKind, kind_of
    from falldet.io.video import probe

    if len(arguments.sources) == 1 and kind_of(arguments.sources[0]) in (SourceKind.FILE, SourceKind.OTHER):
        probe(arguments.sources[0])  # before the slow imports: a wrong path is told at once
    config = options.config_from(arguments)
    started = time.perf_counter()
    out_dir, results = _run_sources(arguments, config)
    took_s = time.perf_counter() - started
    frames = sum(0 if isinstance(result, FalldetError) else result.frames for result in results)
    several = len(results) > 1
    if not several and not isinstance(results[0], FalldetError):
        out_dir = results[0].folder or out_dir
    codes = [tell(source, result, several) for source, result in zip(arguments.sources, results, strict=True)]
    if frames:
        rate = f"{frames} frames in {took_s:.1f} s ({frames / took_s:.0f} per second)"
        sys.stdout.write(f"{rate}; results in {out_dir}\n")
    return max(codes)


def _run_sources(arguments: argparse.Namespace, config: Config) -> tuple[Path, Sequence[RunResult | FalldetError]]:
    """Return the folder of the results and what came out of each source."""
    from falldet.io.addresses import output_name
    from falldet.pipeline.detector import FallDetector
    from falldet.runtime.multi_source import run_sources
    from falldet.runtime.runner import OutputOptions, run_source

    sources, single = arguments.sources, len(arguments.sources) == 1
    name = output_name(sources[0]) if single else ""
    out_dir = arguments.out_dir or OUT_DIR / name
    outputs = OutputOptions(out_dir, video=not arguments.no_video, skeleton_only=arguments.skeleton_only)
    detector = FallDetector(config, device=arguments.device, source=name)
    if single:
        return out_dir, [run_source(sources[0], detector, outputs)]
    return out_dir, run_sources(sources, detector, outputs)


def tell(source: str, result: RunResult | FalldetError, with_folder: bool = False) -> int:
    """Tell what came out of a source, and where it is written if asked; return its exit code."""
    from falldet.io.addresses import redacted

    name = redacted(source)
    if isinstance(result, FalldetError):
        tell_error(result if name in str(result) else f"{name}: {result}")
        return EXIT_USER_ERROR
    falls = ", ".join(f"{event.alert_s:.1f} s (person #{event.track_id})" for event in result.events)
    count = f"{len(result.events)} fall{'' if len(result.events) == 1 else 's'}"
    where = f"; results in {result.folder}" if with_folder and result.folder else ""
    sys.stdout.write(f"{name}: {count}{': ' + falls if falls else ''}{where}\n")
    for failure in result.failed:
        tell_error(f"{name}: incomplete results: {failure}")
    if result.broken_off:
        tell_error(f"{name} broke off after {result.duration_s:.1f} s: {result.broken_off}")
        return EXIT_BROKEN_OFF
    return EXIT_INCOMPLETE if result.failed else EXIT_OK
