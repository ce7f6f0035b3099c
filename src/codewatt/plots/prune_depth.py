"""Figure: pass@1 and energy against the number of pruned layers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.efficient_frontier import accuracy_column
from codewatt.analysis.labels import Labels
from codewatt.plots import depth_axes, figure_style
from codewatt.plots.figure_cells import (
    Facet,
    Selection,
    accuracy_distances,
    accuracy_label,
    energy_note,
    interval_distances,
    interval_source,
    is_modelled,
    no_accuracy_note,
    repeats_note,
    validity_note,
)

_ROW_INCHES = 2.3


def plot(
    cell_table: pd.DataFrame,
    labels: Labels,
    out_stem: Path,
    *,
    prompt: str = "stripped",
) -> list[Path]:
    """Draw pass@1 (left) and energy per run (right) against the number of pruned layers.

    One row of panels for each setting; with several prune methods, for each setting and model.
    Only the baseline's precision and one prompt style are shown. Whiskers: 95 % Wilson interval of
    pass@1 over tasks; 95 % interval of the geometric mean of energy over repeats or sessions.

    Args and returns: as codewatt.plots.energy_by_precision.plot.
    """
    shown, lines = depth_axes.select_depths(cell_table, labels, prompt)
    with figure_style.style():
        return figure_style.save(_draw(shown, lines, labels), out_stem)


def _draw(shown: Selection, lines: depth_axes.Lines, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    count = max(len(shown.facets), 1)
    sentences = [
        shown.setting,
        energy_note(rows),
        validity_note(rows),
        repeats_note(rows),
        "Whiskers: 95 % confidence intervals; left: Wilson, over tasks; right: geometric mean, "
        f"over {interval_source(rows)}",
        no_accuracy_note(rows, labels),
        shown.omitted,
    ]
    handles = _legend(rows, lines)
    figure = figure_style.new_figure(
        figure_style.TWO_COLUMNS, _ROW_INCHES * count, sentences, handles
    )
    grid = figure.subplots(count, 2, squeeze=False)
    if not shown.facets:
        for axes in grid.flat:
            figure_style.write_message(axes, "no cells")
    for pair, facet in zip(grid, shown.facets, strict=False):
        _accuracy_panel(pair[0], facet, lines)
        _energy_panel(pair[1], facet, lines)
        for axes in pair:
            axes.set_title(facet.title)
            depth_axes.set_depth_axis(axes, facet)
    return figure


def _accuracy_panel(axes: Any, facet: Facet, lines: depth_axes.Lines) -> None:
    accuracy = accuracy_column(facet.rows)
    rows = [row for row in facet.rows if row[accuracy] is not None]
    if not rows:
        figure_style.write_message(axes, "no pass@1")
        return
    for position, line in lines.split(rows):
        ends = [accuracy_distances(row, accuracy) for row in line]
        axes.errorbar(
            lines.x_positions(line, position),
            [row[accuracy] for row in line],
            yerr=list(zip(*ends, strict=True)),
            capsize=2,
            elinewidth=0.7,
            **figure_style.model_style(position),
        )
    axes.set_ylim(0, 1.02)
    axes.set_ylabel(accuracy_label(accuracy))


def _energy_panel(axes: Any, facet: Facet, lines: depth_axes.Lines) -> None:
    rows = [row for row in facet.rows if row["energy_j_geomean"] is not None]
    if not rows:
        figure_style.write_message(axes, "no energy data")
        return
    tops = [
        max(row["energy_j_geomean"], (row["energy_j_ci95_high"] if row["valid"] else None) or 0.0)
        for row in rows
    ]
    divisor, unit = figure_style.energy_scale(max(tops))
    for position, line in lines.split(rows):
        style = figure_style.model_style(position)
        valid = [row for row in line if row["valid"]]
        axes.plot(
            lines.x_positions(valid, position),
            [row["energy_j_geomean"] / divisor for row in valid],
            color=style["color"],
        )
        for row in line:
            _energy_point(axes, row, lines.x_positions([row], position)[0], divisor, style)
    axes.set_ylim(0, max(tops) / divisor * 1.08)
    axes.set_ylabel(f"Energy per run ({unit})")


def _energy_point(axes: Any, row: Row, depth: float, divisor: float, style: dict[str, Any]) -> None:
    """Draw one cell: an open marker if modelled, a cross if it failed a validity check."""
    whisker = interval_distances(row, "energy_j") if row["valid"] else None
    axes.errorbar(
        depth,
        row["energy_j_geomean"] / divisor,
        yerr=None if whisker is None else [[end / divisor] for end in whisker],
        color=style["color"],
        marker=style["marker"] if row["valid"] else "x",
        markerfacecolor="white" if is_modelled(row) else style["color"],
        capsize=2,
        elinewidth=0.7,
    )


def _legend(rows: Sequence[Row], lines: depth_axes.Lines) -> list[Any]:
    handles = lines.handles(rows)
    if any(row["valid"] and is_modelled(row) for row in rows):
        handles.append(figure_style.open_marker())
    if any(row["valid"] is False and row["energy_j_geomean"] is not None for row in rows):
        handles.append(figure_style.failed_marker())
    return handles
