"""How much does each setting of falldet's tracker matter? One changed at a time, the others at their defaults.

    python -m research.tracking.sensitivity videos/urfd/manifest.csv videos/gmdcsa24/manifest.csv --root videos/

Writes docs/benchmarks/tracker_settings.md: IDF1 and switches around falls on the scenes that settings are chosen on, of
the clips of train and val. Needs Roboflow's trackers for the scorer; research/peers/roboflow_trackers.py says how they
are installed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from falldet.cli.process import EXIT_OK, run
from falldet.io.files import atomic_write
from falldet.pipeline.config import Config
from falldet.stages.tracking import PoseTracker
from falldet.visualization.tables import markdown_table
from research import PAGES
from research.clips import add_clip_arguments
from research.tracking.compare import dev_scenes
from research.tracking.grid import TRACKER_VALUES
from research.tracking.ids import track_scenes
from research.tracking.scoring import Run, score_runs, switches_around_falls

PAGE = PAGES / "tracker_settings.md"
HEADER = ("setting", "value", "IDF1", "switches around falls")


def main() -> int:
    """Measure every value and write the page."""
    parser = argparse.ArgumentParser(
        description="The effect of each setting of falldet's tracker.",
        epilog="example: python -m research.tracking.sensitivity videos/urfd/manifest.csv --root videos/",
    )
    add_clip_arguments(parser)
    arguments = parser.parse_args()
    config = Config()
    scenes = dev_scenes(arguments, config)
    tried = [(name, value) for name, values in TRACKER_VALUES.items() for value in values]
    runs = []
    for name, value in tried:
        ids, _ = track_scenes(PoseTracker(replace(config.tracker, **{name: value})), scenes)
        runs.append(Run(f"{name} {value}", ids=ids, family="Identity"))
    rows = []
    for (name, value), own, scores in zip(tried, runs, score_runs(scenes, runs), strict=True):
        shown = f"**{value:g}**" if value == getattr(config.tracker, name) else f"{value:g}"
        rows.append((name, shown, f"{100 * scores.idf1:.1f}", str(switches_around_falls(scenes, own.ids))))
    with atomic_write(PAGE) as stream:
        stream.write(
            "# Settings of the tracker\n\n"
            f"{len(scenes)} composed scenes of the clips of train and val, one setting changed at a time, the default "
            "in bold. `python -m research.tracking.sensitivity` writes this page.\n\n"
            + "\n".join(markdown_table(HEADER, rows))
            + "\n"
        )
    sys.stdout.write(PAGE.read_text(encoding="utf-8"))
    return EXIT_OK


if __name__ == "__main__":
    run(main)
