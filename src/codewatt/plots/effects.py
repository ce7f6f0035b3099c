"""Figure: forest plot of changes of energy, time and pass@1 with their confidence intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import variant_text
from codewatt.analysis.labels import Labels
from codewatt.analysis.tables import to_rows
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import Selection, select_cells
from codewatt.plots.variant_blocks import Block, LineKey, line_key, set_lines, split_blocks

#: Metric -> label of its panel. pass@1 is that of the plus tests if some comparison has it.
_PANELS = {
    "energy_j": "Change of energy (%)",
    "duration_s": "Change of duration (%)",
    "j_per_token": "Change of J/token (%)",
}
_ACCURACY = {
    "pass_at_1_plus": "pass@1 (base and plus\ntests): difference (points)",
    "pass_at_1_base": "pass@1 (base tests):\ndifference (points)",
}
_SIMULTANEOUS = ("simultaneous95_low", "simultaneous95_high")
_LEVEL = 0.05
_MARGIN_COLOUR = "#E4E4E4"


def plot(
    comparison_table: pd.DataFrame, cell_table: pd.DataFrame, labels: Labels, out_stem: Path
) -> list[Path]:
    """Draw the change of each variant against its reference, with 95 % intervals.

    One block of panels for each model and setting, one line for each comparison. Filled markers
    have a Holm-adjusted p below 0.05. Thin whiskers are simultaneous intervals, if the table has
    them. The equivalence margin of pass@1 is shaded.

    Args:
        comparison_table: the table of comparisons that `aggregate` made.
        cell_table: its cell table, for the study's margin and the names of references.
        labels: kind → id → label.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG and the PDF.
    """
    shown = select_cells(comparison_table, labels, {})
    margins = dict(zip(cell_table["cell_id"], cell_table["pass_at_1_margin"], strict=True))
    known = {name: float(value) for name, value in margins.items() if pd.notna(value)}
    with figure_style.style():
        return figure_style.save(
            _draw(shown, known, _endings(shown, cell_table, labels), labels), out_stem
        )


def _draw(
    shown: Selection, margins: Mapping[str, float], endings: Mapping[LineKey, str], labels: Labels
) -> Any:
    blocks = split_blocks(shown, labels, endings)
    rows = [row for block in blocks for row in block.rows]
    panels = _panels(rows)
    drawn = [row for row in rows if row["metric"] in panels and row["estimate"] is not None]
    sentences = [
        "Change of each variant against the baseline of its model"
        f"{' or the variant that is named' if endings else ''}, with 95 % confidence interval",
        shown.setting,
        _sessions_note(drawn),
        "Variants without an estimate have no marker"
        if any(row["metric"] in panels and row["estimate"] is None for row in rows)
        else None,
    ]
    figure = figure_style.new_figure(
        figure_style.TWO_COLUMNS,
        sum(block.height + 0.1 for block in blocks) if drawn else figure_style.EMPTY_PANEL,
        sentences,
        _legend(drawn, margins),
    )
    if not drawn:
        figure_style.write_message(figure.subplots(), "no comparisons")
        return figure
    grid = figure.subplots(
        len(blocks),
        len(panels),
        squeeze=False,
        sharex="col",
        height_ratios=[block.height for block in blocks],
    )
    for line, block in zip(grid, blocks, strict=True):
        line[0].set_title(block.title)
        for axes, (metric, name) in zip(line, panels.items(), strict=True):
            _panel(axes, block, metric, margins)
            axes.set_xlabel(name)
            axes.tick_params(axis="x", labelbottom=True)
            set_lines(axes, block, labelled=axes is line[0])
    return figure


def _endings(shown: Selection, cell_table: pd.DataFrame, labels: Labels) -> dict[LineKey, str]:
    """Line -> " against ...", for the comparisons with another cell than the baseline."""
    cells = {row["cell_id"]: row for row in to_rows(cell_table)}
    found = {}
    for facet in shown.facets:
        for row in facet.rows:
            reference = row["reference_cell_id"]
            if reference != cells[row["cell_id"]]["baseline_cell_id"]:
                found[line_key(row)] = f" against {variant_text(cells[reference], labels)}"
    return found


def _panels(rows: Sequence[Row]) -> dict[str, str]:
    """The metrics that have a panel -> label of the panel's axis."""
    estimated = {row["metric"] for row in rows if row["estimate"] is not None}
    found = {name: text for name, text in _PANELS.items() if name in estimated}
    accuracy = next((name for name in _ACCURACY if name in estimated), None)
    return found if accuracy is None else {**found, accuracy: _ACCURACY[accuracy]}


