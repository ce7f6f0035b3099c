"""Draws the figures of both texts again, from the published data, beside the corrected values."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from matplotlib.patches import Patch
from scipy.stats import t

from codewatt.plots import figure_style
from codewatt.published.buis_2024.accuracy_findings import efficient_frontier
from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.published_runs import QUANTISED, SIZES, read_runs
from codewatt.published.de_reus_2024.paper_runs import (
    DEPTHS,
    LIMITS,
    MODELS,
    PRECISIONS,
    STARCODERS,
    Figure,
    PaperRuns,
    corrected_cpu_wh,
    corrected_wh,
    cpu_wh,
    dram_wh,
    gpu_wh,
    total_wh,
)
from codewatt.published.de_reus_2024.printed_tables import PaperTables

FIGURES_3_TO_6, FIGURES_7_AND_8 = "de_reus_figures_3_to_6", "de_reus_figures_7_and_8"
FIGURE_4_7, FIGURE_4_12 = "buis_figure_4_7", "buis_figure_4_12"
_PARTS: dict[str, Figure] = {"dram": dram_wh, "gpu": gpu_wh, "cpu": cpu_wh}
_MISSED = "#E8D7B0"


def draw_quantised_energy(runs: PaperRuns, folder: Path) -> list[Path]:
    """Figures 3 to 6 of de Reus et al.: energy by component, with the missed counter wraps."""
    handles = [
        *(Patch(color=figure_style.COMPONENT_COLOURS[part], label=part.upper()) for part in _PARTS),
        Patch(
            facecolor=_MISSED,
            edgecolor=figure_style.COMPONENT_COLOURS["cpu"],
            hatch="////",
            label="CPU energy that the counters missed",
        ),
    ]
    notes = [
        "Means of five runs. Whiskers: 95 % t interval of the mean of the total, with missed "
        "wraps; the paper's whiskers are 1.96 standard deviations. DRAM is CodeCarbon's constant, "
        "not measured"
    ]
    with figure_style.style():
        figure = figure_style.new_figure(figure_style.TWO_COLUMNS, 2.3, notes, handles)
        panels = figure.subplots(1, 4)
        places = [(model, limit) for model in STARCODERS for limit in LIMITS]
        for number, axes, (model, limit) in zip(range(3, 7), panels, places, strict=True):
            axes.set_title(f"{number}: {model.removeprefix('StarCoder2-')}, {limit} tokens")
            for position, precision in enumerate(PRECISIONS.values()):
                _stacked_bar(axes, runs, (MODELS[model], limit, precision, 0), position)
            axes.set_xticks(range(len(PRECISIONS)), list(PRECISIONS))
        panels[0].set_ylabel("energy of a run (Wh)")
        return figure_style.save(figure, folder / FIGURES_3_TO_6)


def draw_pruned(tables: PaperTables, runs: PaperRuns, folder: Path) -> list[Path]:
    """Figures 7 and 8 of de Reus et al.: pass@1 and energy against the number of pruned layers."""
    handles = [
        figure_style.marked_line_handle(name, **figure_style.model_style(i))
        for i, name in enumerate(MODELS)
    ]
    notes = [
        "128 tokens. Figure 7: HumanEval+, from the recorded verdicts. Figure 8: mean of all "
        "published runs, with 95 % t intervals of the mean"
    ]
    with figure_style.style():
        figure = figure_style.new_figure(figure_style.TWO_COLUMNS, 2.2, notes, handles)
        left, right = figure.subplots(1, 2)
        left.set_title("7: pass@1")
        left.set_ylabel("pass@1 (%)")
        right.set_title("8: energy of a run")
        right.set_ylabel("Wh")
        for i, name in enumerate(MODELS.values()):
            configs = [(name, 128, "none", depth) for depth in DEPTHS]
            samples = [tables.samples[config] for config in configs]
            style = figure_style.model_style(i)
            left.plot(DEPTHS, [100 * one.plus_solved / one.tasks for one in samples], **style)
            halves = [_half_width([total_wh(one) for one in runs.groups[c]]) for c in configs]
            means = [runs.mean(config, total_wh) for config in configs]
            right.errorbar(DEPTHS, means, yerr=halves, elinewidth=0.7, **style)
        for axes in (left, right):
            axes.set_xlabel("removed layers")
            axes.set_ylim(bottom=0)
        return figure_style.save(figure, folder / FIGURES_7_AND_8)


def draw_domains(tables: ThesisTables, folder: Path) -> list[Path]:
    """Figure 4.7 of Buis: tasks by domain, as table 5.1 prints it and by BigCodeBench's list."""
    printed = {
        figure.row: float(figure.number) for figure in tables.of("5.1") if figure.column == "Usage"
    }
    names = [name for name in printed if name in tables.domains]
    shares = {
        "table 5.1": [printed[name] for name in names],
        "BigCodeBench's own list": [
            100 * tables.domains[name].tasks / tables.domains[name].all_tasks for name in names
        ],
    }
    handles = [Patch(color=figure_style.COLOURS[i], label=label) for i, label in enumerate(shares)]
    with figure_style.style():
        figure = figure_style.new_figure(figure_style.TWO_COLUMNS, 2.0, [], handles)
        axes = figure.subplots()
        for i, values in enumerate(shares.values()):
            positions = [position + 0.4 * i - 0.2 for position in range(len(names))]
            axes.bar(positions, values, 0.36, color=figure_style.COLOURS[i])
        axes.set_xticks(range(len(names)), names)
        axes.set_ylabel("% of the 1,140 tasks")
        return figure_style.save(figure, folder / FIGURE_4_7)


