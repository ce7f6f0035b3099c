"""Selection of the cells that a figure shows, their split into panels, and the figure's notes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import boundary_text
from codewatt.analysis.efficient_frontier import SETTING, boundary_components
from codewatt.analysis.labels import COMPONENT_NAMES, Labels, label
from codewatt.analysis.session_replicates import BETWEEN_SESSIONS
from codewatt.analysis.tables import to_rows

_AXIS_NAMES = {
    "benchmark": "benchmark",
    "prompt": "prompt style",
    "token_limit": "token limit",
    "batch_size": "batch size",
    "engine": "engine",
    "hardware": "hardware",
    "prune": "prune setting",
    "precision": "precision",
}


@dataclass(frozen=True)
class Facet:
    """The cells of one setting.

    Attributes:
        title: values of the axes that differ between facets; empty for a single facet.
        rows: rows of the cell table.
    """

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Selection:
    """The cells that a figure shows.

    Attributes:
        facets: at least one unless there are no cells.
        setting: note on the axes that have one value in the figure.
        omitted: note on the cells that the figure does not show; None if it shows all.
    """

    facets: tuple[Facet, ...]
    setting: str | None
    omitted: str | None


def ordered_ids(labels: Labels, kind: str, rows: Iterable[Row]) -> list[str]:
    """The ids of an axis in rows: those with a label, in the labels' order, then the others."""
    present = dict.fromkeys(row[kind] for row in rows)
    known = [value for value in labels.get(kind, {}) if value in present]
    return known + [value for value in present if value not in known]


def select_cells(
    cell_table: pd.DataFrame,
    labels: Labels,
    only: Mapping[str, Any],
    over: Sequence[str] = SETTING,
) -> Selection:
    """Select the cells with the values of `only` and split them into facets.

    Args:
        cell_table: the table that `aggregate` made.
        labels: kind → id → label.
        only: axis → the value that is shown; the other values are named in `omitted`.
        over: axes that get one facet for each value.
    """
    return select_rows(to_rows(cell_table), labels, only, over)


def select_rows(
    rows: Sequence[Row], labels: Labels, only: Mapping[str, Any], over: Sequence[str] = SETTING
) -> Selection:
    """As `select_cells`, of rows of any table with the columns CELL_IDS."""
    kept = [row for row in rows if all(row[axis] == value for axis, value in only.items())]
    split = [axis for axis in over if axis not in only]
    varying = [axis for axis in split if len({row[axis] for row in kept}) > 1]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in kept:
        groups.setdefault(tuple(row[axis] for axis in varying), []).append(row)
    facets = tuple(
        Facet(
            ", ".join(_axis_value(labels, a, v) for a, v in zip(varying, key, strict=True)),
            tuple(g),
        )
        for key, g in groups.items()
    )
    constant = [
        axis for axis in split if axis not in varying and kept and kept[0][axis] is not None
    ]
    values = [_axis_value(labels, axis, kept[0][axis]) for axis in constant]
    values += [_axis_value(labels, axis, value) for axis, value in only.items() if kept]
    setting = f"Setting: {', '.join(values)}" if values else None
    return Selection(facets, setting, _omitted_note(rows, labels, only))


def baseline_value(cell_table: pd.DataFrame, axis: str) -> Any:
    """The baseline's value on an axis ("precision" or "prune").

    Returns:
        The first value that occurs if the table names no baseline; None if there are no cells.
    """
    own = cell_table[cell_table["cell_id"] == cell_table["baseline_cell_id"]]
    return choose_value(own if len(own) else cell_table, axis, None)


def choose_value(cell_table: pd.DataFrame, axis: str, wanted: Any) -> Any:
    """`wanted` if some cell has this value on the axis, else the first value that occurs.

    Returns:
        None if there are no cells.
    """
    values = list(dict.fromkeys(cell_table[axis].dropna().tolist()))
    return wanted if wanted in values else next(iter(values), None)


def component_energies(row: Row) -> list[tuple[str, float]]:
    """(component, mean energy in J) inside a cell's boundary; the sum is the cell's mean energy."""
    share = row["cpu_share"] if row["energy_boundary"] == "job" else 1.0
    parts = [(part, row[f"{part}_j_mean"]) for part in boundary_components(row)]
    return [
        (part, joules if part == "gpu" else joules * share)
        for part, joules in parts
        if joules is not None
    ]


