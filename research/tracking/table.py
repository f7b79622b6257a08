"""The results of research/tracking/compare.py: research/results/tracking.json and docs/benchmarks/tracking.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from falldet.io.files import atomic_write
from falldet.visualization.tables import markdown_table
from research import PAGES, RESULTS
from research.tracking.scenes import KINDS, TrackingScene
from research.tracking.scoring import AROUND_FALL_S

RESULTS_FILE, PAGE = RESULTS / "tracking.json", PAGES / "tracking.md"

HEADER = ("tracker", "HOTA", "IDF1", "MOTA", "ID switches", "fragments", "switches around falls", "ms per frame")


@dataclass(frozen=True, slots=True)
class Row:
    """One tracker.

    Attributes:
        name: of the tracker.
        options: its chosen settings; empty where they are defaults.
        metrics: by group of scenes, metrics by name.
        around_falls: switches of the person who falls, around the fall.
        crowd_ms: milliseconds of processor time per frame with six people.
    """

    name: str
    options: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, float]]
    around_falls: int
    crowd_ms: float


def read_results() -> list[Row]:
    """Return the rows of the results file, none where there is no file."""
    if not RESULTS_FILE.is_file():
        return []
    return [Row(**row) for row in json.loads(RESULTS_FILE.read_text(encoding="utf-8"))]


def write_results(rows: Sequence[Row], scenes: Sequence[TrackingScene]) -> None:
    """Write the results file and the page."""
    with atomic_write(RESULTS_FILE) as stream:
        json.dump([asdict(row) for row in rows], stream, indent=1)
    with atomic_write(PAGE) as stream:
        stream.write(as_page(rows, scenes))


def as_page(rows: Sequence[Row], scenes: Sequence[TrackingScene]) -> str:
    """Return the page."""
    falls, frames = sum(len(scene.falls) for scene in scenes), sum(len(scene.frames) for scene in scenes)
    return (
        "# Identity over time\n\n"
        f"{len(scenes)} composed scenes, {frames} frames, {falls} falls, of the test split's clips with one person. "
        "`python -m research.tracking.compare` writes this page; settings were chosen on other clips. "
        "Scorer: trackers.eval 2.6.1. Switches around falls: the person who falls gets another track id within "
        f"{AROUND_FALL_S:g} s of the descent. Time: processor time, six people.\n\n" + as_markdown(rows)
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """Return tables of the scenes with falls, of all scenes and of IDF1 by kind, and the chosen settings."""
    lines = []
    for group, title in (("falls", "Scenes with falls"), ("all", "All scenes")):
        lines += [f"## {title}", "", *markdown_table(HEADER, [_cells(row, group) for row in rows]), ""]
    by_kind = [(row.name, *(f"{100 * row.metrics[kind]['IDF1']:.1f}" for kind in KINDS)) for row in rows]
    lines += ["## IDF1 by kind of scene", "", *markdown_table(("tracker", *KINDS), by_kind), ""]
    lines += ["## Settings chosen for the peers", ""]
    for row in rows:
        if row.options:
            lines.append(f"- {row.name}: {', '.join(f'{name} {value}' for name, value in row.options.items())}")
    return "\n".join(lines) + "\n"


def _cells(row: Row, group: str) -> list[str]:
    metrics = row.metrics[group]
    return [
        row.name,
        *(f"{100 * metrics[name]:.1f}" for name in ("HOTA", "IDF1", "MOTA")),
        *(f"{metrics[name]:.0f}" for name in ("IDSW", "Frag")),
        str(row.around_falls),
        f"{row.crowd_ms:.2f}",
    ]
