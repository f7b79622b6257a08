"""The page of leave-one-source-out: sources of clips, macro F1, and its tables."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from falldet.evaluation.metrics import Tally
from falldet.stages.events import ALERT_THRESHOLDS
from research.accuracy.source_table import SOURCES, Records, as_page, macro_f1, metrics_at, source_of


def records() -> Records:
    """Two seeds and their mean on an eye-level source, the ceiling and clips without falls."""
    found = {
        "URFD eye level": Tally(8, 2, 2, [360.0], [1.0] * 8, []),
        "URFD ceiling": Tally(1, 9, 0, [360.0], [1.5], []),
    }
    found["exercise"] = Tally(0, 0, 1, [720.0], [], [])
    by_source = {source: {f"{t:g}": asdict(own) for t in ALERT_THRESHOLDS.values()} for source, own in found.items()}
    return {name: by_source for name in ("seed 0", "seed 1", "shipped")}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("urfd/fall/fall-01-cam1.mp4", "URFD ceiling"),
        ("urfd/adl/adl-01-cam0.mp4", "URFD eye level"),
        ("gmdcsa24b/adl/s2_hist24.mp4", "GMDCSA-24"),
        ("upfall/fall/a01_t1_c1.mp4", "UP-Fall camera 1"),
        ("upfall/fall/a01_t1_c2.mp4", "UP-Fall camera 2"),
        ("caucafall/fall/test7.mp4", "mixed + CAUCAFall"),
        ("survnofight/not_fall/nofi001.mp4", "surveillance"),
        ("exercise/not_fall/mk_abdominal.mp4", "exercise"),
    ],
)
def test_source_of_names_the_source_of_a_clip(path: str, source: str) -> None:
    assert source_of(path) == source
    assert source in SOURCES


def test_macro_f1_is_the_mean_over_sources_with_falls() -> None:
    metrics = metrics_at(records(), "shipped", 0.6)
    assert macro_f1(metrics) == pytest.approx((0.8 + 2 / 11) / 2)
    assert macro_f1(metrics, ["URFD ceiling"]) == pytest.approx(0.8)


def test_as_page_has_a_row_a_source_and_an_operating_point() -> None:
    page = as_page(records())
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    by_name = {row[0]: row for row in rows}
    assert by_name["URFD eye level"][1:] == ["10", "0.80", "0.80", "0.80", "0.80, 0.80", "20.0", "1.00 s"]
    assert by_name["exercise"][1:] == ["0", "", "", "", "", "5.0", ""]
    assert by_name["balanced"][1:] == ["0.6", "0.45", "0.491", "0.800", "0.491, 0.491", "7.5"]
    assert [row[0] for row in rows if row[0] in {"0.5", "0.6", "0.8"}] == ["0.5", "0.6", "0.8"]