def validity_note(rows: Sequence[Row]) -> str | None:
    """Numbers of cells that failed a validity check or have a warning; None if there are none."""
    failed = sum(row["valid"] is False for row in rows)
    warned = sum(row["valid"] is True and row["warnings"] is not None for row in rows)
    counts = []
    if failed:
        counts.append(f"failed in {failed}")
    if warned:
        counts.append(f"gave a warning in {warned}")
    if not counts:
        return None
    return f"Validity checks of the energy {' and '.join(counts)} of {len(rows)} cells"


def energy_note(rows: Sequence[Row]) -> str:
    """The energy boundary, and which components are measured, modelled or unavailable."""
    states: dict[str, set[str]] = {"measured": set(), "modelled": set(), "unavailable": set()}
    for row in rows:
        for part in boundary_components(row):
            status = row[f"{part}_energy_status"]
            if status in states:
                states[status].add(part)
    if not states["measured"] and not states["modelled"]:
        return "No energy data"
    origins = [
        f"{_names(states[state])} {state}{', not measured' if state == 'modelled' else ''}"
        for state in ("measured", "modelled", "unavailable")
        if states[state]
    ]
    return f"Energy boundary: {boundary_text(rows)} ({'; '.join(origins)})"


def repeats_note(rows: Sequence[Row]) -> str | None:
    """The number of repeats behind the intervals of energy; None if no cell ran."""
    counts = sorted({row["repeats"] for row in rows if row["repeats"] is not None})
    if not counts:
        return None
    if counts == [1]:
        return "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}1 run: no confidence interval of the energy"
    sessions = sorted({row["sessions"] or 1 for row in rows if row["repeats"] is not None})
    where = "within one job" if sessions == [1] else f"in {_range(sessions)} sessions"
    return f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{_range(counts)} runs {where}"


def interval_source(rows: Sequence[Row]) -> str:
    """What the intervals of energy are over."""
    several = any(row["interval_scope"] == BETWEEN_SESSIONS for row in rows)
    return "sessions" if several else "runs within one job"


def is_modelled(row: Row) -> bool:
    """Whether a cell's energy is modelled, at least in part."""
    return bool(row["energy_status"] == "modelled")


def interval_distances(row: Row, metric: str) -> tuple[float, float] | None:
    """Distances from a geometric mean to the ends of its 95 % interval; None without one."""
    low, high = row[f"{metric}_ci95_low"], row[f"{metric}_ci95_high"]
    if low is None or high is None:
        return None
    centre = row[f"{metric}_geomean"]
    return centre - low, high - centre


def accuracy_distances(row: Row, accuracy: str) -> tuple[float, float]:
    """Distances from pass@1 to the lower and the upper end of its 95 % Wilson interval."""
    value = row[accuracy]
    return value - row[f"{accuracy}_wilson95_low"], row[f"{accuracy}_wilson95_high"] - value


def accuracy_label(accuracy: str) -> str:
    """The axis label of a pass@1 column."""
    tests = {"base": "base tests", "plus": "base and plus tests"}[accuracy.rpartition("_")[2]]
    return f"pass@1 ({tests})"


def no_accuracy_note(rows: Sequence[Row], labels: Labels, where: str = "in pass@1") -> str | None:
    """The models without a meaningful pass@1, and why; None if all have one."""
    notes = {
        label(labels, "model", row["model"]): row["accuracy_note"]
        for row in rows
        if row["accuracy_note"] is not None
    }
    listed = "; ".join(f"{model} ({note})" for model, note in notes.items())
    return f"Not shown {where}: {listed}" if listed else None


def _range(counts: Sequence[int]) -> str:
    """The smallest and the largest of ascending counts: "3" or "3 to 6"."""
    return " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))


def _axis_value(labels: Labels, axis: str, value: Any) -> str:
    return f"{_AXIS_NAMES[axis]} {label(labels, axis, value)}"


def _names(parts: set[str]) -> str:
    return ", ".join(name for part, name in COMPONENT_NAMES.items() if part in parts)


def _omitted_note(rows: Sequence[Row], labels: Labels, only: Mapping[str, Any]) -> str | None:
    omitted = []
    for axis, value in only.items():
        others = [v for v in dict.fromkeys(row[axis] for row in rows) if v != value]
        if others:
            named = ", ".join(label(labels, axis, other) for other in others)
            omitted.append(f"{_AXIS_NAMES[axis]} {named}")
    return f"Not shown: {'; '.join(omitted)}" if omitted else None
