"""Figure: the roofline, with the achieved FLOP/s and arithmetic intensity of both phases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

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
#: A cell whose rate is below this share of its device's highest rate is counted in the note.
_LOW_RATE = 0.5
_UNITS = ((1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1e6, "MFLOP/s"))
#: Markers of the phases: prefill has triangles. Together with the colour they name 28 variants.
_MARKERS = {"prefill": ("^", "v", "<", ">"), "decode": ("o", "s", "D", "h")}

#: Highest rates of a device: (bytes/s, FLOP/s).
_Roof: TypeAlias = tuple[float, float]


def plot(cell_table: pd.DataFrame, labels: Labels, out_stem: Path) -> list[Path]:
    """Draw each cell's prefill and decode in a roofline diagram, one panel for each model.

    Arithmetic intensity is FLOPs divided by bytes moved, both as counted for the roofline. The
    ordinate is the FLOPs divided by the measured time of the phase (geometric mean over runs). The
    roof is min(bandwidth * intensity, rate of matrix multiplication). There is one for each device,
    from the highest rates that a cell measured on it: other load lowers a measured rate, so a lower
    one says less about the device.

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


def device_roofs(rows: Sequence[Row]) -> dict[str, _Roof]:
    """Device -> its highest measured bandwidth and rate of matrix multiplication.

    Args:
        rows: rows of the cell table with both rates.
    """
    roofs: dict[str, _Roof] = {}
    for row in rows:
        bandwidth, rate = roofs.get(_device(row), (0.0, 0.0))
        roofs[_device(row)] = (
            max(bandwidth, row["bandwidth_bytes_per_s"]),
            max(rate, row["matmul_flops_per_s"]),
        )
    return roofs


def _device(row: Row) -> str:
    """The model of the GPU that the cell ran on, or of the CPU without one."""
    return str(row["gpu_names"] or row["cpu_name"] or "unknown device")


def _draw(cell_table: pd.DataFrame, labels: Labels) -> Any:
    rows = to_rows(cell_table)
    shown = select_cells(cell_table, labels, {})
    drawn = [row for row in rows if _has_roof(row) and any(phase_point(row, p) for p in PHASES)]
    models = ordered_ids(labels, "model", drawn)
    roofs = device_roofs(drawn)
    variants = list(dict.fromkeys(variant_text(row, labels) for row in drawn))
    across = min(_ACROSS, max(len(models), 1))
    lines = max(-(-len(models) // across), 1)
    sentences = [
        "FLOPs and bytes are the smallest numbers that the phase needs; the time is measured",
        shown.setting,
        f"Cells of {len(shown.facets)} settings share a panel" if len(shown.facets) > 1 else None,
        _roof_note(drawn, roofs),
        _decode_note(drawn, roofs),
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
        own = [row for row in drawn if row["model"] == models[number]]
        _panel(axes, own, roofs, variants, labels)
    return figure


def _has_roof(row: Row) -> bool:
    return bool(row["bandwidth_bytes_per_s"] and row["matmul_flops_per_s"])


def _panel(
    axes: Any,
    rows: Sequence[Row],
    roofs: Mapping[str, _Roof],
    variants: Sequence[str],
    labels: Labels,
) -> None:
    points = [(row, phase, phase_point(row, phase)) for row in rows for phase in PHASES]
    known = [(row, phase, point) for row, phase, point in points if point is not None]
    here = {_device(row): roofs[_device(row)] for row in rows}
    intensities = [point[0] for _, _, point in known]
    intensities += [top / bandwidth for bandwidth, top in here.values()]
    rates = [point[1] for _, _, point in known]
    tops = [top for _, top in here.values()]
    divisor, unit = next(((d, u) for d, u in _UNITS if max(tops) >= d), (1.0, "FLOP/s"))
    # The roof goes on to the right of the ridge, so that its flat part is seen.
    low, high = min(intensities) / 2, max(intensities) * 3
    at = np.geomspace(low, high, 200)
    for bandwidth, top in here.values():
        roof = np.minimum(bandwidth * at, top)
        axes.plot(at, roof / divisor, color=figure_style.INK, linewidth=0.9)
    for row, phase, (intensity, rate) in known:
        style = _style(variants.index(variant_text(row, labels)), phase)
        if row["valid"] is False:
            style["markerfacecolor"] = "white"
        axes.plot(intensity, rate / divisor, linestyle="none", zorder=3, **style)
    figure_style.set_log_axis(axes.xaxis, low, high)
    lowest = min(*rates, low * min(bandwidth for bandwidth, _ in here.values()))
    figure_style.set_log_axis(axes.yaxis, lowest / divisor, max(*tops, *rates) / divisor)
    axes.set_xlabel("Arithmetic intensity (FLOPs per byte)")
    axes.set_ylabel(f"Achieved rate ({unit})")
    axes.grid()


def _style(position: int, phase: str) -> dict[str, Any]:
    """Colour and marker of the n-th variant in a phase."""
    markers = _MARKERS[phase]
    return {
        "color": figure_style.model_style(position)["color"],
        "marker": markers[position % len(markers)],
    }


def _roof_note(rows: Sequence[Row], roofs: Mapping[str, _Roof]) -> str | None:
    """Whose roofs are drawn, and how many cells measured much lower rates."""
    if not rows:
        return None
    low = sum(row["matmul_flops_per_s"] < _LOW_RATE * roofs[_device(row)][1] for row in rows)
    note = "The roof is that of the highest rates that a cell measured on the device"
    if len(roofs) > 1:
        note = f"{note} ({len(roofs)} devices: {', '.join(roofs)})"
    if not low:
        return note
    return (
        f"{note}; {low} of {len(rows)} cells measured less than half of its rate of matrix "
        "multiplication (other load, or another number format)"
    )


def _decode_note(rows: Sequence[Row], roofs: Mapping[str, _Roof]) -> str | None:
    """The range of the shares of the roof, as drawn, that decoding reached."""
    shares = []
    for row in rows:
        point, (bandwidth, top) = phase_point(row, "decode"), roofs[_device(row)]
        if point is not None:
            shares.append(100 * point[1] / min(bandwidth * point[0], top))
    if not shares:
        return None
    ends = dict.fromkeys((f"{min(shares):.2g}", f"{max(shares):.2g}"))
    return f"Decoding reached {' to '.join(ends)} % of the roof"


def _legend(rows: Sequence[Row], variants: Sequence[str]) -> list[Any]:
    if not rows:
        return []
    ink = figure_style.INK
    handles = [
        figure_style.marker_handle(name, **_style(position, "decode"))
        for position, name in enumerate(variants)
    ]
    handles.append(figure_style.marker_handle("triangle: prefill", marker="^", color=ink))
    handles.append(figure_style.marker_handle("other marker: decode", marker="o", color=ink))
    handles.append(figure_style.line_handle("roof of the device"))
    if any(row["valid"] is False for row in rows):
        handles.append(
            figure_style.marker_handle(
                "open: failed a validity check", marker="o", color=ink, markerfacecolor="white"
            )
        )
    return handles
