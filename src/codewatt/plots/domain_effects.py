"""Figure: forest plot of the changes of energy per task and of pass@1 by domain of the tasks."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import variant_text
from codewatt.analysis.labels import Labels
from codewatt.analysis.tables import to_rows
from codewatt.plots import figure_style, forest_plots
from codewatt.plots.domain_panels import (
    DomainFigure,
    Panel,
    number_series,
    series_handles,
    split_panels,
)

_ENERGY, _PASS = "j_per_task", "pass_at_1_base"
#: Metric -> label of its panel.
_PANELS = {
    _ENERGY: "Change of energy per task (%)",
    _PASS: "pass@1 (base tests): difference (points)",
}
#: The axis reaches this far beyond the largest interval.
_SPACE = 1.06


def plot(
    domain_comparison_table: pd.DataFrame,
    cell_table: pd.DataFrame,
    labels: Labels,
    out_stem: Path,
) -> list[Path]:
    """Draw the change of each variant against its reference on the tasks of each domain.

    A row of panels for each model and setting. All panels of a metric have the same scale. Filled
    markers have a Holm-adjusted p below 0.05. A comparison that is withheld has no marker; the
    reasons stand above the panels.

    Args:
        domain_comparison_table: the table of comparisons by domain that `aggregate` made.
        cell_table: its cell table, for the names of references.
        labels: kind → id → label.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG and the PDF.
    """
    cells = {row["cell_id"]: row for row in to_rows(cell_table)}
    rows = to_rows(domain_comparison_table)
    drawn = [row for row in rows if row["estimate"] is not None]
    limits = {
        metric: _limits([row for row in drawn if row["metric"] == metric]) for metric in _PANELS
    }
    by_metric = {
        metric: split_panels([r for r in rows if r["metric"] == metric], labels, "tasks", metric)
        for metric in _PANELS
        if any(row["metric"] == metric for row in drawn)
    }
    lines = _lines([panels for panels, _ in by_metric.values()])
    series = _series(rows, cells, labels)

    def paint(figure: DomainFigure, axes: Any, panel: Panel) -> None:
        low, high, cut = limits[panel.metric]
        axes.axvline(0, color=figure_style.INK, linewidth=0.8, zorder=1)
        for row in panel.rows:
            if row["estimate"] is not None:
                name = _name(row, cells, labels)
                _estimate(axes, row, figure.height(row, name), cut, figure.style(name))
        axes.set_xlim(low, high)
        axes.set_xlabel(_PANELS[panel.metric])

    named = any(_ending(row, cells, labels) for row in rows)
    arrow = any(
        ends is not None and ends[1] > limits[row["metric"]][2]
        for row in drawn
        for ends in [_ends(row)]
    )
    sentences = [
        "Change of each variant against the baseline of its model"
        f"{' or the variant that is named' if named else ''} on the tasks of each domain, with "
        "95 % confidence interval; in brackets: tasks that are compared; a task with several "
        "domains counts in each of them",
        next((setting for _, setting in by_metric.values() if setting is not None), None),
        forest_plots.sessions_note(drawn),
        "An arrow: the interval goes on beyond the panel" if arrow else None,
        forest_plots.withheld_note(
            "A comparison that is withheld has no marker",
            [row["note"] or "no estimate" for row in rows if row["estimate"] is None],
            f"{len(rows)} comparisons",
            "table of comparisons by domain",
        ),
    ]
    handles = series_handles(series) + forest_plots.p_handles(drawn)
    figure = DomainFigure(lines, series, paint, sentences, handles, "no comparisons by domain")
    with figure_style.style():
        return figure.save(out_stem)


def _lines(of_metrics: Sequence[Sequence[Panel]]) -> list[list[Panel]]:
    """The panels of each model and setting beside each other, in the order of the metrics."""
    titles = dict.fromkeys(panel.title for panels in of_metrics for panel in panels)
    return [
        [panel for panels in of_metrics for panel in panels if panel.title == title]
        for title in titles
    ]


def _series(rows: Sequence[Row], cells: Mapping[str, Row], labels: Labels) -> dict[str, int]:
    """What is compared, with the colours that variants have in the other figures by domain."""
    own = {row["benchmark"] for row in rows}
    ran = [c for c in cells.values() if c["benchmark"] in own and c["status"] == "ok"]
    variants = [variant_text(cell, labels) for cell in ran]
    names = [_name(row, cells, labels) for row in rows]
    return {name: n for name, n in number_series([*variants, *names]).items() if name in names}


def _name(row: Row, cells: Mapping[str, Row], labels: Labels) -> str:
    return variant_text(row, labels) + _ending(row, cells, labels)


def _ending(row: Row, cells: Mapping[str, Row], labels: Labels) -> str:
    """The reference of a comparison with another cell than the baseline; else nothing."""
    reference = row["reference_cell_id"]
    if reference == cells[row["cell_id"]]["baseline_cell_id"]:
        return ""
    return f" against {variant_text(cells[reference], labels)}"


def _limits(drawn: Sequence[Row]) -> tuple[float, float, float]:
    """Ends of the axis of a metric, and where its intervals are cut (per cent or points)."""
    cut = math.inf
    if any(row["metric"] == _ENERGY for row in drawn):
        cut = forest_plots.interval_cut(row["estimate"] for row in drawn)
    ends = [end for row in drawn for end in (_ends(row) or ())]
    ends += [100 * row["estimate"] for row in drawn]
    low, high = min(ends, default=-1.0), min(max(ends, default=1.0), cut)
    return min(low * _SPACE, -1.0), max(high * _SPACE, 1.0), cut


def _ends(row: Row) -> tuple[float, float] | None:
    return forest_plots.interval_percent(row, "ci95_low", "ci95_high")


def _estimate(axes: Any, row: Row, height: float, cut: float, style: dict[str, Any]) -> None:
    if (ends := _ends(row)) is not None:
        forest_plots.draw_whisker(axes, ends, height, cut, style["color"], 1.2)
    fill = {} if forest_plots.is_shown(row) else {"markerfacecolor": "white"}
    axes.plot(100 * row["estimate"], height, linestyle="none", zorder=4, **style, **fill)
