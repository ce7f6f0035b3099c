"""Energy against pass@1, with intervals and the efficient frontier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.frontier import accuracy_column, comparable_groups, frontier_cells
from codewatt.analysis.tables import Row
from codewatt.plots import style
from codewatt.plots.placing import place_labels
from codewatt.plots.slices import (
    Facet,
    Labels,
    Slice,
    accuracy_spread,
    accuracy_words,
    cut,
    energy_words,
    label,
    modelled,
    ordered,
    pick,
    repeats_words,
    spread,
    without_accuracy,
)

#: Panels with more points than this name only the frontier and the baselines.
_NAME_ALL = 14
_PANEL_INCHES = 3.3


def plot(
    cell_table: pd.DataFrame,
    labels: Labels,
    out_stem: Path,
    *,
    baseline: dict[str, str],
    prompt: str = "stripped",
) -> list[Path]:
    """Draw each variant's mean energy of a run against its pass@1; the frontier over all models.

    A panel a setting; dominated variants pale. Shown: every precision and pruning, one prompt
    style. Cells that failed an expectation are crosses and cannot be on the frontier.

    Args and returns: as codewatt.plots.energy_by_precision.plot.
    """
    shown = cut(cell_table, labels, {"prompt": pick(cell_table, "prompt", prompt)})
    with style.style():
        return style.save(_draw(shown, labels, baseline), out_stem)


def _draw(shown: Slice, labels: Labels, baseline: dict[str, str]) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    models = ordered(labels, "model", rows)
    across = 2 if len(shown.facets) > 1 else 1
    lines = max((len(shown.facets) + across - 1) // across, 1)
    width = style.TWO_COLUMNS
    height = _PANEL_INCHES * lines * (1.0 if across == 2 else 1.15)
    figure = style.new_figure(width, height + 0.7 + 0.16 * ((len(models) + 6) // 4))
    whiskers = (
        "Whiskers: 95 % interval of the mean energy, 95 % Wilson interval of pass@1 over tasks."
    )
    style.subtitle(
        figure,
        [
            shown.sentence,
            energy_words(rows),
            repeats_words(rows),
            whiskers,
            without_accuracy(rows, labels),
            shown.omitted,
        ],
    )
    grid = figure.subplots(lines, across, squeeze=False)
    named: list[tuple[Any, list[tuple[float, float, str]]]] = []
    for position, axes in enumerate(grid.flat):
        if position >= len(shown.facets):
            style.say(axes, "" if shown.facets else "no cells")
            continue
        facet = shown.facets[position]
        axes.set_title(facet.title)
        named.append((axes, _panel(axes, facet, models, labels, baseline)))
    figure.legend(handles=_legend(rows, models, labels), loc="outside lower center", ncols=4)
    # The layout must be final before labels are put where nothing else is.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes, points in named:
        place_labels(axes, points)
    return figure


def _panel(
    axes: Any, facet: Facet, models: Sequence[str], labels: Labels, baseline: dict[str, str]
) -> list[tuple[float, float, str]]:
    """Draw one setting; returns the points to be named (x and y in data units, text)."""
    accuracy = accuracy_column(facet.rows)
    with_energy = [row for row in facet.rows if row["total_j_mean"] is not None]
    rows = [row for row in with_energy if row[accuracy] is not None]
    if not rows:
        style.say(axes, "no pass@1" if with_energy else "no energy data")
        return []
    divisor, unit = style.energy_scale(max(row["total_j_mean"] for row in rows))
    members = frontier_cells(rows, accuracy)
    for row in rows:
        _point(axes, row, accuracy, divisor, row["cell_id"] in members, models)
    for group in comparable_groups(rows):
        _step(axes, [row for row in group if row["cell_id"] in members], accuracy, divisor)
    axes.set_xlabel(f"energy per run ({unit})")
    axes.set_ylabel(accuracy_words(accuracy))
    axes.grid()
    axes.margins(0.12)
    base = (baseline["precision"], baseline["prune"])
    return [
        (row["total_j_mean"] / divisor, row[accuracy], _name(row, labels, len(models) > 1))
        for row in rows
        if len(rows) <= _NAME_ALL
        or row["cell_id"] in members
        or (row["precision"], row["prune"]) == base
    ]


def _point(
    axes: Any, row: Row, accuracy: str, divisor: float, member: bool, models: Sequence[str]
) -> None:
    look = style.model_look(models.index(row["model"]))
    energy = spread(row, "total_j") if row["valid"] else None
    axes.errorbar(
        row["total_j_mean"] / divisor,
        row[accuracy],
        xerr=None if energy is None else [[end / divisor] for end in energy],
        yerr=[[end] for end in accuracy_spread(row, accuracy)],
        color=look["color"],
        marker=look["marker"] if row["valid"] else "x",
        markerfacecolor="white" if modelled(row) else look["color"],
        alpha=1.0 if member else 0.3,
        elinewidth=0.7,
        zorder=3 if member else 2,
    )


def _step(axes: Any, members: list[Row], accuracy: str, divisor: float) -> None:
    """The frontier: the best pass@1 that was reached with no more than so much energy."""
    line = sorted((row["total_j_mean"] / divisor, row[accuracy]) for row in members)
    if line:
        energy, score = zip(*line, strict=True)
        axes.step(energy, score, where="post", color=style.INK, linewidth=0.9, zorder=1.5)


def _name(row: Row, labels: Labels, several_models: bool) -> str:
    words = [label(labels, "model", row["model"])] if several_models else []
    words.append(label(labels, "precision", row["precision"]))
    if row["prune_layers"]:
        words.append(f"-{row['prune_layers']} layers")
    return " ".join(words)


def _legend(rows: Sequence[Row], models: Sequence[str], labels: Labels) -> list[Any]:
    drawn = [row for row in rows if row["total_j_mean"] is not None]
    handles = [
        style.marker_handle(label(labels, "model", model), **style.model_look(position))
        for position, model in enumerate(models)
    ]
    handles += [style.line_handle("efficient frontier"), style.pale_marker("pale: dominated")]
    if any(modelled(row) for row in drawn):
        handles.append(style.open_marker())
    if any(row["valid"] is False for row in drawn):
        handles.append(style.failed_marker())
    return handles
