"""Energy of a run for each precision, stacked by component, one panel a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from codewatt.analysis.labels import COMPONENT_NAMES, Labels
from codewatt.analysis.tables import Row
from codewatt.plots import figure_style, panels
from codewatt.plots.figure_cells import (
    Slice,
    baseline_value,
    cut,
    energy_words,
    modelled,
    pick,
    repeats_words,
    spread,
    stack,
    validity_words,
)

_BAR_INCHES = 0.2
_FAILED = "failed a validity check"


def plot(
    cell_table: pd.DataFrame,
    labels: Labels,
    out_stem: Path,
    *,
    prompt: str = "stripped",
) -> list[Path]:
    """Draw mean energy of a run by precision with the 95 % interval within one job.

    A panel a model, all panels of one setting on the same scale; modelled components hatched;
    failed cells pale and named. Shown: the baseline's pruning and one prompt style.

    Args:
        cell_table: the table that `aggregate` made. labels: kind → id → label.
        out_stem: path without suffix. prompt: the style shown, if the study has it.

    Returns:
        The PNG and the PDF.
    """
    only = {
        "prune": baseline_value(cell_table, "prune"),
        "prompt": pick(cell_table, "prompt", prompt),
    }
    shown = cut(cell_table, labels, only)
    with figure_style.style():
        return figure_style.save(_draw(shown, labels), out_stem)


def _draw(shown: Slice, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    with_energy = any(row["energy_j_mean"] is not None for row in rows)
    grid = panels.arrange(shown.facets, labels, _BAR_INCHES)
    sentences = [
        "Energy of one run (every task of the benchmark once)",
        shown.sentence,
        energy_words(rows),
        validity_words(rows),
        shown.omitted,
    ]
    figure = figure_style.new_figure(
        grid.width,
        sum(grid.heights) if with_energy else figure_style.EMPTY_PANEL,
        sentences,
        _legend(rows) if with_energy else [],
    )
    if with_energy:
        panels.draw(figure, grid, labels, _paint)
    else:
        figure_style.say(figure.subplots(), "no energy data")
    return figure


def _paint(axes: Any, panel: panels.Panel) -> None:
    """One model: a bar a precision; the scale is that of the whole setting."""
    highest = max(_top(row) for row in panel.facet.rows)
    divisor, unit = figure_style.energy_scale(highest)
    axes.set_xlim(0, (highest or divisor) / divisor * 1.08)
    axes.set_xlabel(f"energy per run ({unit})")
    by_precision = {row["precision"]: row for row in panel.rows}
    for position, precision in enumerate(panel.precisions):
        _bar(axes, by_precision.get(precision), position, divisor)


def _top(row: Row) -> float:
    """The highest joules that a cell's bar and whisker reach."""
    return max(row["energy_j_mean"] or 0.0, row["energy_j_ci95_high"] or 0.0)


def _bar(axes: Any, row: Row | None, position: int, divisor: float) -> None:
    """A stacked bar with its whisker; or, where there is none, the reason."""
    reason = _no_bar(row)
    if row is None or reason is not None:
        axes.text(0, position, f" {reason}", va="center", color=figure_style.PALE, style="italic")
        return
    left = 0.0
    for part, joules in stack(row):
        colour = figure_style.COMPONENT_COLOURS[part]
        is_modelled = row[f"{part}_energy_status"] == "modelled"
        axes.barh(
            position,
            joules / divisor,
            left=left,
            height=0.68,
            color=colour if row["valid"] else figure_style.pale(colour),
            edgecolor="white",
            linewidth=0,
            hatch=figure_style.MODELLED_HATCH if is_modelled else None,
        )
        left += joules / divisor
    whisker = spread(row, "energy_j")
    if whisker is not None:
        ends = [[distance / divisor] for distance in whisker]
        centre = row["energy_j_geomean"] / divisor
        axes.errorbar(
            centre, position, xerr=ends, color=figure_style.INK, capsize=2, elinewidth=0.9
        )
    if not row["valid"]:
        # Beside a short bar, on a long one.
        reach = _top(row) / divisor
        start = reach if reach < 0.6 * axes.get_xlim()[1] else 0.0
        axes.text(
            start, position, "  invalid", va="center", color=figure_style.ALERT, weight="bold"
        )


def _no_bar(row: Row | None) -> str | None:
    if row is None:
        return "not in the study"
    if row["status"] != "ok":
        return str(row["status"])
    return "no energy data" if row["energy_j_mean"] is None else None


def _legend(rows: Sequence[Row]) -> list[Any]:
    shown = {part for row in rows for part, _ in stack(row)}
    parts = [part for part in COMPONENT_NAMES if part in shown]
    handles: list[Any] = [
        Patch(color=figure_style.COMPONENT_COLOURS[part], label=COMPONENT_NAMES[part])
        for part in parts
    ]
    if any(modelled(row) for row in rows):
        handles.append(figure_style.modelled_patch())
    runs = repeats_words(rows)
    if any(spread(row, "energy_j") is not None for row in rows):
        whisker = f"95 % interval, {runs}"
        handles.append(Line2D([], [], color=figure_style.INK, marker="|", label=whisker))
    elif runs:
        handles.append(Line2D([], [], linestyle="none", label=runs))
    if any(row["valid"] is False for row in rows):
        handles.append(
            Patch(color=figure_style.pale(figure_style.INK), label=f"pale, invalid: {_FAILED}")
        )
    return handles
