"""Figure: energy per task by domain of the tasks, one panel for each model and setting."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import variant_text
from codewatt.analysis.domain_rows import pool_sessions
from codewatt.analysis.labels import Labels
from codewatt.analysis.tables import to_rows
from codewatt.plots import figure_style
from codewatt.plots.domain_panels import (
    DomainFigure,
    Panel,
    beside,
    draw_point,
    number_series,
    series_handles,
    split_panels,
)
from codewatt.plots.figure_cells import (
    energy_note,
    interval_source,
    is_modelled,
    repeats_note,
    validity_note,
)


def plot(
    domain_table: pd.DataFrame, cell_table: pd.DataFrame, labels: Labels, out_stem: Path
) -> list[Path]:
    """Draw the mean energy of a completion with its 95 % interval for each domain and variant.

    Each panel has its own scale, from 0. Cells that failed a validity check are crosses without
    interval, and modelled energies have open markers.

    Args:
        domain_table: the domain table that `aggregate` made.
        cell_table: its cell table, for the origin of the energies.
        labels: kind → id → label.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG and the PDF.
    """
    cells = {row["cell_id"]: row for row in to_rows(cell_table)}
    rows = pool_sessions(to_rows(domain_table))
    shown = [row for row in rows if row["j_per_task"] is not None]
    panels, setting = split_panels(shown, labels, "tasks")
    series = number_series(variant_text(row, labels) for row in rows)

    def paint(figure: DomainFigure, axes: Any, panel: Panel) -> None:
        highest = max(_top(row) for row in panel.rows)
        divisor, unit = figure_style.energy_scale(highest)
        for row in panel.rows:
            name = variant_text(row, labels)
            interval = _interval(row)
            ends = None if interval is None else (interval[0] / divisor, interval[1] / divisor)
            style = _style(row, cells, figure.style(name))
            draw_point(axes, row["j_per_task"] / divisor, ends, figure.height(row, name), **style)
        axes.set_xlim(0, highest / divisor * 1.05)
        axes.set_xlabel(f"Energy per task ({unit}); in brackets: tasks")

    own = [cells[name] for name in dict.fromkeys(row["cell_id"] for row in shown)]
    some = any(_interval(row) is not None for row in shown)
    sentences = [
        "Mean energy of a completion of the tasks of each domain"
        + (f", with 95 % confidence interval over {interval_source(own)}" if some else "")
        + "; completions that are generated together share the power equally, and a task with "
        "several domains counts in each of them",
        setting,
        energy_note(own),
        repeats_note(own),
        validity_note(own),
        "Each panel has its own scale" if len(panels) > 1 else None,
        "Domains with a completion whose energy is unknown are omitted"
        if len(shown) < len(rows)
        else None,
    ]
    handles = series_handles(series) + _more_handles(shown, cells)
    figure = DomainFigure(beside(panels), series, paint, sentences, handles, "no energy by domain")
    with figure_style.style():
        return figure.save(out_stem)


def _interval(row: Row) -> tuple[float, float] | None:
    """The interval of a valid cell's energy per task (J); None without one."""
    low, high = row.get("j_per_task_ci95_low"), row.get("j_per_task_ci95_high")
    return None if not row["valid"] or low is None or high is None else (low, high)


def _top(row: Row) -> float:
    """The energy (J) that a row's point or interval reaches."""
    interval = _interval(row)
    return float(row["j_per_task"]) if interval is None else max(row["j_per_task"], interval[1])


def _style(row: Row, cells: Mapping[str, Row], style: dict[str, Any]) -> dict[str, Any]:
    if not row["valid"]:
        return {**style, "marker": "x"}
    return {**style, "markerfacecolor": "white"} if is_modelled(cells[row["cell_id"]]) else style


def _more_handles(rows: Sequence[Row], cells: Mapping[str, Row]) -> list[Any]:
    handles = []
    if any(row["valid"] and is_modelled(cells[row["cell_id"]]) for row in rows):
        handles.append(figure_style.open_marker())
    if not all(row["valid"] for row in rows):
        handles.append(figure_style.failed_marker())
    return handles