def draw_frontier(tables: ThesisTables, folder: Path) -> list[Path]:
    """Figure 4.12 of Buis: energy against pass@1 of the 25 Qwen2.5 models."""
    runs = read_runs(tables)
    groups = {
        "base": [*SIZES],
        "Instruct": [f"{size}-Instruct" for size in SIZES],
        **{name: [f"{size}-Instruct-{name}" for size in SIZES] for name in QUANTISED},
    }
    handles = [
        figure_style.marker_handle(group, **figure_style.model_style(i))
        for i, group in enumerate(groups)
    ]
    notes = [
        "One run of each model. Line: efficient frontier, computed from the tables. Neighbouring "
        "points of one size share a label"
    ]
    with figure_style.style():
        figure = figure_style.new_figure(figure_style.TWO_COLUMNS, 3.0, notes, handles)
        axes = figure.subplots()
        shown = {label: runs[label] for labels in groups.values() for label in labels}
        frontier = [runs[name] for name in efficient_frontier(shown)]
        frontier.sort(key=lambda run: run.energy_kwh.value)
        axes.plot(
            [float(run.energy_kwh) for run in frontier],
            [float(run.pass_at_1) for run in frontier],
            color=figure_style.PALE,
            drawstyle="steps-post",
        )
        points = [
            (name.split("-")[0], (float(run.energy_kwh), float(run.pass_at_1)))
            for name, run in shown.items()
        ]
        labelled: list[tuple[str, tuple[float, float]]] = []
        for i, labels in enumerate(groups.values()):
            for label in labels:
                run = runs[label]
                point = (float(run.energy_kwh), float(run.pass_at_1))
                axes.plot(*point, linestyle="none", **figure_style.model_style(i))
                size = label.split("-")[0]
                near = [one for one, other in labelled if _near(point, other)]
                labelled.append((size, point))
                below = any(
                    other != size and _near(point, one) and one[1] > point[1]
                    for other, one in points
                )
                if size not in near:
                    axes.annotate(
                        size,
                        point,
                        xytext=(3, -8 if below else 2),
                        textcoords="offset points",
                        fontsize=6,
                    )
        figure_style.set_log_axis(
            axes.xaxis, *_ends([float(run.energy_kwh) for run in shown.values()])
        )
        axes.set_xlabel("energy of a run (kWh)")
        axes.set_ylabel("pass@1")
        return figure_style.save(figure, folder / FIGURE_4_12)


def _near(point: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether the labels of two points, each energy and pass@1, would overlap."""
    return abs(math.log(point[0] / other[0])) < 0.15 and abs(point[1] - other[1]) < 0.04


def _stacked_bar(axes: Any, runs: PaperRuns, config: Any, position: int) -> None:
    below = 0.0
    for part, energy in _PARTS.items():
        height = runs.mean(config, energy)
        axes.bar(position, height, 0.7, below, color=figure_style.COMPONENT_COLOURS[part])
        below += height
    missed = runs.mean(config, corrected_cpu_wh) - runs.mean(config, cpu_wh)
    if missed > 0:
        edge = figure_style.COMPONENT_COLOURS["cpu"]
        axes.bar(
            *(position, missed, 0.7, below), color=_MISSED, edgecolor=edge, hatch="////", lw=0.3
        )
    totals = [corrected_wh(one) for one in runs.groups[config]]
    axes.errorbar(
        position, fmean(totals), yerr=_half_width(totals), color=figure_style.INK, capsize=2, lw=0.8
    )


def _half_width(values: Sequence[float]) -> float:
    """Half the width of the 95 % t interval of a mean."""
    n = len(values)
    return float(t.ppf(0.975, n - 1)) * stdev(values) / math.sqrt(n)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)
