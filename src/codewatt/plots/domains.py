"""Figure: pass@1 by domain of the tasks, one panel for each model and setting."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import setting_text, variant_text
from codewatt.analysis.domain_rows import pool_sessions
from codewatt.analysis.labels import Labels, label
from codewatt.analysis.tables import to_rows
from codewatt.plots import figure_style

_ACROSS = 2
_LINE_INCHES = 0.3
_FRAME_INCHES = 0.8


def plot(domain_table: pd.DataFrame, labels: Labels, out_stem: Path) -> list[Path]:
    """Draw pass@1 over all sessions with its 95 % Wilson interval for each domain and variant.

    Args:
        domain_table: the domain table that `aggregate` made.
        labels: kind → id → label.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG and the PDF.
    """
    with figure_style.style():
        return figure_style.save(_draw(pool_sessions(to_rows(domain_table)), labels), out_stem)


def _draw(rows: Sequence[Row], labels: Labels) -> Any:
    shown = [row for row in rows if row["pass_at_1_base"] is not None]
    panels: dict[tuple[str, str], list[Row]] = {}
    for row in shown:
        key = label(labels, "model", row["model"]), setting_text(row, labels)
        panels.setdefault(key, []).append(row)
    settings = {setting for _, setting in panels}
    variants = list(dict.fromkeys(variant_text(row, labels) for row in shown))
    domains = sorted({row["domain"] for row in shown}, reverse=True)
    sentences = [
        "pass@1 on the tasks of each domain, with 95 % Wilson confidence interval over tasks; a "
        "task with several domains counts in each of them",
        next(iter(settings)) if len(settings) == 1 else None,
        "Domains without pass@1 are omitted" if len(shown) < len(rows) else None,
    ]
    handles = [
        figure_style.marker_handle(name, **figure_style.model_style(position))
        for position, name in enumerate(variants)
    ]
    across = min(_ACROSS, max(len(panels), 1))
    lines = max(-(-len(panels) // across), 1)
    height = _FRAME_INCHES + _LINE_INCHES * max(len(domains), 1)
    figure = figure_style.new_figure(
        figure_style.COLUMN if across == 1 else figure_style.TWO_COLUMNS,
        height * lines,
        sentences,
        handles,
    )
    grid = figure.subplots(lines, across, squeeze=False).flatten()
    for axes, ((model, setting), own) in zip(grid, panels.items(), strict=False):
        axes.set_title(model if len(settings) == 1 else f"{model}\n{setting}")
        _paint(axes, own, domains, variants, labels)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    if not panels:
        figure_style.write_message(grid[0], "no pass@1 by domain")
    return figure


def _paint(
    axes: Any,
    rows: Sequence[Row],
    domains: Sequence[str],
    variants: Sequence[str],
    labels: Labels,
) -> None:
    """Draw one panel: a point for each domain and variant."""
    for row in rows:
        position = variants.index(variant_text(row, labels))
        shift = ((len(variants) - 1) / 2 - position) * 0.7 / len(variants)
        share = row["pass_at_1_base"]
        low, high = row["pass_at_1_base_wilson95_low"], row["pass_at_1_base_wilson95_high"]
        axes.errorbar(
            share,
            domains.index(row["domain"]) + shift,
            xerr=[[share - low], [high - share]],
            elinewidth=0.8,
            capsize=2,
            **figure_style.model_style(position),
        )
    counts = {row["domain"]: row["tasks_judged"] for row in rows}
    axes.set_yticks(range(len(domains)), [f"{name} ({counts.get(name, 0)})" for name in domains])
    axes.set_ylim(-0.6, len(domains) - 0.4)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("pass@1 (base tests); in brackets: judged tasks")
