"""Figure: energy and duration of every run, one line for each variant, with violins."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.labels import Labels
from codewatt.energy.integration import Floats
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import Selection, select_cells
from codewatt.plots.variant_blocks import (
    Block,
    LineKey,
    line_key,
    set_lines,
    split_blocks,
    split_pages,
)

#: A violin needs this many runs; a density of fewer says more about the kernel than about the runs.
VIOLIN_RUNS = 5
#: A panel is logarithmic if its largest value is this many times the smallest.
_LOG_RATIO = 10.0
#: Half of a violin's height, and of the vertical range of the points (lines).
_HALF_VIOLIN, _HALF_POINTS = 0.42, 0.3


def plot(run_table: pd.DataFrame, labels: Labels, out_stem: Path) -> list[Path]:
    """Draw energy (left) and duration (right) of every run.

    One block of panels for each model and setting, one line for each variant. Every run is a
    point; points of a line are offset vertically in the order of sessions and repeats. Sessions
    have different markers. A variant with at least 5 valid runs has a violin.

    Args:
        run_table: the run table that `aggregate` made, with or without the column `session`.
        labels: kind → id → label.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG, with everything, and the PDF, which has pages if the figure is tall.
    """
    shown = select_cells(run_table, labels, {})
    with figure_style.style():
        blocks = split_blocks(shown, labels)
        pages = split_pages(blocks)
        figure = _draw(shown, blocks)
        if len(pages) < 2:
            return figure_style.save(figure, out_stem)
        parts = [
            _draw(shown, page, f"Page {number} of {len(pages)}")
            for number, page in enumerate(pages, start=1)
        ]
        return figure_style.save_pages(figure, parts, out_stem)


def density(values: Floats, at: Floats) -> Floats | None:
    """Gaussian kernel density with Scott's bandwidth, scaled to a highest value of 1.

    Source: Scott 1992, "Multivariate density estimation": bandwidth = SD * n^(-1/5).

    Args:
        values: shape (n,).
        at: where the density is computed, shape (m,).

    Returns:
        Shape (m,); None if all values are equal.
    """
    bandwidth = float(values.std(ddof=1)) * len(values) ** -0.2
    if not bandwidth > 1e-12 * float(np.abs(values).max()):
        return None
    distance = (at[:, None] - values[None, :]) / bandwidth
    heights: Floats = np.exp(-(distance**2) / 2).sum(axis=1)
    heights /= heights.max()
    return heights


def _draw(shown: Selection, blocks: Sequence[Block], page: str | None = None) -> Any:
    rows = [row for block in blocks for row in block.rows]
    sessions = sorted({_session(row) for row in rows})
    counts = [len(_runs(block, key)) for block in blocks for key in block.lines]
    sentences = [
        page,
        "Each point is a run (every task of the benchmark once); points of a variant are in the "
        "order of its runs, from top to bottom",
        shown.setting,
        _violin_note(counts),
        f"Markers distinguish {len(sessions)} sessions" if len(sessions) > 1 else None,
    ]
    figure = figure_style.new_figure(
        figure_style.TWO_COLUMNS,
        sum(block.height for block in blocks) or figure_style.EMPTY_PANEL,
        sentences,
        _legend(rows, sessions),
    )
    if not blocks:
        figure_style.write_message(figure.subplots(), "no runs")
        return figure
    heights = [block.height for block in blocks]
    grid = figure.subplots(len(blocks), 2, squeeze=False, height_ratios=heights)
    for pair, block in zip(grid, blocks, strict=True):
        pair[0].set_title(block.title)
        for axes, metric in zip(pair, ("energy_j", "duration_s"), strict=True):
            _panel(axes, block, metric, sessions)
            set_lines(axes, block, labelled=axes is pair[0])
    return figure


def _panel(axes: Any, block: Block, metric: str, sessions: Sequence[int]) -> None:
    values = [row[metric] for row in block.rows if row[metric] is not None]
    name = {"energy_j": "Energy per run", "duration_s": "Duration of a run"}[metric]
    if not values:
        axes.set_xticks([])
        axes.set_xlabel("no energy data" if metric == "energy_j" else "no durations")
        return
    divisor, unit = figure_style.energy_scale(max(values)) if metric == "energy_j" else (1.0, "s")
    logarithmic = min(values) > 0 and max(values) / min(values) > _LOG_RATIO
    for position, key in enumerate(block.lines):
        runs = [row for row in _runs(block, key) if row[metric] is not None]
        valid = np.array([row[metric] / divisor for row in runs if row["valid"] is not False])
        if len(valid) >= VIOLIN_RUNS:
            _violin(axes, valid, position, logarithmic=logarithmic)
        for place, row in enumerate(runs):
            shift = (place - (len(runs) - 1) / 2) * 2 * _HALF_POINTS / max(len(runs), 3)
            _point(axes, row, row[metric] / divisor, position + shift, sessions)
    if logarithmic:
        figure_style.set_log_axis(axes.xaxis, min(values) / divisor, max(values) / divisor)
    else:
        axes.margins(x=0.08)
    axes.set_xlabel(f"{name} ({unit}{', logarithmic' if logarithmic else ''})")


def _violin(axes: Any, values: Floats, position: int, *, logarithmic: bool) -> None:
    """Fill the density between the smallest and the largest value; on the axis's own scale."""
    scaled = np.log10(values) if logarithmic else values
    at = np.linspace(scaled.min(), scaled.max(), 200)
    heights = density(scaled, at)
    if heights is not None:
        axes.fill_between(
            10**at if logarithmic else at,
            position - _HALF_VIOLIN * heights,
            position + _HALF_VIOLIN * heights,
            color="#D9D9D9",
            linewidth=0,
            zorder=1,
        )


def _point(axes: Any, row: Row, value: float, line: float, sessions: Sequence[int]) -> None:
    style = figure_style.model_style(sessions.index(_session(row)))
    marker = "x" if row["valid"] is False else style["marker"]
    axes.plot(
        value, line, linestyle="none", color=style["color"], marker=marker, markersize=3, zorder=3
    )


def _runs(block: Block, key: LineKey) -> list[Row]:
    """The runs of a line, in the order of sessions and repeats."""
    runs = [row for row in block.rows if line_key(row) == key]
    return sorted(runs, key=lambda row: (_session(row), row["repeat"]))


def _session(row: Row) -> int:
    """A run's session; 1 in tables without sessions."""
    return int(row.get("session") or 1)


def _violin_note(counts: Sequence[int]) -> str | None:
    few, many = [n for n in counts if n < VIOLIN_RUNS], [n for n in counts if n >= VIOLIN_RUNS]
    drawn = (
        "Violins: kernel density (Scott's bandwidth) between the smallest and the largest valid run"
    )
    if not many:
        return f"No violins: no variant has {VIOLIN_RUNS} runs" if few else None
    return f"{drawn}; none for variants with fewer than {VIOLIN_RUNS} runs" if few else drawn


def _legend(rows: Sequence[Row], sessions: Sequence[int]) -> list[Any]:
    handles = [
        figure_style.marker_handle(f"session {number}", **figure_style.model_style(place))
        for place, number in enumerate(sessions)
        if len(sessions) > 1
    ]
    if any(row["valid"] is False for row in rows):
        handles.append(
            figure_style.marker_handle(
                "cross: failed a validity check", marker="x", color=figure_style.INK
            )
        )
    return handles
