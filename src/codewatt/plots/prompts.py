"""pass@1 of the prompt styles side by side, a panel a model."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.efficient_frontier import SETTING, accuracy_column
from codewatt.analysis.labels import Labels, label
from codewatt.analysis.tables import Row
from codewatt.plots import figure_style, panels
from codewatt.plots.figure_cells import (
    Slice,
    accuracy_spread,
    accuracy_words,
    baseline_value,
    cut,
    ordered,
    validity_words,
    without_accuracy,
)

_LINE_INCHES = 0.24


def plot(cell_table: pd.DataFrame, labels: Labels, out_stem: Path) -> list[Path]:
    """Draw pass@1 with its 95 % Wilson interval for each prompt style and variant.

    A panel a model and setting. Shown: the baseline's pruning.

    Args and returns: as codewatt.plots.energy_by_precision.plot.
    """
    only = {"prune": baseline_value(cell_table, "prune")}
    over = [axis for axis in SETTING if axis != "prompt"]
    shown = cut(cell_table, labels, only, over)
    with figure_style.style():
        return figure_style.save(_draw(shown, labels), out_stem)


def _draw(shown: Slice, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    prompts = ordered(labels, "prompt", rows)
    any_accuracy = any(row["pass_at_1_base"] is not None for row in rows)
    grid = panels.arrange(shown.facets, labels, _LINE_INCHES)
    handles = [
        figure_style.marker_handle(
            label(labels, "prompt", prompt), **figure_style.model_look(position)
        )
        for position, prompt in enumerate(prompts)
    ]
    sentences = [
        "pass@1 by prompt style; whiskers: 95 % Wilson interval over tasks",
        shown.sentence,
        "The study has one prompt style only" if len(prompts) == 1 else None,
        without_accuracy(rows, labels),
        validity_words(rows),
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
        figure_style.say(figure.subplots(), "no pass@1")
    return figure


def _paint(axes: Any, panel: panels.Panel, prompts: Sequence[str]) -> None:
    """One model: a point a precision and prompt style."""
    accuracy = accuracy_column(panel.facet.rows)
    for row in panel.rows:
        if row[accuracy] is not None:
            _point(axes, row, accuracy, panel.precisions.index(row["precision"]), prompts)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(accuracy_words(accuracy))


def _point(axes: Any, row: Row, accuracy: str, line: int, prompts: Sequence[str]) -> None:
    position = prompts.index(row["prompt"])
    shift = (position - (len(prompts) - 1) / 2) * 0.26
    axes.errorbar(
        row[accuracy],
        line + shift,
        xerr=[[end] for end in accuracy_spread(row, accuracy)],
        elinewidth=0.8,
        capsize=2,
        **figure_style.model_look(position),
    )
