"""The tracking study's page and results file."""

from __future__ import annotations

from pathlib import Path

import pytest

from research.tracking import table
from research.tracking.compare import combinations
from research.tracking.scenes import KINDS, compose
from research.tracking.sources import Source
from research.tracking.table import Row, read_results, write_results

METRICS = {"HOTA": 0.5, "IDF1": 0.25, "MOTA": 0.125, "IDSW": 7.0, "Frag": 9.0}


def test_write_results_gives_rows_that_read_results_reads(
    sources: list[Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "RESULTS_FILE", tmp_path / "results" / "tracking.json")
    monkeypatch.setattr(table, "PAGE", tmp_path / "docs" / "tracking.md")
    assert read_results() == []
    rows = [
        Row("falldet", {}, {group: METRICS for group in ("all", "falls", *KINDS)}, 3, 0.5),
        Row("peer", {"buffer": 90}, {group: METRICS for group in ("all", "falls", *KINDS)}, 4, 1.5),
    ]
    write_results(rows, [compose(sources, "crossing", 0)])
    assert read_results() == rows
    page = (tmp_path / "docs" / "tracking.md").read_text()
    assert "| falldet | 50.0 | 25.0 | 12.5 | 7 | 9 | 3 | 0.50 |" in page
    assert "- peer: buffer 90" in page
    assert "- falldet" not in page


def test_read_results_reads_the_repository_s_file() -> None:
    assert {"falldet", "reference matching", "ByteTrack"} <= {row.name for row in read_results()}


def test_combinations_are_all_of_a_grid() -> None:
    assert combinations({"a": (1, 2), "b": (3,)}) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
