"""pass@1 and energy against the number of pruned layers, one line a model or prune method."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.efficient_frontier import accuracy_column
from codewatt.analysis.labels import Labels
from codewatt.analysis.tables import Row
from codewatt.plots import depth_axes, figure_style
from codewatt.plots.figure_cells import (
    Facet,
    Slice,
    accuracy_spread,
    accuracy_words,
    energy_words,
    modelled,
    repeats_words,
    spread,
    validity_words,
    without_accuracy,
)

_ROW_INCHES = 2.3


def plot(
    cell_table: pd.DataFrame,
    labels: Labels,
    out_stem: Path,
    *,
    prompt: str = "stripped",
) -> list[Path]:
    """Draw pass@1 (left) and energy of a run (right) against pruned layers.

    A line of panels a setting, or a setting and model where layers are chosen in several ways.
    Shown: the baseline's precision and one prompt style. Whiskers: 95 % Wilson interval over tasks;
    95 % interval of the energy over runs within one job.

    Args and returns: as codewatt.plots.energy_by_precision.plot.
    """
    shown, lines = depth_axes.cut_depths(cell_table, labels, prompt)
    with figure_style.style():
        return figure_style.save(_draw(shown, lines, labels), out_stem)


def _draw(shown: Slice, lines: depth_axes.Lines, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    count = max(len(shown.facets), 1)
    sentences = [
        shown.sentence,
        energy_words(rows),
        validity_words(rows),
        repeats_words(rows),
        "Whiskers: 95 % Wilson interval over tasks (left), 95 % interval within one job (right)",
        without_accuracy(rows, labels),
        shown.omitted,
    ]
    handles = _legend(rows, lines)
    figure = figure_style.new_figure(
        figure_style.TWO_COLUMNS, _ROW_INCHES * count, sentences, handles
    )
    grid = figure.subplots(count, 2, squeeze=False)
    if not shown.facets:
        for axes in grid.flat:
            figure_style.say(axes, "no cells")
    for pair, facet in zip(grid, shown.facets, strict=False):
        _accuracy_panel(pair[0], facet, lines)
        _energy_panel(pair[1], facet, lines)
        for axes in pair:
            axes.set_title(facet.title)
            depth_axes.frame(axes, facet)
    return figure


def _accuracy_panel(axes: Any, facet: Facet, lines: depth_axes.Lines) -> None:
    accuracy = accuracy_column(facet.rows)
    rows = [row for row in facet.rows if row[accuracy] is not None]
    if not rows:
        figure_style.say(axes, "no pass@1")
        return
    for position, line in lines.of_rows(rows):
        ends = [accuracy_spread(row, accuracy) for row in line]
        axes.errorbar(
            lines.depths(line, position),
            [row[accuracy] for row in line],
            yerr=list(zip(*ends, strict=True)),
            capsize=2,
            elinewidth=0.7,
            **figure_style.model_look(position),
        )
    axes.set_ylim(0, 1.02)
    axes.set_ylabel(accuracy_words(accuracy))


def _energy_panel(axes: Any, facet: Facet, lines: depth_axes.Lines) -> None:
    rows = [row for row in facet.rows if row["energy_j_geomean"] is not None]
    if not rows:
        figure_style.say(axes, "no energy data")
        return
    tops = [max(row["energy_j_geomean"], row["energy_j_ci95_high"] or 0.0) for row in rows]
    divisor, unit = figure_style.energy_scale(max(tops))
    for position, line in lines.of_rows(rows):
        look = figure_style.model_look(position)
        valid = [row for row in line if row["valid"]]
        axes.plot(
            lines.depths(valid, position),
            [row["energy_j_geomean"] / divisor for row in valid],
            color=look["color"],
        )
        for row in line:
            _energy_point(axes, row, lines.depths([row], position)[0], divisor, look)
    axes.set_ylim(0, max(tops) / divisor * 1.08)
    axes.set_ylabel(f"energy per run ({unit})")


def _energy_point(axes: Any, row: Row, depth: float, divisor: float, look: dict[str, Any]) -> None:
    """A cell: open when modelled, a cross when it failed a check."""
    whisker = spread(row, "energy_j") if row["valid"] else None
    axes.errorbar(
        depth,
        row["energy_j_geomean"] / divisor,
        yerr=None if whisker is None else [[end / divisor] for end in whisker],
        color=look["color"],
        marker=look["marker"] if row["valid"] else "x",
        markerfacecolor="white" if modelled(row) else look["color"],
        capsize=2,
        elinewidth=0.7,
    )


def _legend(rows: Sequence[Row], lines: depth_axes.Lines) -> list[Any]:
    handles = lines.handles(rows)
    if any(modelled(row) for row in rows):
        handles.append(figure_style.open_marker())
    if any(row["valid"] is False and row["energy_j_geomean"] is not None for row in rows):
        handles.append(figure_style.failed_marker())
    return handles
