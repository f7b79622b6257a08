"""Markdown tables."""

from __future__ import annotations

from falldet.visualization.tables import markdown_table


def test_markdown_table_escapes_bars() -> None:
    assert markdown_table(("a", "b"), [("1", "x|y"), ("2", "")]) == [
        "| a | b |",
        "| --- | --- |",
        "| 1 | x\\|y |",
        "| 2 |  |",
    ]
