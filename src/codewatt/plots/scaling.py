"""Figure: energy per token against batch size and model size, with the crossover of variants."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator

from codewatt.analysis.columns import Row
from codewatt.analysis.crossover import Crossover, MeasuredChange, find_crossovers
from codewatt.analysis.descriptions import variant_text
from codewatt.analysis.efficient_frontier import SETTING
from codewatt.analysis.labels import Labels, label
from codewatt.analysis.tables import to_rows
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import (
    energy_note,
    interval_distances,
    is_modelled,
    ordered_ids,
    select_cells,
    validity_note,
)
from codewatt.plots.variant_blocks import wrap_label

_ACROSS = 2
_PANEL_INCHES = 2.5
#: Variants with or without a crossover are named up to this number, and counted above it.
_NAMED = 8
_SIZES = ((1e9, "billions"), (1e6, "millions"), (1.0, ""))
_METRIC = "j_per_token"
#: Horizontal distance between the markers of two variants, as a factor.
_OFFSET = 1.012


@dataclass(frozen=True)
class _Line:
    """A variant's points: (size, row), from small to large; and its crossovers."""

    name: str
    points: tuple[tuple[float, Row], ...]
    crossovers: tuple[Crossover, ...]

    @property
    def is_baseline(self) -> bool:
        return all(row["cell_id"] == row["baseline_cell_id"] for _, row in self.points)


@dataclass(frozen=True)
class _Panel:
    title: str
    axis: str
    divisor: float
    lines: tuple[_Line, ...]


def plot(cell_table: pd.DataFrame, labels: Labels, out_stem: Path) -> list[Path]:
    """Draw energy per token (J, geometric mean) against batch size, and against parameters.

    One panel for each model and setting with several batch sizes, and for each setting with models
    of several sizes; one line for each variant. The size of a model is the number of parameters of
    its baseline. Dashed lines mark crossovers (codewatt.analysis.crossover), with their 95 %
    intervals shaded.

    Args and returns: as codewatt.plots.domains.plot, with the cell table.
    """
    with figure_style.style():
        return figure_style.save(_draw(cell_table, labels), out_stem)


