"""What research/tracking/compare.py writes: research/results/tracking.json and, for people, docs/tracking.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from falldet.io.files import atomic_write
from research.tracking.scenes import KINDS, TrackingScene

ROOT = Path(__file__).resolve().parents[2]
RESULTS, TABLE = ROOT / "docs" / "tracking.json", ROOT / "docs" / "tracking.md"
NUMBER_TABLE = ROOT / "docs" / "tracker_numbers.md"
AROUND_FALL_S = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """One tracker measured: its metrics by group of scenes, switches around falls, and milliseconds per frame."""

    name: str
    options: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, float]]
    around_falls: int
    crowd_ms: float


def read_results() -> list[Row]:
    """Return what research/results/tracking.json holds, nothing where there is none."""
    if not RESULTS.is_file():
        return []
    return [Row(**row) for row in json.loads(RESULTS.read_text(encoding="utf-8"))]


def write_results(rows: Sequence[Row], scenes: Sequence[TrackingScene]) -> None:
    """Write research/results/tracking.json and docs/tracking.md."""
    with atomic_write(RESULTS) as stream:
        json.dump([asdict(row) for row in rows], stream, indent=1)
    falls = sum(len(scene.falls) for scene in scenes)
    frames = sum(len(scene.frames) for scene in scenes)
    with atomic_write(TABLE) as stream:
        stream.write(
            "# Who is who\n\n"
            f"{len(scenes)} composed scenes, {frames} frames, {falls} falls, of the test split's clips of one person. "
            "`research/tracking/compare.py` says how, and how everybody's numbers were chosen, on other clips. "
            "Scorer: trackers.eval 2.6.1. Switches around falls: the person who falls gets another number within "
            f"{AROUND_FALL_S:g} s of the fall. Time: processor time, six people.\n\n" + as_markdown(rows)
        )


def as_markdown(rows: Sequence[Row]) -> str:
    """Return a table of all scenes and one of the scenes with falls, then IDF1 by kind and the peers' numbers."""
    lines = []
    for group, title in (("falls", "Scenes with falls"), ("all", "All scenes")):
        lines += [
            f"## {title}",
            "",
            "| tracker | HOTA | IDF1 | MOTA | ID switches | fragments | switches around falls | ms per frame |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in rows:
            figures = row.metrics[group]
            lines.append(
                f"| {row.name} | {100 * figures['HOTA']:.1f} | {100 * figures['IDF1']:.1f} | "
                f"{100 * figures['MOTA']:.1f} | {figures['IDSW']:.0f} | {figures['Frag']:.0f} | {row.around_falls} | "
                f"{row.crowd_ms:.2f} |"
            )
        lines.append("")
    lines += ["## IDF1 by kind of scene", "", f"| tracker | {' | '.join(KINDS)} |", "|---" * (1 + len(KINDS)) + "|"]
    lines += [
        f"| {r.name} | " + " | ".join(f"{100 * r.metrics[kind]['IDF1']:.1f}" for kind in KINDS) + " |" for r in rows
    ]
    lines += ["", "## Numbers chosen for the peers", ""]
    lines += [f"- {r.name}: {', '.join(f'{k} {v}' for k, v in r.options.items())}" for r in rows if r.options]
    return "\n".join(lines) + "\n"


def write_number_table(rows: Sequence[tuple[str, Any, bool, float, int]], scenes: int) -> None:
    """Write docs/tracker_numbers.md: number, value, whether it is the shipped one, IDF1, switches around falls."""
    lines = [
        "# The tracker's numbers",
        "",
        f"{scenes} composed scenes of the clips of train and val, one number changed at a time, the shipped value in "
        "bold. `research/tracking/compare.py --numbers` makes this table.",
        "",
        "| number | value | IDF1 | switches around falls |",
        "|---|---|---|---|",
    ]
    for name, value, shipped, idf1, switches in rows:
        shown = f"**{value:g}**" if shipped else f"{value:g}"
        lines.append(f"| {name} | {shown} | {100 * idf1:.1f} | {switches} |")
    with atomic_write(NUMBER_TABLE) as stream:
        stream.write("\n".join(lines) + "\n")
