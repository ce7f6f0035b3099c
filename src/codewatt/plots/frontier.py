"""Figure: pass@1 against energy per run, with intervals and the efficient frontier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.columns import TESTS, Row
from codewatt.analysis.descriptions import devices_notice
from codewatt.analysis.efficient_frontier import accuracy_column, comparable_groups, frontier_cells
from codewatt.analysis.labels import Labels, label
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import (
    Facet,
    Selection,
    accuracy_distances,
    accuracy_label,
    choose_value,
    energy_note,
    interval_distances,
    interval_source,
    is_modelled,
    no_accuracy_note,
    ordered_ids,
    repeats_note,
    select_cells,
    validity_note,
)
from codewatt.plots.label_placement import LabelledPoint, place_labels

#: A panel with more points is as wide as the page, and only points on the frontier have labels.
_NAME_ALL = 14
_PANEL_INCHES = 3.3


def plot(
    cell_table: pd.DataFrame,
    labels: Labels,
    out_stem: Path,
    *,
    prompt: str = "stripped",
) -> list[Path]:
    """Draw each variant's pass@1 against its energy per run, and the frontier over all models.

    One panel for each setting. Every precision and prune setting and one prompt style are shown.
    Variants that are not on the frontier are pale. Cells that failed a validity check are crosses
    and cannot be on the frontier.

    Args and returns: as codewatt.plots.energy_by_precision.plot.
    """
    shown = select_cells(cell_table, labels, {"prompt": choose_value(cell_table, "prompt", prompt)})
    with figure_style.style():
        return figure_style.save(_draw(shown, labels), out_stem)


def _draw(shown: Selection, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    models = ordered_ids(labels, "model", rows)
    crowded = any(len(facet.rows) > _NAME_ALL for facet in shown.facets)
    across = 1 if crowded or len(shown.facets) < 2 else 2
    lines = max((len(shown.facets) + across - 1) // across, 1)
    drawn = [
        row
        for row in rows
        if row["energy_j_geomean"] is not None and row["pass_at_1_base"] is not None
    ]
    handles = _legend(drawn, models, labels)
    sentences = [
        shown.setting,
        energy_note(rows),
        validity_note(rows),
        devices_notice(rows),
        repeats_note(rows),
        "Whiskers: 95 % confidence intervals of energy (geometric mean, over "
        f"{interval_source(rows)}) and of pass@1 (Wilson, over tasks)",
        _probability_note(drawn),
        no_accuracy_note(rows, labels),
        shown.omitted,
    ]
    panel = _PANEL_INCHES * (1.0 if across == 2 else 1.15) if drawn else figure_style.EMPTY_PANEL
    figure = figure_style.new_figure(figure_style.TWO_COLUMNS, panel * lines, sentences, handles)
    grid = figure.subplots(lines, across, squeeze=False)
    named: list[tuple[Any, list[LabelledPoint]]] = []
    for position, axes in enumerate(grid.flat):
        if position >= len(shown.facets):
            figure_style.write_message(axes, "" if shown.facets else "no cells")
            continue
        facet = shown.facets[position]
        axes.set_title(facet.title)
        named.append((axes, _panel(axes, facet, models, labels)))
    # Labels are placed in the final layout.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes, points in named:
        place_labels(axes, points)
    return figure


def _panel(axes: Any, facet: Facet, models: Sequence[str], labels: Labels) -> list[LabelledPoint]:
    """Draw one setting; returns the points that get a label."""
    accuracy = accuracy_column(facet.rows)
    with_energy = [row for row in facet.rows if row["energy_j_geomean"] is not None]
    rows = [row for row in with_energy if row[accuracy] is not None]
    if not rows:
        figure_style.write_message(axes, "no pass@1" if with_energy else "no energy data")
        return []
    divisor, unit = figure_style.energy_scale(max(row["energy_j_geomean"] for row in rows))
    members = frontier_cells(rows, accuracy)
    for row in rows:
        _point(axes, row, accuracy, divisor, row["cell_id"] in members, models)
        if row["cell_id"] == row["baseline_cell_id"]:
            place = (row["energy_j_geomean"] / divisor, row[accuracy])
            axes.plot(*place, "o", markersize=9, color=figure_style.INK, markerfacecolor="none")
    for group in comparable_groups(rows):
        _frontier_line(axes, [row for row in group if row["cell_id"] in members], accuracy, divisor)
    axes.set_xlabel(f"Energy per run ({unit})")
    axes.set_ylabel(accuracy_label(accuracy))
    axes.grid()
    axes.margins(0.12)
    return [
        LabelledPoint(
            row["energy_j_geomean"] / divisor,
            row[accuracy],
            _variant_name(row, labels, len(models) > 1) + _probability_text(row, accuracy),
            _ends(row, accuracy, divisor),
        )
        for row in rows
        if len(rows) <= _NAME_ALL or row["cell_id"] in members
    ]


def _ends(row: Row, accuracy: str, divisor: float) -> tuple[float, float, float, float]:
    """Ends of a point's whiskers in data units: left, bottom, right, top."""
    left, right = interval_distances(row, "energy_j") or (0.0, 0.0)
    down, up = accuracy_distances(row, accuracy)
    energy, score = row["energy_j_geomean"], row[accuracy]
    return (energy - left) / divisor, score - down, (energy + right) / divisor, score + up


