"""Figure: pass@1 for each prompt style and precision, one panel for each model."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.efficient_frontier import SETTING, accuracy_column
from codewatt.analysis.labels import Labels, label
from codewatt.plots import figure_style, panels
from codewatt.plots.figure_cells import (
    Selection,
    accuracy_distances,
    accuracy_label,
    baseline_value,
    no_accuracy_note,
    ordered_ids,
    select_cells,
    validity_note,
)

_LINE_INCHES = 0.24


def plot(cell_table: pd.DataFrame, labels: Labels, out_stem: Path) -> list[Path]:
    """Draw pass@1 with its 95 % Wilson interval for each prompt style and precision.

    One panel for each model and setting. Only the baseline's prune setting is shown.

    Args and returns: as codewatt.plots.energy_by_precision.plot.
    """
    only = {"prune": baseline_value(cell_table, "prune")}
    over = [axis for axis in SETTING if axis != "prompt"]
    shown = select_cells(cell_table, labels, only, over)
    with figure_style.style():
        return figure_style.save(_draw(shown, labels), out_stem)


def _draw(shown: Selection, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    prompts = ordered_ids(labels, "prompt", rows)
    any_accuracy = any(row["pass_at_1_base"] is not None for row in rows)
    grid = panels.arrange(shown.facets, labels, _LINE_INCHES)
    handles = [
        figure_style.marker_handle(
            label(labels, "prompt", prompt), **figure_style.model_style(position)
        )
        for position, prompt in enumerate(prompts)
    ]
    sentences = [
        "pass@1 for each prompt style, with 95 % Wilson confidence interval over tasks",
        shown.setting,
        "The study has only one prompt style" if len(prompts) == 1 else None,
        no_accuracy_note(rows, labels),
        validity_note(rows),
        shown.omitted,
    ]
    figure = figure_style.new_figure(
        grid.width,
        sum(grid.heights) if any_accuracy else figure_style.EMPTY_PANEL,
        sentences,
        handles if any_accuracy else [],
    )
    if any_accuracy:
        panels.draw(figure, grid, labels, partial(_paint, prompts=prompts))
    else:
        figure_style.write_message(figure.subplots(), "no pass@1")
    return figure


def _paint(axes: Any, panel: panels.Panel, prompts: Sequence[str]) -> None:
    """Draw one model: a point for each precision and prompt style."""
    accuracy = accuracy_column(panel.facet.rows)
    for row in panel.rows:
        if row[accuracy] is not None:
            _point(axes, row, accuracy, panel.precisions.index(row["precision"]), prompts)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(accuracy_label(accuracy))


def _point(axes: Any, row: Row, accuracy: str, line: int, prompts: Sequence[str]) -> None:
    position = prompts.index(row["prompt"])
    shift = (position - (len(prompts) - 1) / 2) * 0.26
    axes.errorbar(
        row[accuracy],
        line + shift,
        xerr=[[end] for end in accuracy_distances(row, accuracy)],
        elinewidth=0.8,
        capsize=2,
        **figure_style.model_style(position),
    )
