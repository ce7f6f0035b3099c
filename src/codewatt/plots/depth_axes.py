"""Figures against the number of pruned layers: what they show, and what their lines are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from codewatt.analysis.labels import Labels, label
from codewatt.analysis.tables import Row
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import Facet, Slice, baseline_value, cut, ordered, pick

#: Lines stand this far apart (layers), so that their whiskers do not cover each other.
_DODGE = 0.05


@dataclass(frozen=True)
class Lines:
    """One line a model; where layers are chosen in several ways, one line a way.

    names: ids of models, or ways of pruning in the study's order. A line's place among them is
    its colour, so that it has the same one in every panel and figure.
    """

    names: tuple[str, ...]
    labels: Labels
    by_method: bool

    @classmethod
    def of(cls, rows: Sequence[Row], labels: Labels) -> "Lines":
        """The lines of all cells of a figure."""
        methods = dict.fromkeys(_method(row, labels) for row in rows if row["prune_layers"])
        names = tuple(name for name in methods if name is not None)
        if len(names) > 1:
            return cls(names, labels, by_method=True)
        return cls(tuple(ordered(labels, "model", rows)), labels, by_method=False)

    def of_rows(self, rows: Iterable[Row]) -> list[tuple[int, list[Row]]]:
        """(place, rows by depth) of each line that has rows; all methods' start unpruned."""
        by_depth = sorted(rows, key=lambda row: row["prune_layers"])
        found = []
        for place, name in enumerate(self.names):
            line = [row for row in by_depth if self._belongs(row, name)]
            if line:
                found.append((place, line))
        return found

    def depths(self, line: Sequence[Row], place: int) -> list[float]:
        """Where the rows of a line stand: their depths, set apart by line."""
        shift = (place - (len(self.names) - 1) / 2) * _DODGE
        return [row["prune_layers"] + shift for row in line]

    def handles(self, rows: Sequence[Row]) -> list[Any]:
        """A legend entry for each line that has one of the rows."""
        kind = "prune_line" if self.by_method else "model"  # the former's names are labels
        return [
            figure_style.marker_handle(
                label(self.labels, kind, self.names[place]), **figure_style.model_look(place)
            )
            for place, _ in self.of_rows(rows)
        ]

    def _belongs(self, row: Row, name: str) -> bool:
        if not self.by_method:
            return bool(row["model"] == name)
        return not row["prune_layers"] or _method(row, self.labels) == name


def cut_depths(cell_table: pd.DataFrame, labels: Labels, prompt: str) -> tuple[Slice, Lines]:
    """The cells of the baseline's precision and of one prompt style, split by setting.

    Where a line is not a model, they are split by model as well.
    """
    only = {
        "precision": baseline_value(cell_table, "precision"),
        "prompt": pick(cell_table, "prompt", prompt),
    }
    shown = cut(cell_table, labels, only)
    rows = [row for facet in shown.facets for row in facet.rows]
    lines = Lines.of(rows, labels)
    if lines.by_method:
        split = tuple(one for facet in shown.facets for one in _by_model(facet, labels))
        shown = replace(shown, facets=split)
    return shown, lines


def frame(axes: Any, facet: Facet) -> None:
    """The depths of a facet as the axis of a panel."""
    axes.set_xlabel("pruned layers")
    found = sorted({row["prune_layers"] for row in facet.rows})
    axes.set_xticks(found)
    axes.set_xlim(found[0] - 0.5, found[-1] + 0.5)
    axes.grid(axis="y")


def _by_model(facet: Facet, labels: Labels) -> list[Facet]:
    found = []
    for model in ordered(labels, "model", facet.rows):
        title = ", ".join(part for part in (label(labels, "model", model), facet.title) if part)
        found.append(Facet(title, tuple(row for row in facet.rows if row["model"] == model)))
    return found


def _method(row: Row, labels: Labels) -> str | None:
    """How a cell's layers were chosen, None where the study does not say."""
    return labels.get("prune_line", {}).get(row["prune"])