def _point(
    axes: Any, row: Row, accuracy: str, divisor: float, member: bool, models: Sequence[str]
) -> None:
    style = figure_style.model_style(models.index(row["model"]))
    colour = style["color"] if member else figure_style.lighten(style["color"])
    energy = interval_distances(row, "energy_j") if row["valid"] else None
    axes.errorbar(
        row["energy_j_geomean"] / divisor,
        row[accuracy],
        xerr=None if energy is None else [[end / divisor] for end in energy],
        yerr=[[end] for end in accuracy_distances(row, accuracy)],
        color=colour,
        marker=style["marker"] if row["valid"] else "x",
        markerfacecolor="white" if is_modelled(row) else colour,
        elinewidth=0.7,
        zorder=3 if member else 2,
    )


def _frontier_line(axes: Any, members: list[Row], accuracy: str, divisor: float) -> None:
    """Draw the frontier: the highest pass@1 that is reached with at most this energy."""
    line = sorted((row["energy_j_geomean"] / divisor, row[accuracy]) for row in members)
    if line:
        energy, score = zip(*line, strict=True)
        axes.step(energy, score, where="post", color=figure_style.INK, linewidth=0.9, zorder=1.5)


def _variant_name(row: Row, labels: Labels, several_models: bool) -> str:
    words = [label(labels, "model", row["model"])] if several_models else []
    words.append(label(labels, "precision", row["precision"]))
    if row["prune_layers"]:
        words.append(
            f"\N{MINUS SIGN}{row['prune_layers']} layer{'s' if row['prune_layers'] > 1 else ''}"
        )
        ways = labels.get("prune_line", {})
        if len(set(ways.values())) > 1:
            words.append(f"({ways[row['prune']]})")
    return " ".join(words)


def frontier_probability(row: Row, accuracy: str) -> float | None:
    """The probability of a cell to be on the frontier; None where it was not computed."""
    value = row.get(f"frontier_probability_{accuracy.rpartition('_')[2]}")
    return None if value is None else float(value)


def _probability_text(row: Row, accuracy: str) -> str:
    """The probability in brackets; "< 1 %" and "> 99 %" where rounding would give 0 or 100."""
    value = frontier_probability(row, accuracy)
    if value is None:
        return ""
    percent = "< 1" if 0 < value < 0.005 else "> 99" if 0.995 <= value < 1 else f"{100 * value:.0f}"
    return f"\N{NO-BREAK SPACE}({percent}\N{NO-BREAK SPACE}%)"


def _probability_note(rows: Sequence[Row]) -> str | None:
    known = any(
        frontier_probability(row, f"pass_at_1_{tests}") is not None
        for row in rows
        for tests in TESTS
    )
    if not known:
        return None
    return "In brackets: probability to be on the frontier (bootstrap)"


def _legend(rows: Sequence[Row], models: Sequence[str], labels: Labels) -> list[Any]:
    """Legend entries for what is drawn."""
    if not rows:
        return []
    handles = [
        figure_style.marker_handle(
            label(labels, "model", model), **figure_style.model_style(position)
        )
        for position, model in enumerate(models)
    ]
    valid = [row for row in rows if row["valid"]]
    if valid:
        handles.append(figure_style.line_handle("efficient frontier"))
    handles.append(figure_style.pale_marker("pale: not on the frontier"))
    handles.append(figure_style.ring_marker("ring: baseline"))
    if any(is_modelled(row) for row in valid):
        handles.append(figure_style.open_marker())
    if any(row["valid"] is False for row in rows):
        handles.append(figure_style.failed_marker())
    return handles
