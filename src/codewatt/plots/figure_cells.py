"""Which cells a figure shows, how they are split over panels, and the words that say so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from codewatt.analysis.descriptions import boundary_words
from codewatt.analysis.efficient_frontier import SETTING, inside
from codewatt.analysis.labels import COMPONENT_NAMES, Labels, label
from codewatt.analysis.tables import Row, to_rows

_AXIS_WORDS = {
    "benchmark": "{}",
    "prompt": "prompt {}",
    "token_limit": "at most {} tokens",
    "batch_size": "batch size {}",
    "engine": "engine {}",
    "hardware": "on {}",
    "prune": "pruning: {}",
    "precision": "precision {}",
}
_NOUNS = {"prune": "pruning"}


@dataclass(frozen=True)
class Facet:
    """Cells of one setting. title: the axes that differ between facets, "" for a single facet."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Slice:
    """What a figure shows. facets: at least one unless there are no cells.

    sentence: the axes that are constant over the figure; omitted: what was filtered out.
    """

    facets: tuple[Facet, ...]
    sentence: str
    omitted: str | None


def ordered(labels: Labels, kind: str, rows: Iterable[Row]) -> list[str]:
    """The ids that occur in rows: first those with a label, in its order, then the others."""
    present = dict.fromkeys(row[kind] for row in rows)
    known = [value for value in labels.get(kind, {}) if value in present]
    return known + [value for value in present if value not in known]


def cut(
    cell_table: pd.DataFrame,
    labels: Labels,
    only: Mapping[str, Any],
    over: Sequence[str] = SETTING,
) -> Slice:
    """Keep the cells with the values of `only`, and split them by the axes `over`.

    Args:
        only: axis → the single value shown; the rest is named in `omitted`.
        over: axes that get a panel for each value.
    """
    rows = to_rows(cell_table)
    kept = [row for row in rows if all(row[axis] == value for axis, value in only.items())]
    split = [axis for axis in over if axis not in only]
    varying = [axis for axis in split if len({row[axis] for row in kept}) > 1]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in kept:
        groups.setdefault(tuple(row[axis] for axis in varying), []).append(row)
    facets = tuple(
        Facet(", ".join(_words(labels, a, v) for a, v in zip(varying, key, strict=True)), tuple(g))
        for key, g in groups.items()
    )
    constant = [
        axis for axis in split if axis not in varying and kept and kept[0][axis] is not None
    ]
    words = [_words(labels, axis, kept[0][axis]) for axis in constant]
    words += [_words(labels, axis, value) for axis, value in only.items()]
    sentence = ", ".join(words)
    return Slice(facets, sentence, _omitted(rows, labels, only))


def baseline_value(cell_table: pd.DataFrame, axis: str) -> Any:
    """The baseline's value on an axis ("precision" or "prune").

    The first that occurs when the table names no baseline; None when there are no cells.
    """
    own = cell_table[cell_table["cell_id"] == cell_table["baseline_cell_id"]]
    return pick(own if len(own) else cell_table, axis, None)


def pick(cell_table: pd.DataFrame, axis: str, wanted: Any) -> Any:
    """`wanted` if some cell has it on this axis, else the first value that occurs.

    None when there are no cells.
    """
    values = list(dict.fromkeys(cell_table[axis].dropna().tolist()))
    return wanted if wanted in values else next(iter(values), None)


def stack(row: Row) -> list[tuple[str, float]]:
    """(component, mean joules) inside a cell's boundary; they add up to its energy."""
    share = row["cpu_share"] if row["energy_boundary"] == "job" else 1.0
    parts = [(part, row[f"{part}_j_mean"]) for part in inside(row)]
    return [
        (part, joules if part == "gpu" else joules * share)
        for part, joules in parts
        if joules is not None
    ]


def validity_words(rows: Sequence[Row]) -> str | None:
    """How many of the cells shown failed a validity check, or raised a warning."""
    failed = sum(row["valid"] is False for row in rows)
    warned = sum(row["valid"] is True and row["warnings"] is not None for row in rows)
    said = []
    if failed:
        said.append(f"{failed} failed a validity check of the energy")
    if warned:
        said.append(f"{warned} raised a warning")
    return f"Of {len(rows)} cells {', '.join(said)}" if said else None


def energy_words(rows: Sequence[Row]) -> str:
    """One sentence on what the energy figures take in and where they come from."""
    states: dict[str, set[str]] = {"measured": set(), "modelled": set(), "unavailable": set()}
    for row in rows:
        for part in inside(row):
            status = row[f"{part}_energy_status"]
            if status in states:
                states[status].add(part)
    if not states["measured"] and not states["modelled"]:
        return "No energy data"
    said = [
        f"{_names(states[state])} {state}{', not measured' if state == 'modelled' else ''}"
        for state in ("measured", "modelled", "unavailable")
        if states[state]
    ]
    return f"Energy of {boundary_words(rows)}: {'; '.join(said)}"


def repeats_words(rows: Sequence[Row]) -> str | None:
    """How many repeats stand behind the intervals."""
    counts = sorted({row["repeats"] for row in rows if row["repeats"] is not None})
    if not counts:
        return None
    if counts == [1]:
        return "one run each: no interval of the energy"
    n = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    return f"n = {n} runs within one job"


def modelled(row: Row) -> bool:
    """Whether a cell's energy has a modelled part."""
    return bool(row["energy_status"] == "modelled")


def spread(row: Row, metric: str) -> tuple[float, float] | None:
    """Distances from a metric's geometric mean down and up to its 95 % interval, or None."""
    low, high = row[f"{metric}_ci95_low"], row[f"{metric}_ci95_high"]
    if low is None or high is None:
        return None
    centre = row[f"{metric}_geomean"]
    return centre - low, high - centre


def accuracy_spread(row: Row, accuracy: str) -> tuple[float, float]:
    """Distances from pass@1 down and up to its Wilson interval."""
    value = row[accuracy]
    return value - row[f"{accuracy}_wilson95_low"], row[f"{accuracy}_wilson95_high"] - value


def accuracy_words(accuracy: str) -> str:
    """The axis label of a pass@1 column."""
    return f"pass@1 ({accuracy.rpartition('_')[2]} tests)"


def without_accuracy(rows: Sequence[Row], labels: Labels, what: str = "in pass@1") -> str | None:
    """Which models have no pass@1, and why; so they are not shown in `what`."""
    notes = {
        label(labels, "model", row["model"]): row["accuracy_note"]
        for row in rows
        if row["accuracy_note"] is not None
    }
    said = "; ".join(f"{model}: {note}" for model, note in notes.items())
    return f"Not shown {what}: {said}" if said else None


def _words(labels: Labels, axis: str, value: Any) -> str:
    return _AXIS_WORDS[axis].format(label(labels, axis, value))


def _names(parts: set[str]) -> str:
    return ", ".join(name for part, name in COMPONENT_NAMES.items() if part in parts)


def _omitted(rows: Sequence[Row], labels: Labels, only: Mapping[str, Any]) -> str | None:
    said = []
    for axis, value in only.items():
        others = [v for v in dict.fromkeys(row[axis] for row in rows) if v != value]
        if others:
            named = ", ".join(label(labels, axis, other) for other in others)
            said.append(f"{_NOUNS.get(axis, axis)} {named}")
    return f"Not shown: {'; '.join(said)}" if said else None
