"""Layout of figures with one panel for each model and setting, and one row for each precision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from codewatt.analysis.columns import Row
from codewatt.analysis.labels import Labels, label
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import Facet, ordered_ids

_ACROSS = 3
_FRAME_INCHES = 0.62


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        rows: rows of one model.
        facet: the setting; its panels share a scale.
        precisions: ids, from top to bottom.
        title: title of the panel.
    """

    rows: tuple[Row, ...]
    facet: Facet
    precisions: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class PanelGrid:
    """Rows of panels; all panels of a row are of the same setting.

    Attributes:
        lines: rows of panels.
        across: number of panels in a full row.
        heights: height of each row (inches).
    """

    lines: tuple[tuple[Panel, ...], ...]
    across: int
    heights: tuple[float, ...]

    @property
    def width(self) -> float:
        """Width (inches): one column of a paper for single panels, otherwise two."""
        return figure_style.COLUMN if self.across == 1 else figure_style.TWO_COLUMNS


def arrange(facets: Sequence[Facet], labels: Labels, line_inches: float) -> PanelGrid:
    """Arrange a panel for each model of each setting.

    Args:
        facets: the settings.
        labels: kind → id → label.
        line_inches: height of the row of one precision.
    """
    models = [ordered_ids(labels, "model", facet.rows) for facet in facets]
    across = min(_ACROSS, max((len(names) for names in models), default=1))
    lines, heights = [], []
    for facet, names in zip(facets, models, strict=True):
        precisions = tuple(ordered_ids(labels, "precision", facet.rows))
        panels = [_panel(facet, name, precisions, labels) for name in names]
        for start in range(0, len(panels), across):
            lines.append(tuple(panels[start : start + across]))
            heights.append(_FRAME_INCHES + line_inches * len(precisions))
    return PanelGrid(tuple(lines), across, tuple(heights))


def _panel(facet: Facet, model: str, precisions: tuple[str, ...], labels: Labels) -> Panel:
    title = "\n".join(part for part in (label(labels, "model", model), facet.title) if part)
    rows = tuple(row for row in facet.rows if row["model"] == model)
    return Panel(rows, facet, precisions, title)


def draw(
    figure: Figure, grid: PanelGrid, labels: Labels, paint: Callable[[Any, Panel], None]
) -> None:
    """Create the panels, fill each with `paint`, and write the precisions at the left."""
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
