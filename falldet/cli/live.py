"""Watch cameras for falls until stopped: a service for months."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from falldet.cli import options
from falldet.cli.process import EXIT_OK, EXIT_USER_ERROR, tell_error
from falldet.config import parse_override
from falldet.errors import FalldetError

if TYPE_CHECKING:
    from falldet.live.config import CameraConfig, LiveConfig
    from falldet.live.credentials import Redactor

logger = logging.getLogger(__name__)

CHECKED_FRAMES = 15
CHECK_S = 5.0

EXAMPLES = """\
  falldet live 0                                              # the first webcam
  falldet live hall=rtsp://192.0.2.7:554/sub                  # a network camera, named
  HALL_PASSWORD=... falldet live 'hall=rtsp://watch:{HALL_PASSWORD}@192.0.2.7:554/sub'
  falldet live --config configs/live.toml --check             # can every camera be read?
  falldet live --config configs/live.toml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="an rtsp:// or http:// address, a webcam's number or a video file, as SOURCE or NAME=SOURCE",
    )
    parser.add_argument("--config", metavar="TOML", help="cameras and settings, such as configs/live.toml")
    parser.add_argument("--check", action="store_true", help="open each source once, print a table and end")
    parser.add_argument("--state-dir", help="folder of the database and the pose clips (default: state.folder)")
    parser.add_argument("--fast", action="store_true", help="read files as fast as possible, in their own time")
    parser.add_argument("--debug", action="store_true", help="log more")
    options.add_device(parser)
    options.add_cfg_options(parser, "events.sensitivity=low, for all cameras")


def run(arguments: argparse.Namespace) -> int:
    """Watch, or check the sources; return the exit code."""
    redactor = set_up_logging(arguments.debug)
    try:
        config = load_config(arguments, redactor)
        if arguments.check:
            return check(config)
        watch(config, arguments.device, arguments.fast)
    except FalldetError as error:
        tell_error(redactor.redact(str(error)))
        return EXIT_USER_ERROR
    return EXIT_OK


def set_up_logging(debug: bool) -> Redactor:
    """Log to stderr, with times where no journal adds them; return the filter that masks secrets in every line."""
    from falldet.live.credentials import Redactor

    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    form = "%(levelname)s %(message)s" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, format=form, stream=sys.stderr)
    redactor = Redactor()
    redactor.install()
    sys.excepthook = lambda kind, error, trace: logger.critical("falldet failed", exc_info=(kind, error, trace))
    threading.excepthook = lambda failed: logger.error(
        "thread %s failed", failed.thread.name if failed.thread else "?", exc_info=failed.exc_value
    )
    return redactor


def load_config(arguments: argparse.Namespace, redactor: Redactor) -> LiveConfig:
    """Return the configuration with the command line's values and all secrets in place."""
    from falldet.live.config import read_live_config
    from falldet.live.credentials import Credentials

    config = read_live_config(arguments.config, arguments.sources, detector_overrides(arguments.cfg_options))
    if arguments.state_dir:
        config = replace(config, state=replace(config.state, folder=arguments.state_dir))
    return config.with_secrets(Credentials(redactor, config.credentials))


def detector_overrides(options: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return `group.key=value` options as groups; raises FalldetError where one has another form."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in map(parse_override, options):
        group, dot, key = name.partition(".")
        if not dot:
            raise FalldetError(f"--cfg-options takes group.key=value, got {name!r}")
        groups.setdefault(group, {})[key] = value
    return groups


def check(config: LiveConfig) -> int:
    """Open each source once and print a table; return 0 where all can be read, else 2."""
    lines: list[tuple[str, ...]] = [("camera", "source", "image", "frames/s", "first frame", "result")]
    bad = 0
    for camera in config.cameras:
        if not camera.watch:
            lines.append((camera.name, camera.shown_source, "", "", "", "off"))
            continue
        try:
            lines.append(check_camera(camera))
        except FalldetError as error:
            bad += 1
            lines.append((camera.name, camera.shown_source, "", "", "", str(error)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")
    return EXIT_USER_ERROR if bad else EXIT_OK


def check_camera(camera: CameraConfig) -> tuple[str, ...]:
    """Return a line of the table of `check`; raises FalldetError where the source can't be read."""
    from falldet.live.source import LiveSource

    start_s = time.monotonic()
    arrivals: list[float] = []
    with LiveSource(camera.source, time.monotonic, threading.Event(), camera.transport) as source:
        for frame in source.frames():
            arrivals.append(frame.arrival_s)
            if len(arrivals) >= CHECKED_FRAMES or frame.arrival_s - arrivals[0] > CHECK_S:
                break
        if not arrivals:
            raise FalldetError("not a single frame can be decoded")
        size = f"{source.width}x{source.height}"
        span_s = arrivals[-1] - arrivals[0]
        rate = source.nominal_fps if source.has_clock or not span_s else round((len(arrivals) - 1) / span_s, 1)
    large = "; ask the camera for a smaller stream" if source.width * source.height > 1280 * 720 else ""
    return camera.name, camera.shown_source, size, f"{rate:g}", f"{arrivals[0] - start_s:.1f} s", f"ok{large}"


def watch(config: LiveConfig, device: str, fast: bool) -> None:
    """Watch until SIGTERM or Ctrl-C; a second one ends at once."""
    from falldet.live.service import LiveService

    stop = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        LiveService(config, device, fast).run(stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    logger.info("stopped")
    logging.shutdown()
    os._exit(EXIT_OK)  # all is on disk; the interpreter would wait for reads that hang, and tear down beneath them
