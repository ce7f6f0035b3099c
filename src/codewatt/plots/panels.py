"""Panels by model: one panel a model and setting, one line a precision, aligned over panels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from codewatt.analysis.labels import Labels, label
from codewatt.analysis.tables import Row
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import Facet, ordered

_ACROSS = 3
_FRAME_INCHES = 0.62


@dataclass(frozen=True)
class Panel:
    """What one panel shows. rows: one model's; facet: its setting, which shares a scale."""

    rows: tuple[Row, ...]
    facet: Facet
    precisions: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class Grid:
    """Panels in lines from left to right; a line holds panels of one setting only."""

    lines: tuple[tuple[Panel, ...], ...]
    across: int
    heights: tuple[float, ...]

    @property
    def width(self) -> float:
        """Inches: one column for a single panel a line, else two."""
        return figure_style.COLUMN if self.across == 1 else figure_style.TWO_COLUMNS


def arrange(facets: Sequence[Facet], labels: Labels, line_inches: float) -> Grid:
    """Lay out a panel for each model of each setting.

    Args:
        line_inches: the height of one precision's line.
    """
    models = [ordered(labels, "model", facet.rows) for facet in facets]
    across = min(_ACROSS, max((len(names) for names in models), default=1))
    lines, heights = [], []
    for facet, names in zip(facets, models, strict=True):
        precisions = tuple(ordered(labels, "precision", facet.rows))
        panels = [_panel(facet, name, precisions, labels) for name in names]
        for start in range(0, len(panels), across):
            lines.append(tuple(panels[start : start + across]))
            heights.append(_FRAME_INCHES + line_inches * len(precisions))
    return Grid(tuple(lines), across, tuple(heights))


def _panel(facet: Facet, model: str, precisions: tuple[str, ...], labels: Labels) -> Panel:
    title = "\n".join(part for part in (label(labels, "model", model), facet.title) if part)
    rows = tuple(row for row in facet.rows if row["model"] == model)
    return Panel(rows, facet, precisions, title)


def draw(figure: Figure, grid: Grid, labels: Labels, paint: Callable[[Any, Panel], None]) -> None:
    """Make the panels, let `paint` fill each, and name the precisions at the left."""
    axes_grid = figure.subplots(
        len(grid.lines), grid.across, squeeze=False, height_ratios=grid.heights
    )
    for axes_line, line in zip(axes_grid, grid.lines, strict=True):
        for column, axes in enumerate(axes_line):
            if column >= len(line):
                axes.set_axis_off()
                continue
            panel = line[column]
            paint(axes, panel)
            count = len(panel.precisions)
            names = [label(labels, "precision", name) for name in panel.precisions]
            axes.set_yticks(range(count), names)
            axes.set_ylim(count - 0.4, -0.6)
            axes.tick_params(axis="y", length=0, labelleft=column == 0)
            axes.grid(axis="x")
            axes.set_title(panel.title)
