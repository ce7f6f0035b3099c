"""Figure: pass@1 by domain of the tasks, one panel for each model and setting."""

from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.descriptions import variant_text
from codewatt.analysis.domain_rows import pool_sessions
from codewatt.analysis.labels import Labels
from codewatt.analysis.tables import to_rows
from codewatt.plots import figure_style
from codewatt.plots.domain_panels import (
    DomainFigure,
    Panel,
    beside,
    draw_point,
    number_series,
    series_handles,
    split_panels,
)


def plot(domain_table: pd.DataFrame, labels: Labels, out_stem: Path) -> list[Path]:
    """Draw pass@1 over all sessions with its 95 % Wilson interval for each domain and variant.

    Args:
        domain_table: the domain table that `aggregate` made.
        labels: kind → id → label.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG and the PDF.
    """
    rows = pool_sessions(to_rows(domain_table))
    shown = [row for row in rows if row["pass_at_1_base"] is not None]
    panels, setting = split_panels(shown, labels, "tasks_judged")
    series = number_series(variant_text(row, labels) for row in rows)

    def paint(figure: DomainFigure, axes: Any, panel: Panel) -> None:
        for row in panel.rows:
            name = variant_text(row, labels)
            ends = row["pass_at_1_base_wilson95_low"], row["pass_at_1_base_wilson95_high"]
            height = figure.height(row, name)
            draw_point(axes, row["pass_at_1_base"], ends, height, **figure.style(name))
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("pass@1 (base tests); in brackets: judged tasks")

    sentences = [
        "pass@1 on the tasks of each domain, with 95 % Wilson confidence interval over tasks; a "
        "task with several domains counts in each of them",
        setting,
        "Domains without pass@1 are omitted" if len(shown) < len(rows) else None,
    ]
    handles = series_handles(series)
    figure = DomainFigure(beside(panels), series, paint, sentences, handles, "no pass@1 by domain")
    with figure_style.style():
        return figure.save(out_stem)
