"""Figure: the roofline, with the achieved FLOP/s and arithmetic intensity of both phases."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import variant_text
from codewatt.analysis.labels import Labels, label
from codewatt.analysis.roofline_columns import PHASES
from codewatt.analysis.tables import to_rows
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import ordered_ids, select_cells, validity_note

_ACROSS = 2
_PANEL_INCHES = 2.6
#: Machines whose rates of matrix multiplication differ by less than this factor share a roof.
_SAME_RATE = 1.5
_UNITS = ((1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1e6, "MFLOP/s"))
_ROOF_COLOUR = "#D9D9D9"


def plot(cell_table: pd.DataFrame, labels: Labels, out_stem: Path) -> list[Path]:
    """Draw each cell's prefill and decode in a roofline diagram, one panel for each model.

    Arithmetic intensity is FLOPs divided by bytes moved, both as counted for the roofline. The
    ordinate is the FLOPs divided by the measured time of the phase (geometric mean over runs). The
    roof is min(bandwidth * intensity, rate of matrix multiplication), from the rates that each cell
    measured on its machine.

    Source: Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance
    model".

    Args and returns: as codewatt.plots.domains.plot, with the cell table.
    """
    with figure_style.style():
        return figure_style.save(_draw(cell_table, labels), out_stem)


def phase_point(row: Row, phase: str) -> tuple[float, float] | None:
    """(FLOPs per byte, FLOP/s) of a cell's phase; None where one of them is not known."""
    flops, moved = row[f"{phase}_flops_mean"], row[f"{phase}_bytes_mean"]
    taken_s = row[f"{phase}_s_geomean"]
    if not flops or not moved or not taken_s:
        return None
    return flops / moved, flops / taken_s


def _draw(cell_table: pd.DataFrame, labels: Labels) -> Any:
    rows = to_rows(cell_table)
    shown = select_cells(cell_table, labels, {})
    drawn = [row for row in rows if _has_roof(row) and any(phase_point(row, p) for p in PHASES)]
    models = ordered_ids(labels, "model", drawn)
    variants = list(dict.fromkeys(variant_text(row, labels) for row in drawn))
    across = min(_ACROSS, max(len(models), 1))
    lines = max(-(-len(models) // across), 1)
    sentences = [
        "FLOPs and bytes are the smallest numbers that the phase needs; the time is measured",
        shown.setting,
        f"Cells of {len(shown.facets)} settings share a panel" if len(shown.facets) > 1 else None,
        _decode_note(drawn),
        validity_note(rows),
        "Cells without known FLOPs or rates are omitted" if len(drawn) < len(rows) else None,
    ]
    figure = figure_style.new_figure(
        figure_style.TWO_COLUMNS if across > 1 else figure_style.COLUMN,
        _PANEL_INCHES * lines if drawn else figure_style.EMPTY_PANEL,
        sentences,
        _legend(drawn, variants),
    )
    grid = figure.subplots(lines, across, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(models):
            figure_style.write_message(axes, "" if models else "no roofline data")
            continue
        axes.set_title(label(labels, "model", models[number]))
        _panel(axes, [r for r in drawn if r["model"] == models[number]], variants, labels)
    return figure


def _has_roof(row: Row) -> bool:
    return bool(row["bandwidth_bytes_per_s"] and row["matmul_flops_per_s"])


def _panel(axes: Any, rows: Sequence[Row], variants: Sequence[str], labels: Labels) -> None:
    points = [(row, phase, phase_point(row, phase)) for row in rows for phase in PHASES]
    known = [(row, phase, point) for row, phase, point in points if point is not None]
    ridges = [row["matmul_flops_per_s"] / row["bandwidth_bytes_per_s"] for row in rows]
    intensities = [point[0] for _, _, point in known] + ridges
    rates = [point[1] for _, _, point in known]
    tops = [row["matmul_flops_per_s"] for row in rows]
    divisor, unit = next(((d, u) for d, u in _UNITS if max(tops) >= d), (1.0, "FLOP/s"))
    # The roof goes on to the right of the ridge, so that its flat part is seen.
    low, high = min(intensities) / 2, max(intensities) * 3
    at = np.geomspace(low, high, 200)
    for group in _same_machines(rows):
        roofs = np.array(
            [
                np.minimum(row["bandwidth_bytes_per_s"] * at, row["matmul_flops_per_s"])
                for row in group
            ]
        )
        axes.fill_between(
            at, roofs.min(axis=0) / divisor, roofs.max(axis=0) / divisor, color=_ROOF_COLOUR
        )
        axes.plot(at, np.median(roofs, axis=0) / divisor, color=figure_style.INK, linewidth=0.9)
    for row, phase, (intensity, rate) in known:
        style = figure_style.model_style(variants.index(variant_text(row, labels)))
        valid = row["valid"] is not False
        axes.plot(
            intensity,
            rate / divisor,
            linestyle="none",
            color=style["color"],
            marker=style["marker"] if valid else "x",
            markerfacecolor="white" if phase == "prefill" else style["color"],
            zorder=3,
        )
    figure_style.set_log_axis(axes.xaxis, low, high)
    lowest = min(*rates, low * min(row["bandwidth_bytes_per_s"] for row in rows))
    figure_style.set_log_axis(axes.yaxis, lowest / divisor, max(*tops, *rates) / divisor)
    axes.set_xlabel("Arithmetic intensity (FLOPs per byte)")
    axes.set_ylabel(f"Achieved rate ({unit})")
    axes.grid()


def _same_machines(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows grouped by their machines' rates of matrix multiplication, from low to high."""
    groups: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: float(row["matmul_flops_per_s"])):
        rate = row["matmul_flops_per_s"]
        if groups and rate < _SAME_RATE * groups[-1][0]["matmul_flops_per_s"]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _decode_note(rows: Sequence[Row]) -> str | None:
    """The range of the shares of the roofline that decoding reached."""
    shares = [row["decode_roofline_share_geomean"] for row in rows]
    known = [100 * share for share in shares if share is not None]
    if not known:
        return None
    ends = dict.fromkeys((f"{min(known):.2g}", f"{max(known):.2g}"))
    return f"Decoding reached {' to '.join(ends)} % of the roofline"


def _legend(rows: Sequence[Row], variants: Sequence[str]) -> list[Any]:
    if not rows:
        return []
    ink = figure_style.INK
    handles = [
        figure_style.marker_handle(name, **figure_style.model_style(position))
        for position, name in enumerate(variants)
    ]
    handles.append(figure_style.marker_handle("filled: decode", marker="o", color=ink))
    handles.append(
        figure_style.marker_handle("open: prefill", marker="o", color=ink, markerfacecolor="white")
    )
    handles.append(figure_style.line_handle("roofline (median); grey: range over cells"))
    if any(row["valid"] is False for row in rows):
        handles.append(
            figure_style.marker_handle("cross: failed a validity check", marker="x", color=ink)
        )
    return handles
