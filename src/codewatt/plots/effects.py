"""Figure: forest plot of changes of energy, time and pass@1 with their confidence intervals."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import variant_text
from codewatt.analysis.labels import Labels
from codewatt.analysis.tables import to_rows
from codewatt.plots import figure_style, forest_plots
from codewatt.plots.figure_cells import Selection, select_cells
from codewatt.plots.variant_blocks import (
    Block,
    LineKey,
    line_key,
    set_lines,
    split_blocks,
    split_pages,
)

#: Metric -> label of its panel, in per cent.
_PANELS = {
    "energy_j": "Change of energy (%)",
    "duration_s": "Change of duration (%)",
    "j_per_token": "Change of J/token (%)",
}
#: Metric -> label of the last panel. A block shows the first that it has.
_ACCURACY = {
    "pass_at_1_plus": "pass@1 (base and plus\ntests): difference (points)",
    "pass_at_1_base": "pass@1 (base tests):\ndifference (points)",
}
_SIMULTANEOUS = ("simultaneous95_low", "simultaneous95_high")
#: Ids of a comparison's two cells, and its metric.
_Key: TypeAlias = tuple[str, str | None, str]
_MARGIN_COLOUR = "#E4E4E4"


def plot(
    comparison_table: pd.DataFrame, cell_table: pd.DataFrame, labels: Labels, out_stem: Path
) -> list[Path]:
    """Draw the change of each variant against its reference, with 95 % intervals.

    One block of panels for each model and setting, one line for each comparison. Filled markers
    have a Holm-adjusted p below 0.05. Thin whiskers are the simultaneous intervals of energy and
    time against the baseline, which the cell table has. The equivalence margin of each comparison
    is shaded. Metrics of single tasks are not drawn. A comparison that is withheld keeps its line,
    without a marker; the reasons stand above the panels.

    Args:
        comparison_table: the table of comparisons that `aggregate` made.
        cell_table: its cell table, for simultaneous intervals and the names of references.
        labels: kind → id → label.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG, with everything, and the PDF, which has pages if the figure is tall.
    """
    cells = {row["cell_id"]: row for row in to_rows(cell_table)}
    metrics = [*_PANELS, *_ACCURACY]
    shown = select_cells(
        comparison_table[comparison_table["metric"].isin(metrics)].reset_index(drop=True),
        labels,
        {},
    )
    with figure_style.style():
        endings = _endings(shown, cells, labels)
        blocks = split_blocks(shown, labels, endings)
        pages = split_pages(blocks)
        figure = _draw(shown, blocks, cells, named=bool(endings))
        if len(pages) < 2 or len(figure.axes) < 2:
            return figure_style.save(figure, out_stem)
        parts = [
            _draw(shown, blocks, cells, named=bool(endings), page=number)
            for number in range(len(pages))
        ]
        return figure_style.save_pages(figure, parts, out_stem)


def _draw(
    shown: Selection,
    blocks: Sequence[Block],
    cells: Mapping[str, Row],
    *,
    named: bool,
    page: int | None = None,
) -> Any:
    """The figure of all blocks, or one page of it, with the notes and scales of the whole."""
    pages = split_pages(blocks)
    here = blocks if page is None else pages[page]
    rows = [row for block in blocks for row in block.rows]
    drawn = [row for row in rows if row["estimate"] is not None]
    wide = {_key(row): ends for row in drawn if (ends := _simultaneous(row, cells)) is not None}
    columns = _columns(drawn)
    sentences = [
        None if page is None else f"Page {page + 1} of {len(pages)}",
        "Change of each variant against the baseline of its model"
        f"{' or the variant that is named' if named else ''}, with 95 % confidence interval",
        shown.setting,
        forest_plots.sessions_note(drawn),
        "An arrow: the interval goes on beyond the panel" if _any_cut(drawn, wide) else None,
        _withheld_note(rows),
    ]
    figure = figure_style.new_figure(
        figure_style.TWO_COLUMNS,
        sum(block.height + 0.1 for block in here) if drawn else figure_style.EMPTY_PANEL,
        sentences,
        _legend(drawn, simultaneous=bool(wide)),
    )
    if not drawn:
        figure_style.write_message(figure.subplots(), "no comparisons")
        return figure
    grid = figure.subplots(
        len(here),
        len(columns),
        squeeze=False,
        sharex="col",
        height_ratios=[block.height for block in here],
    )
    for line, block in zip(grid, here, strict=True):
        line[0].set_title(block.title)
        for axes, column in zip(line, columns, strict=True):
            metric = next(
                (m for m in column if any(r["metric"] == m for r in block.rows)), column[0]
            )
            _panel(axes, block, metric, wide, _cut(drawn, metric))
            axes.set_xlabel((_PANELS | _ACCURACY)[metric])
            axes.tick_params(axis="x", labelbottom=True)
            set_lines(axes, block, labelled=axes is line[0])
    if page is not None:
        whole = _draw(shown, blocks, cells, named=named)
        for axes, other in zip(grid[0], whole.axes, strict=False):
            axes.set_xlim(other.get_xlim())
    return figure


def _endings(shown: Selection, cells: Mapping[str, Row], labels: Labels) -> dict[LineKey, str]:
    """Line -> " against ...", for the comparisons with another cell than the baseline."""
    found = {}
    for facet in shown.facets:
        for row in facet.rows:
            reference = row["reference_cell_id"]
            if reference != cells[row["cell_id"]]["baseline_cell_id"]:
                found[line_key(row)] = f" against {variant_text(cells[reference], labels)}"
    return found


def _columns(drawn: Sequence[Row]) -> list[tuple[str, ...]]:
    """The metrics that each column of panels can show, from left to right."""
    estimated = {row["metric"] for row in drawn}
    accuracies = tuple(name for name in _ACCURACY if name in estimated)
    return [(name,) for name in _PANELS if name in estimated] + ([accuracies] if accuracies else [])


def _cut(drawn: Sequence[Row], metric: str) -> float:
    """Where intervals of a metric are cut (per cent); a difference of pass@1 is never cut."""
    if metric in _ACCURACY:
        return math.inf
    return forest_plots.interval_cut(row["estimate"] for row in drawn if row["metric"] == metric)


def _any_cut(drawn: Sequence[Row], wide: Mapping[_Key, tuple[float, float]]) -> bool:
    cuts = {row["metric"]: _cut(drawn, row["metric"]) for row in drawn}
    ends = [wide.get(_key(row), (0.0, 0.0))[1] - cuts[row["metric"]] for row in drawn]
    ends += [
        interval[1] - cuts[row["metric"]]
        for row in drawn
        if (interval := forest_plots.interval_percent(row, "ci95_low", "ci95_high")) is not None
    ]
    return any(end > 0 for end in ends)


def _panel(
    axes: Any,
    block: Block,
    metric: str,
    wide: Mapping[_Key, tuple[float, float]],
    cut: float,
) -> None:
    lines = list(block.lines)
    axes.axvline(0, color=figure_style.INK, linewidth=0.8, zorder=1)
    for row in block.rows:
        if row["metric"] == metric and row["estimate"] is not None:
            position = lines.index(line_key(row))
            _shade(axes, row["equivalence_margin"], position)
            simultaneous = wide.get(_key(row))
            if simultaneous is not None:
                forest_plots.draw_whisker(axes, simultaneous, position, cut, figure_style.INK, 0.5)
            own = forest_plots.interval_percent(row, "ci95_low", "ci95_high")
            if own is not None:
                forest_plots.draw_whisker(axes, own, position, cut, _colour(row), 1.8)
            _estimate(axes, row, position)


def _shade(axes: Any, margin: float | None, position: int) -> None:
    """Shade a line between -margin and +margin (per cent or percentage points)."""
    if margin is not None:
        ends = (position - 0.5, position + 0.5)
        axes.fill_betweenx(
            ends, -100 * margin, 100 * margin, color=_MARGIN_COLOUR, linewidth=0, zorder=0
        )


def _estimate(axes: Any, row: Row, position: int) -> None:
    axes.plot(
        100 * row["estimate"],
        position,
        linestyle="none",
        color=_colour(row),
        markerfacecolor=_colour(row) if forest_plots.is_shown(row) else "white",
        marker="s" if row["metric"] in _ACCURACY else "o",
        zorder=4,
    )


def _key(row: Row) -> _Key:
    return (*line_key(row), row["metric"])


def _simultaneous(row: Row, cells: Mapping[str, Row]) -> tuple[float, float] | None:
    """The simultaneous interval of a comparison with the baseline (per cent); None without one."""
    cell = cells[row["cell_id"]]
    if row["metric"] not in _PANELS or row["reference_cell_id"] != cell["baseline_cell_id"]:
        return None
    return forest_plots.interval_percent(
        cell, *(f"{row['metric']}_change_{end}" for end in _SIMULTANEOUS)
    )


def _colour(row: Row) -> str:
    return figure_style.COLOURS[1] if row["metric"] in _ACCURACY else figure_style.COLOURS[0]


def _withheld_note(rows: Sequence[Row]) -> str | None:
    """How many comparisons have no marker in some panel, and why."""
    reasons: dict[LineKey, str] = {}
    for row in rows:
        if row["estimate"] is None:
            reasons.setdefault(line_key(row), row["note"] or "no estimate")
    return forest_plots.withheld_note(
        "A comparison that is withheld has a line without a marker",
        list(reasons.values()),
        f"{len({line_key(row) for row in rows})} lines",
        "comparison table",
    )


def _legend(rows: Sequence[Row], *, simultaneous: bool) -> list[Any]:
    handles = forest_plots.p_handles(rows)
    if simultaneous:
        handles.append(
            Line2D(
                [],
                [],
                color=figure_style.INK,
                linewidth=0.5,
                label="thin: simultaneous 95 % interval (Bonferroni)",
            )
        )
    if any(row["equivalence_margin"] is not None for row in rows):
        handles.append(Patch(color=_MARGIN_COLOUR, label=_margins(rows)))
    return handles


def _margins(rows: Sequence[Row]) -> str:
    """The legend of the shading: the equivalence margins that the study set."""
    parts = []
    for name, accuracy, unit in (("energy and time", False, "%"), ("pass@1", True, "points")):
        found = {
            f"{100 * row['equivalence_margin']:.3g}"
            for row in rows
            if row["equivalence_margin"] is not None and (row["metric"] in _ACCURACY) == accuracy
        }
        if found:
            parts.append(f"{name} \N{PLUS-MINUS SIGN}{', '.join(sorted(found))} {unit}")
    return f"shaded: equivalence margin ({'; '.join(parts)})"
