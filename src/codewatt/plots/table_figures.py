"""The figures of a study's tables, by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from codewatt.analysis.labels import Labels
from codewatt.plots import (
    distributions,
    energy_by_precision,
    frontier,
    prompts,
    prune_depth,
    repetition,
    roofline,
    scaling,
)

_Plot = Callable[[pd.DataFrame, Labels, Path], list[Path]]
#: Name of a figure -> (its table, the function that draws it).
_FIGURES: dict[str, tuple[str, _Plot]] = {
    "distributions": ("run", distributions.plot),
    "energy_by_precision": ("cell", energy_by_precision.plot),
    "frontier": ("cell", frontier.plot),
    "prompts": ("cell", prompts.plot),
    "prune_depth": ("cell", prune_depth.plot),
    "repetition": ("cell", repetition.plot),
    "roofline": ("cell", roofline.plot),
    "scaling": ("cell", scaling.plot),
}


def plot_figure(tables: Mapping[str, pd.DataFrame], labels: Labels, out_stem: Path) -> list[Path]:
    """Draw the figure that `out_stem` names.

    Args:
        tables: the tables that `aggregate` made: "cell", "run".
        labels: kind → id → label.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG and the PDF.
    """
    table, plot = _FIGURES[out_stem.name]
    return plot(tables[table], labels, out_stem)
