"""The canvas and colors that all plots share.

Matplotlib is used through its objects, never through pyplot: no plot needs a display or leaves figures open.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from falldet.io.files import atomic_write

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F4F24", "#4D4D4D")
"""Colors of curves, distinguishable by color-blind readers (Okabe and Ito, Color Universal Design, 2008)."""

INK, GRID, MUTED = "#222222", "#E3E3E3", "#6B6B6B"
DOTS_PER_INCH = 130


def new_canvas(title: str, x_name: str, y_name: str, size: tuple[float, float] = (7.2, 4.2)) -> tuple[Figure, Axes]:
    """Return a figure of `size` inches (width, height) and its axes, styled and labeled."""
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=13, color=INK, pad=12)
    axes.set_xlabel(x_name, color=INK)
    axes.set_ylabel(y_name, color=INK)
    style_axes(axes)
    return figure, axes


def style_axes(axes: Axes) -> None:
    """Give `axes` a light grid behind the curves and no frame."""
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write `figure` as PNG in one step; raises FalldetError where `path` can't be written."""
    with atomic_write(Path(path), binary=True) as stream:
        figure.savefig(stream, format="png")
