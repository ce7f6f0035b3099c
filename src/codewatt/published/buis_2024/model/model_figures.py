"""Draws figures 4.1 to 4.5 anew, and predicted against measured runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from codewatt.plots import figure_style
from codewatt.published.buis_2024.model.figure_data import FigurePoint
from codewatt.published.buis_2024.model.measured_runs import GROUPS
from codewatt.published.buis_2024.model.model_results import PREDICTIONS, SCALING
from codewatt.published.buis_2024.model.prediction_scores import QUANTITIES
from codewatt.published.buis_2024.model.predictions import PredictedRun
from codewatt.units import BYTES_PER_GB, J_PER_KJ, MS_PER_S

_SHOWN = {
    "printed_tables": "Printed tables",
    "corrected_formulas": "Corrected formulas",
    "measured_share": "Shares of an H200",
    "fitted_fixed_and_bandwidth": "Fitted fixed time",
}
_TIME_PARTS = {"TTFT": figure_style.INK, "time of the output tokens": figure_style.PALE}
_PANEL = 1.75
#: Range of both axes (s, kJ).
_RANGES = {"time": (0.17, 23.0), "energy": (0.03, 8.0)}
_TITLES = {"4.3": "4.3: parameters", "4.4": "4.4: KV cache", "4.5": "4.5: VRAM"}
_LABELS = {"4.3": "billions", "4.4": "GB", "4.5": "GB"}


def draw_predictions(predicted: Sequence[PredictedRun], folder: Path) -> list[Path]:
    """Predicted against measured time and energy of a task, with a panel for each predictor."""
    handles = [
        figure_style.marker_handle(group, **figure_style.model_style(i))
        for i, group in enumerate(GROUPS)
    ]
    notes = ["One point for each run, one task on average. Line: predicted equals measured"]
    with figure_style.style():
        figure = figure_style.new_figure(figure_style.TWO_COLUMNS, 2 * _PANEL, notes, handles)
        axes = figure.subplots(len(QUANTITIES), len(_SHOWN), sharex="row", sharey="row")
        for row, quantity in enumerate(QUANTITIES):
            for column, name in enumerate(_SHOWN):
                runs = [one for one in predicted if one.predictor == name]
                _prediction_panel(axes[row][column], runs, quantity)
                if row == 0:
                    axes[row][column].set_title(_SHOWN[name])
            axes[row][0].set_ylabel(f"predicted {_unit(quantity)}")
        return figure_style.save(figure, folder / PREDICTIONS)


def draw_scaling(points: Sequence[FigurePoint], folder: Path) -> list[Path]:
    """Figures 4.1 to 4.5: generation time, and parameters, KV cache and VRAM by variable."""
    varied = [point for point in points if point.figure in _TITLES]
    names = list(dict.fromkeys(point.variable for point in varied))
    handles = [
        *(Patch(color=colour, label=part) for part, colour in _TIME_PARTS.items()),
        *(
            figure_style.marked_line_handle(name.replace("_", " "), **figure_style.model_style(i))
            for i, name in enumerate(names)
        ),
    ]
    notes = [
        "Qwen2.5-Coder-7B-Instruct. Marked lines: as it is. Dashed: printed formulas without "
        "their misprints. Printed formulas with them are beyond the axes (above 10^15). "
        "Horizontal axis of 4.3 to 4.5: value / largest value drawn. Lines of bytes per parameter "
        "and parameters coincide"
    ]
    with figure_style.style():
        figure = figure_style.new_figure(figure_style.TWO_COLUMNS, 2.2, notes, handles)
        axes = figure.subplots(1, 1 + len(_TITLES))
        _time_panel(axes[0], points)
        for panel, number in zip(axes[1:], _TITLES, strict=True):
            panel.set_title(_TITLES[number])
            panel.set_ylabel(_LABELS[number])
            for i, name in enumerate(names):
                line = [p for p in varied if (p.figure, p.variable) == (number, name)]
                if line:
                    _scaling_line(panel, line, figure_style.model_style(i))
            panel.set_ylim(bottom=0)
        return figure_style.save(figure, folder / SCALING)


def _prediction_panel(axes: Any, runs: Sequence[PredictedRun], quantity: str) -> None:
    for i, group in enumerate(GROUPS):
        shown = [one for one in runs if one.run.group == group]
        measured = [_value(one.run, quantity) for one in shown]
        guessed = [_value(one.prediction, quantity) for one in shown]
        style = figure_style.model_style(i)
        axes.plot(measured, guessed, linestyle="none", **style)
    ends = _RANGES[quantity]
    axes.plot(ends, ends, color=figure_style.INK, linewidth=0.7)
    for axis in (axes.xaxis, axes.yaxis):
        figure_style.set_log_axis(axis, *ends)
        axis.set_minor_locator(NullLocator())  # more than a hundred ticks, slow to lay out
    axes.set_xlabel(f"measured {_unit(quantity)}")


def _unit(quantity: str) -> str:
    return "time (s)" if quantity == "time" else "energy (kJ)"


def _value(one: Any, quantity: str) -> float:
    return float(one.seconds if quantity == "time" else one.joules / J_PER_KJ)


def _time_panel(axes: Any, points: Sequence[FigurePoint]) -> None:
    axes.set_title("4.1, 4.2: time")
    axes.set_ylabel("ms")
    for position, figure in enumerate(("4.1", "4.2")):
        parts = [point for point in points if point.figure == figure]
        for offset, attribute in ((-0.2, "printed"), (0.2, "true")):
            below = 0.0
            for part, colour in zip(parts, _TIME_PARTS.values(), strict=True):
                height = MS_PER_S * getattr(part, attribute)
                axes.bar(position + offset, height, 0.36, below, color=colour)
                below += height
            axes.annotate(
                "printed" if attribute == "printed" else "right",
                (position + offset, below),
                ha="center",
                va="bottom",
                fontsize=6,
                rotation=90,
            )
    axes.set_xticks([0, 1], ["1 token", "10 tokens"])
    axes.margins(y=0.3)


def _scaling_line(axes: Any, line: Sequence[FigurePoint], style: dict[str, Any]) -> None:
    unit = 1e9 if line[0].figure == "4.3" else BYTES_PER_GB
    top = max(point.value for point in line)
    x = [point.value / top for point in line]
    axes.plot(x, [point.true / unit for point in line], **style)
    meant = [point.meant / unit for point in line if point.meant is not None]
    if len(meant) == len(line):
        axes.plot(x, meant, color=style["color"], linestyle=(0, (4, 1.5)), linewidth=0.7)
