"""pass@1 of the prompt styles side by side, one line a variant."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.frontier import SETTING, accuracy_column
from codewatt.analysis.tables import Row
from codewatt.plots import style
from codewatt.plots.slices import (
    Facet,
    Labels,
    Slice,
    accuracy_spread,
    accuracy_words,
    cut,
    label,
    ordered,
    pick,
    without_accuracy,
)

_LINE_INCHES = 0.24


def applies(cell_table: pd.DataFrame) -> bool:
    """Whether the study has more than one prompt style to compare."""
    return int(cell_table["prompt"].nunique()) > 1


def plot(
    cell_table: pd.DataFrame, labels: Labels, out_stem: Path, *, baseline: dict[str, str]
) -> list[Path]:
    """Draw pass@1 with its 95 % Wilson interval for each prompt style and variant.

    A panel a setting. Shown: the baseline's pruning.

    Args and returns: as codewatt.plots.energy_by_precision.plot.
    """
    only = {"prune": pick(cell_table, "prune", baseline["prune"])}
    over = [axis for axis in SETTING if axis != "prompt"]
    shown = cut(cell_table, labels, only, over)
    with style.style():
        return style.save(_draw(shown, labels), out_stem)


def _draw(shown: Slice, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    prompts = ordered(labels, "prompt", rows)
    heights = [0.7 + _LINE_INCHES * len(_variants(f, labels)) for f in shown.facets] or [1.0]
    figure = style.new_figure(style.TWO_COLUMNS, sum(heights) + 0.8)
    style.subtitle(
        figure,
        [
            "pass@1 by prompt style; whiskers: 95 % Wilson interval over tasks.",
            shown.sentence,
            without_accuracy(rows, labels),
            shown.omitted,
        ],
    )
    grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)
    for axes, facet in zip(grid.flat, shown.facets, strict=False):
        _panel(axes, facet, prompts, labels)
    if not shown.facets:
        style.say(grid[0, 0], "no cells")
    handles = [
        style.marker_handle(label(labels, "prompt", prompt), **style.model_look(position))
        for position, prompt in enumerate(prompts)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(len(prompts), 1))
    return figure


def _variants(facet: Facet, labels: Labels) -> list[tuple[str, str]]:
    """(model, precision) of the facet's cells, in the labels' order."""
    present = {(row["model"], row["precision"]) for row in facet.rows}
    return [
        (model, precision)
        for model in ordered(labels, "model", facet.rows)
        for precision in ordered(labels, "precision", facet.rows)
        if (model, precision) in present
    ]


def _panel(axes: Any, facet: Facet, prompts: Sequence[str], labels: Labels) -> None:
    accuracy = accuracy_column(facet.rows)
    if not any(row[accuracy] is not None for row in facet.rows):
        style.say(axes, "no pass@1")
        return
    variants = _variants(facet, labels)
    for row in facet.rows:
        if row[accuracy] is not None:
            line = variants.index((row["model"], row["precision"]))
            _point(axes, row, accuracy, line, prompts)
    names = [f"{label(labels, 'model', m)}, {label(labels, 'precision', p)}" for m, p in variants]
    axes.set_yticks(range(len(variants)), names)
    axes.set_ylim(len(variants) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_title(facet.title)
    axes.set_xlabel(accuracy_words(accuracy))


def _point(axes: Any, row: Row, accuracy: str, line: int, prompts: Sequence[str]) -> None:
    position = prompts.index(row["prompt"])
    shift = (position - (len(prompts) - 1) / 2) * 0.22
    axes.errorbar(
        row[accuracy],
        line + shift,
        xerr=[[end] for end in accuracy_spread(row, accuracy)],
        elinewidth=0.8,
        capsize=2,
        **style.model_look(position),
    )
