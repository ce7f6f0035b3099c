"""Layout of the figures by domain: panels of a model and setting, with a line for each domain."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.analysis.columns import Row
from codewatt.analysis.labels import Labels, label
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import ordered_ids, select_rows
from codewatt.plots.variant_blocks import wrap_label

#: Panels beside each other.
ACROSS = 2
#: Inches: a line of one domain, at least and for each variant; title and axis of a panel.
_LINE_INCHES, _VARIANT_INCHES, _FRAME_INCHES = 0.3, 0.11, 0.8
#: Height (inches) of the panels of a page; notes and legend need at most another 1.5 inches.
_PAGE_INCHES = 8.0
#: Characters of a line of a panel's title, and its height (inches).
_TITLE_CHARACTERS, _TITLE_INCHES = 45, 0.14
#: Part of a line's height over which its variants are spread.
_SPREAD = 0.75


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: its model, and the axes of the setting that differ between panels.
        rows: rows of a table with the columns CELL_IDS and `domain`, of one model and setting.
        metric: what is drawn, where a figure draws several metrics.
        counts: domain -> number of its tasks.
    """

    title: str
    rows: tuple[Row, ...]
    metric: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class DomainFigure:
    """A figure by domain.

    Attributes:
        lines: rows of panels, at most ACROSS in each.
        series: label of what is drawn in every line, from top to bottom -> number of its colour.
        paint: draws one panel, given the figure and the panel's axes.
        sentences: notes above the panels.
        handles: entries of the legend.
        empty: the message of a figure without panels.
    """

    lines: Sequence[Sequence[Panel]]
    series: Mapping[str, int]
    paint: Callable[["DomainFigure", Any, Panel], None]
    sentences: Sequence[str | None]
    handles: Sequence[Any]
    empty: str

    @property
    def domains(self) -> list[str]:
        """The names of the domains, from the lowest line to the highest."""
        rows = (row for line in self.lines for panel in line for row in panel.rows)
        return sorted({row["domain"] for row in rows}, reverse=True)

    def save(self, out_stem: Path) -> list[Path]:
        """Write the PNG, and the PDF, which has pages if the figure is taller than a page."""
        per_page = max(int(_PAGE_INCHES / self._line_inches), 1)
        starts = range(0, len(self.lines), per_page)
        whole = self._draw(self.lines, None)
        if len(starts) < 2:
            return figure_style.save(whole, out_stem)
        pages = [
            self._draw(self.lines[start : start + per_page], f"Page {number} of {len(starts)}")
            for number, start in enumerate(starts, 1)
        ]
        return figure_style.save_pages(whole, pages, out_stem)

    @property
    def _line_inches(self) -> float:
        """Height of a row of panels."""
        of_domain = max(_LINE_INCHES, _VARIANT_INCHES * (len(self.series) + 1))
        titles = [panel.title.count("\n") for line in self.lines for panel in line]
        frame = _FRAME_INCHES + _TITLE_INCHES * max(titles, default=0)
        return frame + of_domain * max(len(self.domains), 1)

    def _draw(self, lines: Sequence[Sequence[Panel]], page: str | None) -> Any:
        across = max((len(line) for line in self.lines), default=1)
        figure = figure_style.new_figure(
            figure_style.COLUMN if across == 1 else figure_style.TWO_COLUMNS,
            self._line_inches * len(lines) if lines else figure_style.EMPTY_PANEL,
            [page, *self.sentences],
            self.handles if lines else [],
        )
        if not lines:
            figure_style.write_message(figure.subplots(), self.empty)
            return figure
        grid = figure.subplots(len(lines), across, squeeze=False)
        for axes_line, line in zip(grid, lines, strict=True):
            titles = dict.fromkeys(panel.title for panel in line)
            for axes, panel in zip(axes_line, line, strict=False):
                # Panels of one model and setting have its title once, above the first.
                axes.set_title(panel.title if panel.title in titles else "")
                titles.pop(panel.title, None)
                self._set_domains(axes, panel)
                self.paint(self, axes, panel)
            for axes in axes_line[len(line) :]:
                axes.set_axis_off()
        return figure

    def _set_domains(self, axes: Any, panel: Panel) -> None:
        names = [f"{name} ({panel.counts.get(name, 0)})" for name in self.domains]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.5, len(names) - 0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        for edge in range(1, len(names)):
            axes.axhline(edge - 0.5, color="#DDDDDD", linewidth=0.5, zorder=0)

    def height(self, row: Row, series: str) -> float:
        """The vertical position of a row's point; the first of the series is the highest."""
        last = len(self.series) - 1
        shift = (last / 2 - list(self.series).index(series)) * _SPREAD / (last + 1)
        return self.domains.index(row["domain"]) + shift

    def style(self, series: str) -> dict[str, Any]:
        """Colour and marker of a series."""
        return figure_style.model_style(self.series[series])


def split_panels(
    rows: Sequence[Row], labels: Labels, count: str, metric: str = ""
) -> tuple[list[Panel], str | None]:
    """A panel for each model and setting, and a note on what all settings have in common.

    Args:
        rows: rows of a table with the columns CELL_IDS and `domain`.
        labels: kind → id → label.
        count: the column that has the number of tasks of a domain.
        metric: the metric of the panels.
    """
    shown = select_rows(rows, labels, {})
    panels = []
    for facet in shown.facets:
        for model in ordered_ids(labels, "model", facet.rows):
            own = tuple(row for row in facet.rows if row["model"] == model)
            counts = {name: _largest(own, name, count) for name in {row["domain"] for row in own}}
            lines = (label(labels, "model", model), facet.title)
            title = "\n".join(wrap_label(line, _TITLE_CHARACTERS) for line in lines if line)
            panels.append(Panel(title, own, metric, counts))
    return panels, shown.setting


def beside(panels: Sequence[Panel]) -> list[Sequence[Panel]]:
    """The panels in rows of ACROSS."""
    return [panels[start : start + ACROSS] for start in range(0, len(panels), ACROSS)]


def number_series(names: Iterable[str]) -> dict[str, int]:
    """Each name with the number of its colour, in the order in which the names come first."""
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def series_handles(series: Mapping[str, int]) -> list[Any]:
    """Legend entries of what is drawn."""
    return [
        figure_style.marker_handle(name, **figure_style.model_style(number))
        for name, number in series.items()
    ]


def draw_point(
    axes: Any, value: float, interval: tuple[float, float] | None, height: float, **style: Any
) -> None:
    """Draw a value with its interval, if it has one."""
    distances = None if interval is None else [[value - interval[0]], [interval[1] - value]]
    axes.errorbar(value, height, xerr=distances, elinewidth=0.8, capsize=1.5, **style)


def _largest(rows: Sequence[Row], domain: str, count: str) -> int:
    """The number of tasks of a domain; of cells that differ, the largest."""
    return max((row[count] or 0 for row in rows if row["domain"] == domain), default=0)
