"""Common parts of figures against the number of pruned layers: selection, lines and axis."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.labels import Labels, label
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import (
    Facet,
    Selection,
    baseline_value,
    choose_value,
    ordered_ids,
    select_cells,
)

#: Horizontal offset between lines (layers), so that their whiskers do not overlap.
_OFFSET = 0.05


@dataclass(frozen=True)
class Lines:
    """The lines of a figure: one for each model or, with several prune methods, for each method.

    Attributes:
        names: ids of models, or names of prune methods, in the study's order. The position in it
            selects a line's colour, which is therefore the same in all panels and figures.
        labels: kind → id → label.
        by_method: whether a line is a prune method.
    """

    names: tuple[str, ...]
    labels: Labels
    by_method: bool

    @classmethod
    def from_rows(cls, rows: Sequence[Row], labels: Labels) -> "Lines":
        """The lines of all cells of a figure."""
        methods = dict.fromkeys(_method(row, labels) for row in rows if row["prune_layers"])
        names = tuple(name for name in methods if name is not None)
        if len(names) > 1:
            return cls(names, labels, by_method=True)
        return cls(tuple(ordered_ids(labels, "model", rows)), labels, by_method=False)

    def split(self, rows: Iterable[Row]) -> list[tuple[int, list[Row]]]:
        """(position, rows by depth) of each line with rows; every method starts at depth 0."""
        by_depth = sorted(rows, key=lambda row: row["prune_layers"])
        found = []
        for place, name in enumerate(self.names):
            line = [row for row in by_depth if self._belongs(row, name)]
            if line:
                found.append((place, line))
        return found

    def x_positions(self, line: Sequence[Row], place: int) -> list[float]:
        """The depths of a line's rows with the line's offset."""
        shift = (place - (len(self.names) - 1) / 2) * _OFFSET
        return [row["prune_layers"] + shift for row in line]

    def handles(self, rows: Sequence[Row]) -> list[Any]:
        """A legend entry for each line with rows."""
        kind = "prune_line" if self.by_method else "model"  # names of "prune_line" are labels
        return [
            figure_style.marker_handle(
                label(self.labels, kind, self.names[place]), **figure_style.model_style(place)
            )
            for place, _ in self.split(rows)
        ]

    def _belongs(self, row: Row, name: str) -> bool:
        if not self.by_method:
            return bool(row["model"] == name)
        return not row["prune_layers"] or _method(row, self.labels) == name


def select_depths(cell_table: pd.DataFrame, labels: Labels, prompt: str) -> tuple[Selection, Lines]:
    """The cells with the baseline's precision and one prompt style, split by setting.

    If a line is a prune method, they are also split by model.
    """
    only = {
        "precision": baseline_value(cell_table, "precision"),
        "prompt": choose_value(cell_table, "prompt", prompt),
    }
    shown = select_cells(cell_table, labels, only)
    rows = [row for facet in shown.facets for row in facet.rows]
    lines = Lines.from_rows(rows, labels)
    if lines.by_method:
        split = tuple(one for facet in shown.facets for one in _by_model(facet, labels))
        shown = replace(shown, facets=split)
    return shown, lines


def set_depth_axis(axes: Any, facet: Facet) -> None:
    """Set the horizontal axis of a panel to the depths of a facet."""
    axes.set_xlabel("Number of pruned layers")
    found = sorted({row["prune_layers"] for row in facet.rows})
    axes.set_xticks(found)
    axes.set_xlim(found[0] - 0.5, found[-1] + 0.5)
    axes.grid(axis="y")


def _by_model(facet: Facet, labels: Labels) -> list[Facet]:
    found = []
    for model in ordered_ids(labels, "model", facet.rows):
        title = ", ".join(part for part in (label(labels, "model", model), facet.title) if part)
        found.append(Facet(title, tuple(row for row in facet.rows if row["model"] == model)))
    return found


def _method(row: Row, labels: Labels) -> str | None:
    """The prune method of a cell; None if the study does not label it."""
    return labels.get("prune_line", {}).get(row["prune"])
