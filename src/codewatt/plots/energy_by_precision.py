"""Figure: energy per run for each precision, stacked by component, one panel for each model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from codewatt.analysis.columns import Row
from codewatt.analysis.labels import COMPONENT_NAMES, Labels
from codewatt.plots import figure_style, panels
from codewatt.plots.figure_cells import (
    Selection,
    baseline_value,
    choose_value,
    component_energies,
    energy_note,
    interval_distances,
    is_modelled,
    repeats_note,
    select_cells,
    validity_note,
)

_BAR_INCHES = 0.2


def plot(
    cell_table: pd.DataFrame,
    labels: Labels,
    out_stem: Path,
    *,
    prompt: str = "stripped",
) -> list[Path]:
    """Draw mean energy per run for each precision, with a 95 % interval over repeats or sessions.

    One panel for each model and setting; panels of one setting share their scale. Bars are
    arithmetic means, which add up over the components; the interval is that of the geometric
    mean. Modelled components are hatched. Cells that failed a validity check are pale, marked and
    without interval. Only the baseline's prune setting and one prompt style are shown.

    Args:
        cell_table: the table that `aggregate` made.
        labels: kind → id → label.
        out_stem: path of the figure without suffix.
        prompt: the prompt style that is shown, if the study has it.

    Returns:
        Paths of the PNG and the PDF.
    """
    only = {
        "prune": baseline_value(cell_table, "prune"),
        "prompt": choose_value(cell_table, "prompt", prompt),
    }
    shown = select_cells(cell_table, labels, only)
    with figure_style.style():
        return figure_style.save(_draw(shown, labels), out_stem)


def _draw(shown: Selection, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    with_energy = any(row["energy_j_mean"] is not None for row in rows)
    grid = panels.arrange(shown.facets, labels, _BAR_INCHES)
    sentences = [
        "Bars: arithmetic mean energy of a run (every task of the benchmark once, with idle power)",
        shown.setting,
        energy_note(rows),
        validity_note(rows),
        None if _has_intervals(rows) else repeats_note(rows),
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
        figure_style.write_message(figure.subplots(), "no energy data")
    return figure


def _paint(axes: Any, panel: panels.Panel) -> None:
    """Draw one model: a bar for each precision, on the scale of the whole setting."""
    highest = max(_top(row) for row in panel.facet.rows)
    divisor, unit = figure_style.energy_scale(highest)
    axes.set_xlim(0, (highest or divisor) / divisor * 1.08)
    axes.set_xlabel(f"Energy per run ({unit})")
    by_precision = {row["precision"]: row for row in panel.rows}
    for position, precision in enumerate(panel.precisions):
        _bar(axes, by_precision.get(precision), position, divisor)


def _top(row: Row) -> float:
    """The energy (J) that a cell's bar or interval reaches."""
    upper = row["energy_j_ci95_high"] if row["valid"] else None
    return max(row["energy_j_mean"] or 0.0, upper or 0.0)


def _bar(axes: Any, row: Row | None, position: int, divisor: float) -> None:
    """A stacked bar with its interval, or the reason why there is no bar."""
    reason = _missing_reason(row)
    if row is None or reason is not None:
        axes.text(0, position, f" {reason}", va="center", color=figure_style.PALE, style="italic")
        return
    left = 0.0
    for part, joules in component_energies(row):
        colour = figure_style.COMPONENT_COLOURS[part]
        hatched = row[f"{part}_energy_status"] == "modelled"
        axes.barh(
            position,
            joules / divisor,
            left=left,
            height=0.68,
            color=colour if row["valid"] else figure_style.lighten(colour),
            edgecolor="white",
            linewidth=0,
            hatch=figure_style.MODELLED_HATCH if hatched else None,
        )
        left += joules / divisor
    whisker = interval_distances(row, "energy_j") if row["valid"] else None
    if whisker is not None:
        ends = [[distance / divisor] for distance in whisker]
        centre = row["energy_j_geomean"] / divisor
        axes.errorbar(
            centre,
            position,
            xerr=ends,
            color=figure_style.INK,
            marker="o",
            markersize=2.5,
            capsize=2,
            elinewidth=0.9,
        )
    if not row["valid"]:
        # Beside the bar; inside a long bar, because there is no room beside it.
        reach = _top(row) / divisor
        start = reach if reach < 0.6 * axes.get_xlim()[1] else 0.0
        axes.text(
            start, position, "  invalid", va="center", color=figure_style.ALERT, weight="bold"
        )


def _missing_reason(row: Row | None) -> str | None:
    if row is None:
        return "not in the study"
    if row["status"] != "ok":
        return str(row["status"])
    return "no energy data" if row["energy_j_mean"] is None else None


def _has_intervals(rows: Sequence[Row]) -> bool:
    """Whether some cell is drawn with an interval."""
    return any(row["valid"] and interval_distances(row, "energy_j") is not None for row in rows)


def _legend(rows: Sequence[Row]) -> list[Any]:
    shown = {part for row in rows for part, _ in component_energies(row)}
    parts = [part for part in COMPONENT_NAMES if part in shown]
    handles: list[Any] = [
        Patch(color=figure_style.COMPONENT_COLOURS[part], label=COMPONENT_NAMES[part])
        for part in parts
    ]
    if any(is_modelled(row) for row in rows):
        handles.append(figure_style.modelled_patch())
    if _has_intervals(rows):
        whisker = f"geometric mean, 95 % confidence interval, {repeats_note(rows)}"
        handles.append(
            Line2D([], [], color=figure_style.INK, marker="o", markersize=2.5, label=whisker)
        )
    if any(row["valid"] is False for row in rows):
        handles.append(
            Patch(
                color=figure_style.lighten(figure_style.INK), label="pale: failed a validity check"
            )
        )
    return handles
