"""The figures of a study's tables, by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from codewatt.analysis.labels import Labels
from codewatt.plots import (
    distributions,
    domain_effects,
    domain_energy,
    domains,
    effects,
    energy_by_precision,
    frontier,
    prompts,
    prune_depth,
    repetition,
    roofline,
    scaling,
)

#: Name of a figure -> (its tables, the function that draws them: tables, labels, path).
_FIGURES: dict[str, tuple[tuple[str, ...], Callable[..., list[Path]]]] = {
    "distributions": (("run",), distributions.plot),
    "domain_effects": (("domain_comparison", "cell"), domain_effects.plot),
    "domain_energy": (("domain", "cell"), domain_energy.plot),
    "domains": (("domain",), domains.plot),
    "effects": (("comparison", "cell"), effects.plot),
    "energy_by_precision": (("cell",), energy_by_precision.plot),
    "frontier": (("cell",), frontier.plot),
    "prompts": (("cell",), prompts.plot),
    "prune_depth": (("cell",), prune_depth.plot),
    "repetition": (("cell",), repetition.plot),
    "roofline": (("cell",), roofline.plot),
    "scaling": (("cell",), scaling.plot),
}


def plot_figure(tables: Mapping[str, pd.DataFrame], labels: Labels, out_stem: Path) -> list[Path]:
    """Draw the figure that `out_stem` names.

    Args:
        tables: the tables that `aggregate` made, by name, that the figure draws.
        labels: kind → id → label.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG and the PDF.
    """
    names, plot = _FIGURES[out_stem.name]
    return plot(*(tables[name] for name in names), labels, out_stem)