def _draw(cell_table: pd.DataFrame, labels: Labels) -> Any:
    rows = to_rows(cell_table)
    usable = [row for row in rows if row["valid"] and row[f"{_METRIC}_geomean"] is not None]
    panels = [*_batch_panels(usable, labels), *_size_panels(usable, labels)]
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    shown = [row for panel in panels for line in panel.lines for _, row in line.points]
    sized = any(panel.divisor != 1 or panel.axis != "Batch size" for panel in panels)
    sentences = [
        "Energy per new token (geometric mean over runs, 95 % confidence interval)",
        select_cells(cell_table, labels, {}).setting,
        energy_note(shown),
        validity_note(rows),
        *(_crossover_notes(panels) if panels else []),
        "Models differ in more than their size" if sized else None,
    ]
    across = min(_ACROSS, max(len(panels), 1))
    lines = max(-(-len(panels) // across), 1)
    titles = max((panel.title.count("\n") for panel in panels), default=0)
    figure = figure_style.new_figure(
        figure_style.COLUMN if across == 1 else figure_style.TWO_COLUMNS,
        (_PANEL_INCHES + 0.13 * titles) * lines if panels else figure_style.EMPTY_PANEL,
        sentences,
        _legend(panels, names),
    )
    grid = figure.subplots(lines, across, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(panels):
            figure_style.write_message(axes, "" if panels else "no energy at several sizes")
            continue
        _paint(axes, panels[number], names)
    return figure


def _batch_panels(rows: Sequence[Row], labels: Labels) -> list[_Panel]:
    """A panel for each model and setting in which some variant has several batch sizes."""
    others = [axis for axis in SETTING if axis != "batch_size"]
    panels = []
    for title, group in _groups(rows, ["model", *others], labels):
        lines = _lines([(float(row["batch_size"]), row) for row in group], labels)
        if lines:
            panels.append(_Panel(title, "Batch size", 1.0, lines))
    return panels


def _size_panels(rows: Sequence[Row], labels: Labels) -> list[_Panel]:
    """A panel for each setting in which some variant has models of several sizes."""
    sizes = {
        row["model"]: float(row["parameters"])
        for row in rows
        if row["cell_id"] == row["baseline_cell_id"] and row["parameters"]
    }
    panels = []
    for title, group in _groups(rows, list(SETTING), labels):
        sized = [(sizes[row["model"]], row) for row in group if row["model"] in sizes]
        lines = _lines(sized, labels)
        if lines:
            largest = max(size for line in lines for size, _ in line.points)
            divisor, unit = next((d, u) for d, u in _SIZES if largest >= d)
            axis = f"Parameters of the baseline{f' ({unit})' if unit else ''}"
            panels.append(_Panel(title, axis, divisor, lines))
    return panels


def _groups(
    rows: Sequence[Row], axes: Sequence[str], labels: Labels
) -> list[tuple[str, list[Row]]]:
    """(title, rows) of each combination of values of axes; the title names those that differ."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for model in ordered_ids(labels, "model", rows):
        for row in rows:
            if row["model"] == model:
                groups.setdefault(tuple(row[axis] for axis in axes), []).append(row)
    varying = [axis for axis in axes if len({row[axis] for row in rows}) > 1]
    return [
        (", ".join(_value(axis, group[0][axis], labels) for axis in varying), group)
        for group in groups.values()
    ]


def _value(axis: str, value: Any, labels: Labels) -> str:
    text = label(labels, axis, value)
    named = {"batch_size": "batch size", "token_limit": "token limit"}
    return f"{named[axis]} {text}" if axis in named else text


def _lines(points: Sequence[tuple[float, Row]], labels: Labels) -> tuple[_Line, ...]:
    """The variants with points at several sizes; none if no variant has."""
    by_name: dict[str, list[tuple[float, Row]]] = {}
    for point in points:
        by_name.setdefault(variant_text(point[1], labels), []).append(point)
    lines = []
    for name, own in by_name.items():
        # Of models with equal sizes neither is the next point of the other.
        own = sorted(own, key=lambda point: point[0])
        if len({size for size, _ in own}) > 1:
            lines.append(_Line(name, tuple(own), tuple(find_crossovers(_changes(own)))))
    return tuple(lines)


def _changes(points: Sequence[tuple[float, Row]]) -> list[MeasuredChange]:
    """The changes of a variant; none where two points have the same size."""
    sizes = [size for size, _ in points]
    if len(set(sizes)) < len(sizes):
        return []
    return [
        MeasuredChange(
            size,
            row[f"{_METRIC}_change"],
            row[f"{_METRIC}_change_ci95_low"],
            row[f"{_METRIC}_change_ci95_high"],
            row[f"{_METRIC}_change_p_holm"],
        )
        for size, row in points
        if row[f"{_METRIC}_change"] is not None
    ]


def _paint(axes: Any, panel: _Panel, names: Sequence[str]) -> None:
    values = []
    for line in panel.lines:
        place = names.index(line.name)
        style = figure_style.model_style(place)
        shift = _OFFSET ** (place - (len(names) - 1) / 2)
        ends = [interval_distances(row, _METRIC) or (0.0, 0.0) for _, row in line.points]
        means = [row[f"{_METRIC}_geomean"] for _, row in line.points]
        modelled = any(is_modelled(row) for _, row in line.points)
        axes.errorbar(
            [size / panel.divisor * shift for size, _ in line.points],
            means,
            yerr=list(zip(*ends, strict=True)),
            capsize=2,
            elinewidth=0.7,
            linestyle=figure_style.line_style(place),
            markerfacecolor="white" if modelled else style["color"],
            **style,
        )
        values += [mean - down for mean, (down, _) in zip(means, ends, strict=True)]
        values += [mean + up for mean, (_, up) in zip(means, ends, strict=True)]
        for crossover in line.crossovers:
            _mark(axes, crossover, panel.divisor, style["color"])
    sizes = sorted({size / panel.divisor for line in panel.lines for size, _ in line.points})
    figure_style.set_log_axis(axes.xaxis, sizes[0], sizes[-1])
    if len(sizes) <= 8 and all(b / a >= 1.4 for a, b in itertools.pairwise(sizes)):
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.xaxis.set_minor_locator(FixedLocator([]))
    figure_style.set_log_axis(axes.yaxis, min(values), max(values))
    axes.set_xlabel(panel.axis)
    axes.set_ylabel("Energy per token (J)")
    axes.set_title(wrap_label(panel.title, 52))
    axes.grid()


def _mark(axes: Any, crossover: Crossover, divisor: float, colour: str) -> None:
    """Mark a crossover by a dashed line and its interval by a hatched band."""
    axes.axvspan(
        crossover.low / divisor,
        crossover.high / divisor,
        facecolor="none",
        edgecolor=figure_style.lighten(colour),
        hatch="///",
        linewidth=0,
        zorder=0.5,
    )
    axes.axvline(crossover.at / divisor, color=colour, linestyle="--", linewidth=0.9, zorder=1)


def _crossover_notes(panels: Sequence[_Panel]) -> list[str]:
    """The crossovers with their intervals, and the variants that have none."""
    found, none = [], []
    for panel in panels:
        where = "batch size" if panel.axis == "Batch size" else "model size"
        prefix = f"{panel.title}: " if len(panels) > 1 and panel.title else ""
        for line in panel.lines:
            if line.is_baseline:
                continue
            for one in line.crossovers:
                at, low, high = (size / panel.divisor for size in (one.at, one.low, one.high))
                found.append(
                    f"{prefix}{line.name} at {panel.axis.lower()} {at:.3g} "
                    f"(95 % interval {low:.3g} to {high:.3g})"
                )
            if not line.crossovers:
                none.append(f"{prefix}{line.name} ({where})")
    notes = []
    if found:
        notes.append(
            "Crossovers, where a variant and the baseline need equal energy: "
            f"{_named(found, 'crossovers are marked')}"
        )
    if none:
        notes.append(
            f"No crossover in the measured range for {_named(none, 'lines')}: no two neighbouring "
            "points have significant changes of opposite sign"
        )
    return notes


def _named(texts: Sequence[str], what: str) -> str:
    """The texts or, if there are many, their number."""
    return "; ".join(texts) if len(texts) <= _NAMED else f"{len(texts)} {what}"


def _legend(panels: Sequence[_Panel], names: Sequence[str]) -> list[Any]:
    handles: list[Any] = [
        figure_style.marked_line_handle(
            name, linestyle=figure_style.line_style(place), **figure_style.model_style(place)
        )
        for place, name in enumerate(names)
    ]
    lines = [line for panel in panels for line in panel.lines]
    if any(is_modelled(row) for line in lines for _, row in line.points):
        handles.append(figure_style.open_marker())
    if any(line.crossovers for line in lines):
        handles.append(
            Patch(
                facecolor="none",
                edgecolor=figure_style.PALE,
                hatch="///",
                linewidth=0,
                label="dashed, hatched: crossover, 95 % interval",
            )
        )
    return handles
