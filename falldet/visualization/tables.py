"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; a `|` within a cell is escaped.

    Example:
        >>> markdown_table(("stage", "ms"), [("pose", "9.8")])
        ['| stage | ms |', '| --- | --- |', '| pose | 9.8 |']
    """
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
