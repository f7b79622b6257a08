"""Several cameras or videos at once, with one set of models: python examples/two_cameras.py hall.mp4 stairs.mp4."""

import sys
from pathlib import Path

from falldet import FallDetector
from falldet.errors import FalldetError
from falldet.runtime.multi_source import run_sources
from falldet.runtime.runner import OutputOptions

if __name__ == "__main__":
    sources = sys.argv[1:]  # files, rtsp:// addresses, numbers of webcams
    results = run_sources(sources, FallDetector(), OutputOptions(Path("results"), video=False))
    for source, result in zip(sources, results, strict=True):
        if isinstance(result, FalldetError):  # this source failed, the others did not
            print(f"{source}: {result}")
        else:
            print(f"{source}: falls at {[round(event.alert_s, 1) for event in result.events]} s")