def _panel(axes: Any, block: Block, metric: str, margins: Mapping[str, float]) -> None:
    lines = list(block.lines)
    axes.axvline(0, color=figure_style.INK, linewidth=0.8, zorder=1)
    for row in block.rows:
        if row["metric"] == metric and row["estimate"] is not None:
            position = lines.index(line_key(row))
            if metric in _ACCURACY:
                _shade(axes, margins.get(row["cell_id"]), position)
            _effect(axes, row, position)


def _shade(axes: Any, margin: float | None, position: int) -> None:
    """Shade a line between -margin and +margin (percentage points)."""
    if margin is not None:
        ends = (position - 0.5, position + 0.5)
        axes.fill_betweenx(
            ends, -100 * margin, 100 * margin, color=_MARGIN_COLOUR, linewidth=0, zorder=0
        )


def _effect(axes: Any, row: Row, position: int) -> None:
    wide = _interval(row, *_SIMULTANEOUS)
    if wide is not None:
        axes.plot(wide, (position, position), color=figure_style.INK, linewidth=0.5, zorder=2)
    own = _interval(row, "ci95_low", "ci95_high")
    if own is not None:
        axes.plot(own, (position, position), color=_colour(row), linewidth=1.8, zorder=3)
    axes.plot(
        100 * row["estimate"],
        position,
        linestyle="none",
        color=_colour(row),
        markerfacecolor=_colour(row) if _shown(row) else "white",
        marker="s" if row["metric"] in _ACCURACY else "o",
        zorder=4,
    )


def _interval(row: Row, low: str, high: str) -> tuple[float, float] | None:
    """An interval in per cent or percentage points; None without one."""
    ends = row.get(low), row.get(high)
    return None if ends[0] is None or ends[1] is None else (100 * ends[0], 100 * ends[1])


def _colour(row: Row) -> str:
    return figure_style.COLOURS[1] if row["metric"] in _ACCURACY else figure_style.COLOURS[0]


def _shown(row: Row) -> bool:
    """Whether the Holm-adjusted p of the difference is below 0.05."""
    return row["p_holm"] is not None and row["p_holm"] < _LEVEL


def _sessions_note(rows: Sequence[Row]) -> str | None:
    counts = sorted({row["sessions"] for row in rows if row["sessions"] is not None})
    if counts == [1]:
        return (
            "One session: intervals of energy and time describe the runs of one job, not other jobs"
        )
    return f"Sessions: {' to '.join(str(n) for n in counts)}" if counts else None


def _legend(rows: Sequence[Row], margins: Mapping[str, float]) -> list[Any]:
    handles: list[Any] = []
    if any(_shown(row) for row in rows):
        handles.append(
            figure_style.marker_handle(
                "filled: Holm-adjusted p < 0.05", marker="o", color=figure_style.INK
            )
        )
    if any(not _shown(row) for row in rows):
        handles.append(
            figure_style.marker_handle(
                "open: no difference is shown",
                marker="o",
                color=figure_style.INK,
                markerfacecolor="white",
            )
        )
    if any(_interval(row, *_SIMULTANEOUS) for row in rows):
        handles.append(
            Line2D(
                [], [], color=figure_style.INK, linewidth=0.5, label="thin: simultaneous interval"
            )
        )
    if any(row["metric"] in _ACCURACY and row["cell_id"] in margins for row in rows):
        handles.append(Patch(color=_MARGIN_COLOUR, label="shaded: equivalence margin of pass@1"))
    return handles
