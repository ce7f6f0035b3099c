"""Figures against the number of pruned layers: what they show, and how they draw a model's line."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from codewatt.analysis.labels import Labels, label
from codewatt.analysis.tables import Row
from codewatt.plots import style
from codewatt.plots.slices import Facet, Slice, baseline_value, cut, pick

#: Models stand this far apart (layers), so that their whiskers do not cover each other.
_DODGE = 0.05


def cut_depths(cell_table: pd.DataFrame, labels: Labels, prompt: str) -> Slice:
    """The cells of the baseline's precision and of one prompt style, split by setting."""
    only = {
        "precision": baseline_value(cell_table, "precision"),
        "prompt": pick(cell_table, "prompt", prompt),
    }
    return cut(cell_table, labels, only)


def lines(rows: Sequence[Row], models: Sequence[str]) -> list[tuple[int, list[Row]]]:
    """Each model's rows by depth, with the model's position."""
    found = []
    for position, model in enumerate(models):
        line = sorted((r for r in rows if r["model"] == model), key=lambda r: r["prune_layers"])
        if line:
            found.append((position, line))
    return found


def places(rows: Sequence[Row], position: int, models: int) -> list[float]:
    """Where the rows of the model at a position stand: their depths, set apart by model."""
    shift = (position - (models - 1) / 2) * _DODGE
    return [row["prune_layers"] + shift for row in rows]


def frame(axes: Any, facet: Facet) -> None:
    """The depths of a facet as the axis of a panel."""
    axes.set_xlabel("pruned layers")
    found = sorted({row["prune_layers"] for row in facet.rows})
    axes.set_xticks(found)
    axes.set_xlim(found[0] - 0.5, found[-1] + 0.5)
    axes.grid(axis="y")


def model_handles(models: Sequence[str], labels: Labels) -> list[Any]:
    """A legend entry for each model."""
    return [
        style.marker_handle(label(labels, "model", model), **style.model_look(position))
        for position, model in enumerate(models)
    ]
