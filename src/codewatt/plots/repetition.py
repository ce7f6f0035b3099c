"""Figure: repetition in completions against the number of pruned layers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.columns import REPETITION, Row
from codewatt.analysis.labels import Labels
from codewatt.plots import depth_axes, figure_style
from codewatt.plots.figure_cells import Facet, Selection, no_accuracy_note

_ROW_INCHES = 2.1
_NAMES = {
    "repeated_4grams_share": "Share of repeated 4-grams",
    "repeated_lines_share": "Share of repeated lines",
    "loops_share": "Share of loops",
}
#: Smallest upper end of a panel's axis, so that shares near 0 look small.
_LEAST_TOP = 0.1


def plot(
    cell_table: pd.DataFrame,
    labels: Labels,
    out_stem: Path,
    *,
    prompt: str = "stripped",
) -> list[Path]:
    """Draw the shares of repeated 4-grams, repeated lines and loops against pruned layers.

    One row of panels for each setting. Only the baseline's precision and one prompt style are
    shown; models with random weights are omitted. Whiskers: 95 % intervals over tasks
    (codewatt.analysis.repetition_metrics).

    Args and returns: as codewatt.plots.energy_by_precision.plot.
    """
    shown, lines = depth_axes.select_depths(cell_table, labels, prompt)
    with figure_style.style():
        return figure_style.save(_draw(shown, lines, labels), out_stem)


def _draw(shown: Selection, lines: depth_axes.Lines, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    known = _known(rows)
    pruned = any(row["prune_layers"] for row in rows)
    sentences = [
        shown.setting,
        "Shares of 4-grams of tokens and of lines that already occurred in the same completion, "
        "and of completions that end in a loop, with 95 % confidence interval over tasks",
        None if pruned or not rows else "The study has no pruned variant",
        no_accuracy_note(rows, labels, "here"),
        shown.omitted,
    ]
    height = _ROW_INCHES * len(shown.facets) if known else figure_style.EMPTY_PANEL
    figure = figure_style.new_figure(
        figure_style.TWO_COLUMNS, height, sentences, lines.handles(known)
    )
    if not known:
        figure_style.write_message(figure.subplots(), "no completions" if rows else "no cells")
        return figure
    grid = figure.subplots(len(shown.facets), len(REPETITION), squeeze=False)
    for panels, facet in zip(grid, shown.facets, strict=True):
        # One title for the row of panels: a setting's title is wider than a panel.
        panels[0].set_title(facet.title)
        for axes, name in zip(panels, REPETITION, strict=True):
            _panel(axes, facet, name, lines)
    return figure


def _known(rows: Sequence[Row]) -> list[Row]:
    """Cells with a repetition metric and without random weights."""
    found = [row for row in rows if any(row[name] is not None for name in REPETITION)]
    return [row for row in found if row["accuracy_note"] is None]


def _panel(axes: Any, facet: Facet, name: str, lines: depth_axes.Lines) -> None:
    present = [row for row in _known(facet.rows) if row[name] is not None]
    if not present:
        figure_style.write_message(axes, f"{_NAMES[name]}:\nunknown")
        return
    for position, line in lines.split(present):
        axes.errorbar(
            lines.x_positions(line, position),
            [row[name] for row in line],
            yerr=list(zip(*(_distances(row, name) for row in line), strict=True)),
            capsize=2,
            elinewidth=0.7,
            **figure_style.model_style(position),
        )
    top = max(_LEAST_TOP, *(1.08 * (row[name] + _distances(row, name)[1]) for row in present))
    axes.set_ylim(-0.03 * top, top)  # shows the whole marker at 0
    axes.set_ylabel(_NAMES[name])
    depth_axes.set_depth_axis(axes, facet)


def _distances(row: Row, name: str) -> tuple[float, float]:
    """Distances from a share to its interval's ends; 0 without an interval (a single task)."""
    low, high = (row[f"{name}_{REPETITION[name]}_{end}"] for end in ("low", "high"))
    return (0.0, 0.0) if low is None else (row[name] - low, high - row[name])
