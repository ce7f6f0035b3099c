"""Energy of a run for each precision, stacked by component, one panel a model."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from codewatt.analysis.tables import Row
from codewatt.plots import style
from codewatt.plots.slices import (
    Facet,
    Labels,
    Slice,
    cut,
    energy_words,
    label,
    modelled,
    ordered,
    pick,
    repeats_words,
    spread,
)

_PANELS_A_ROW = 3
_BAR_INCHES, _PANEL_INCHES = 0.2, 0.55
_FAILED = "failed a validity expectation"


def plot(
    cell_table: pd.DataFrame,
    labels: Labels,
    out_stem: Path,
    *,
    baseline: dict[str, str],
    prompt: str = "stripped",
) -> list[Path]:
    """Draw mean energy of a run by precision with the 95 % interval of the mean of the total.

    A panel a model, all panels of one setting on the same scale; modelled components hatched;
    failed cells pale and named. Shown: the baseline's pruning and one prompt style.

    Args:
        cell_table: the cell table. labels: kind → id → label.
        out_stem: path without suffix. baseline: {"precision", "prune"}.

    Returns:
        The PNG and the PDF.
    """
    only = {
        "prune": pick(cell_table, "prune", baseline["prune"]),
        "prompt": pick(cell_table, "prompt", prompt),
    }
    shown = cut(cell_table, labels, only)
    with style.style():
        return style.save(_draw(shown, labels), out_stem)


def _draw(shown: Slice, labels: Labels) -> Any:
    rows = [row for facet in shown.facets for row in facet.rows]
    models = {id(f): ordered(labels, "model", f.rows) for f in shown.facets}
    precisions = {id(f): ordered(labels, "precision", f.rows) for f in shown.facets}
    across = min(_PANELS_A_ROW, max((len(names) for names in models.values()), default=1))
    # One entry a line of panels: its facet and the models in it.
    lines = [
        (facet, models[id(facet)][start : start + across])
        for facet in shown.facets
        for start in range(0, len(models[id(facet)]), across)
    ]
    heights = [_PANEL_INCHES + _BAR_INCHES * len(precisions[id(facet)]) for facet, _ in lines]
    width = style.COLUMN if across == 1 else style.TWO_COLUMNS
    figure = style.new_figure(width, sum(heights) + (1.3 if across == 1 else 0.95))
    style.subtitle(
        figure,
        [
            "Energy of one run (every task of the benchmark once).",
            shown.sentence,
            energy_words(rows),
            shown.omitted,
        ],
    )
    if not any(row["total_j_mean"] is not None for row in rows):
        style.say(figure.subplots(), "no energy data")
        return figure
    grid = figure.subplots(len(lines), across, squeeze=False, height_ratios=heights or None)
    for number, (line, column) in enumerate(product(range(len(lines)), range(across))):
        facet, names = lines[line]
        axes = grid.flat[number]
        if column >= len(names):
            axes.set_axis_off()
            continue
        panel = [row for row in facet.rows if row["model"] == names[column]]
        _panel(axes, panel, facet, precisions[id(facet)], labels)
        title = [label(labels, "model", names[column]), facet.title]
        axes.set_title("\n".join(part for part in title if part))
        if column > 0:
            axes.tick_params(labelleft=False)
    figure.legend(handles=_legend(rows), loc="outside lower center", ncols=2 if across == 1 else 3)
    return figure


def _panel(
    axes: Any, rows: Sequence[Row], facet: Facet, precisions: Sequence[str], labels: Labels
) -> None:
    """One model: a bar a precision, the first on top."""
    highest = max((_top(row) for row in facet.rows), default=0.0)
    divisor, unit = style.energy_scale(highest)
    by_precision = {row["precision"]: row for row in rows}
    for position, precision in enumerate(precisions):
        _bar(axes, by_precision.get(precision), position, divisor)
    axes.set_yticks(range(len(precisions)), [label(labels, "precision", p) for p in precisions])
    axes.set_ylim(len(precisions) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, (highest or divisor) / divisor * 1.08)
    axes.grid(axis="x")
    axes.set_xlabel(f"energy per run ({unit})")


def _top(row: Row) -> float:
    """The highest joules that a cell's bar and whisker reach."""
    return max(row["total_j_mean"] or 0.0, row["total_j_ci95_high"] or 0.0)


def _bar(axes: Any, row: Row | None, position: int, divisor: float) -> None:
    """A stacked bar with its whisker; or, where there is none, the reason."""
    reason = _no_bar(row)
    if row is None or reason is not None:
        axes.text(0, position, f" {reason}", va="center", color=style.PALE, style="italic")
        return
    left = 0.0
    for part, colour in style.COMPONENT_COLOURS.items():
        joules = row[f"{part}_j_mean"]
        if joules is None:
            continue
        is_modelled = row[f"{part}_energy_status"] == "modelled"
        axes.barh(
            position,
            joules / divisor,
            left=left,
            height=0.68,
            color=colour,
            edgecolor="white",
            linewidth=0,
            hatch=style.MODELLED_HATCH if is_modelled else None,
            alpha=1.0 if row["valid"] else 0.3,
        )
        left += joules / divisor
    whisker = spread(row, "total_j")
    if whisker is not None:
        ends = [[distance / divisor] for distance in whisker]
        axes.errorbar(left, position, xerr=ends, color=style.INK, capsize=2, elinewidth=0.9)
    if not row["valid"]:
        axes.text(0, position, " invalid", va="center", color=style.ALERT, weight="bold")


def _no_bar(row: Row | None) -> str | None:
    if row is None:
        return "not in the study"
    if row["status"] != "ok":
        return str(row["status"])
    return "no energy data" if row["total_j_mean"] is None else None


def _legend(rows: Sequence[Row]) -> list[Any]:
    parts = [p for p in style.COMPONENT_NAMES if any(r[f"{p}_j_mean"] is not None for r in rows)]
    handles: list[Any] = [
        Patch(color=style.COMPONENT_COLOURS[part], label=style.COMPONENT_NAMES[part])
        for part in parts
    ]
    if any(modelled(row) for row in rows):
        handles.append(style.modelled_patch())
    runs = repeats_words(rows)
    if any(spread(row, "total_j") is not None for row in rows):
        whisker = f"95 % interval of the mean total, {runs}"
        handles.append(Line2D([], [], color=style.INK, marker="|", label=whisker))
    elif runs:
        handles.append(Line2D([], [], linestyle="none", label=runs))
    if any(row["valid"] is False for row in rows):
        handles.append(Patch(color=style.PALE, alpha=0.3, label=f"pale, invalid: {_FAILED}"))
    return handles
