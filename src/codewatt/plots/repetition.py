"""What completions repeat of themselves, against the number of pruned layers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.columns import REPETITION
from codewatt.analysis.labels import Labels
from codewatt.analysis.tables import Row
from codewatt.plots import depth_axes, figure_style
from codewatt.plots.figure_cells import Facet, Slice, without_accuracy

_ROW_INCHES = 2.1
_NAMES = {
    "repeated_4grams_share": "repeated 4-grams",
    "repeated_lines_share": "repeated lines",
    "loops_share": "ending in a loop",
}
#: A panel's scale is not finer than this, so that next to nothing looks like it.
_LEAST_TOP = 0.1


def plot(
    cell_table: pd.DataFrame,
    labels: Labels,
    out_stem: Path,
    *,
    prompt: str = "stripped",
) -> list[Path]:
    """Draw the shares of repeated 4-grams and lines, and of loops, against pruned layers.

    A line of panels a setting. Shown: the baseline's precision and one prompt style; models with
    random weights are left out. Whiskers: 95 % intervals over tasks (analysis.repetition).

    Args and returns: as codewatt.plots.energy_by_precision.plot.
    """
    shown, lines = depth_axes.cut_depths(cell_table, labels, prompt)
    with figure_style.style():
        return figure_style.save(_draw(shown, lines, labels), out_stem)


def _draw(shown: Slice, lines: depth_axes.Lines, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    known = _known(rows)
    pruned = any(row["prune_layers"] for row in rows)
    sentences = [
        shown.sentence,
        "Share of a completion's 4-grams of tokens, and of its lines, that it had before, and of "
        "completions that end in a loop; whiskers: 95 % interval over tasks",
        None if pruned or not rows else "The study prunes nothing",
        without_accuracy(rows, labels, "here"),
        shown.omitted,
    ]
    height = _ROW_INCHES * len(shown.facets) if known else figure_style.EMPTY_PANEL
    figure = figure_style.new_figure(
        figure_style.TWO_COLUMNS, height, sentences, lines.handles(known)
    )
    if not known:
        figure_style.say(figure.subplots(), "no completions to look at" if rows else "no cells")
        return figure
    grid = figure.subplots(len(shown.facets), len(REPETITION), squeeze=False)
    for panels, facet in zip(grid, shown.facets, strict=True):
        # One title over the line: that of a setting is wider than a panel.
        panels[0].set_title(facet.title)
        for axes, name in zip(panels, REPETITION, strict=True):
            _panel(axes, facet, name, lines)
    return figure


def _known(rows: Sequence[Row]) -> list[Row]:
    """Cells with a figure, and whose model was trained."""
    found = [row for row in rows if any(row[name] is not None for name in REPETITION)]
    return [row for row in found if row["accuracy_note"] is None]


def _panel(axes: Any, facet: Facet, name: str, lines: depth_axes.Lines) -> None:
    present = [row for row in _known(facet.rows) if row[name] is not None]
    if not present:
        figure_style.say(axes, f"{_NAMES[name]}:\nnot known")
        return
    for position, line in lines.of_rows(present):
        axes.errorbar(
            lines.depths(line, position),
            [row[name] for row in line],
            yerr=list(zip(*(_spread(row, name) for row in line), strict=True)),
            capsize=2,
            elinewidth=0.7,
            **figure_style.model_look(position),
        )
    top = max(_LEAST_TOP, *(1.08 * (row[name] + _spread(row, name)[1]) for row in present))
    axes.set_ylim(-0.03 * top, top)  # so that a marker at 0 is whole
    axes.set_ylabel(_NAMES[name])
    depth_axes.frame(axes, facet)


def _spread(row: Row, name: str) -> tuple[float, float]:
    """Distances from a share down and up to its interval; 0 where it has none (a single task)."""
    low, high = (row[f"{name}_{REPETITION[name]}_{end}"] for end in ("low", "high"))
    return (0.0, 0.0) if low is None else (row[name] - low, high - row[name])
