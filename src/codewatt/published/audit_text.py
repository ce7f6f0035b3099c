"""Writes the results of an audit: a text table for the terminal, and rows of a CSV file."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from codewatt.published.checked_run import CheckedRun, Configuration
from codewatt.published.counter_wraps import Wraps

if TYPE_CHECKING:
    from codewatt.published.run_study import RunStudy

Cells = list[str]

CHECK_COLUMNS = (
    *("cpu_w", "errors", "warnings", "wraps_missed", "wraps_both", "wraps_one", "residual_wh"),
    *("residual_share", "explained", "corrected_both_wh", "corrected_wh"),
)
"""Columns of the CSV file that follow the study's own columns."""

_WIDTH = 100
_CORRECTION_COLUMNS = ["wraps missed", "corrected (both)", "corrected (all)", "residual Wh"]


def render(
    study: "RunStudy[Any]", configurations: Sequence[Configuration[Any]], *, by_run: bool
) -> str:
    """The results of an audit as text: a table, its legend and the findings in sentences.

    Args:
        study: the study.
        configurations: its checked runs.
        by_run: one line for each run; else one for each configuration.
    """
    power_columns = ["run s", "total Wh", "CPU W", f"{study.meter} W"]
    if by_run:
        columns = [
            *("configuration", "run", *power_columns, f"{study.meter} from"),
            *(*_CORRECTION_COLUMNS, "flags"),
        ]
        rows = [_run_cells(one.name, run) for one in configurations for run in one.runs]
        table = text_table([columns, *rows], left={0, 6, len(columns) - 1})
    else:
        columns = ["configuration", "runs", *power_columns, *_CORRECTION_COLUMNS, "flags"]
        rows = [_configuration_cells(one) for one in configurations]
        table = text_table([columns, *rows], left={0, len(columns) - 1})
    legend = textwrap.fill(study.legend, _WIDTH)
    findings = (textwrap.fill(line, _WIDTH) for line in study.findings(configurations))
    return "\n".join([table, "", legend, "", *findings])


def csv_row(
    checked: CheckedRun[Any], study_columns: Sequence[str]
) -> dict[str, str | int | float | None]:
    """One run as a row of the CSV file; None is written as an empty cell.

    Args:
        checked: the run.
        study_columns: attributes of the run that come before `CHECK_COLUMNS`.
    """
    run, wraps = checked.run, checked.wraps
    return {
        **{name: getattr(run, name) for name in study_columns},
        "cpu_w": round(run.cpu_w, 3),
        "errors": " ".join(checked.errors),
        "warnings": " ".join(checked.warnings),
        "wraps_missed": wraps.missed if wraps else None,
        "wraps_both": wraps.both if wraps else None,
        "wraps_one": wraps.one if wraps else None,
        "residual_wh": round(wraps.residual_wh, 3) if wraps else None,
        "residual_share": round(wraps.residual_share, 6) if wraps else None,
        "explained": str(wraps.explained).lower() if wraps else None,
        "corrected_both_wh": round(checked.corrected_both_wh, 3),
        "corrected_wh": round(checked.corrected_wh, 3),
    }


def number_text(value: float | None, digits: int = 0) -> str:
    """A number with a fixed number of digits; "-" for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def _configuration_cells(configuration: Configuration[Any]) -> Cells:
    runs = [checked.run for checked in configuration.runs]
    flags = Counter(name for checked in configuration.runs for name in checked.errors)
    return [
        configuration.name,
        str(len(runs)),
        number_text(fmean(run.runtime_s for run in runs)),
        number_text(fmean(run.total_wh for run in runs), 1),
        number_text(fmean(run.cpu_w for run in runs)),
        number_text(configuration.reference_cpu_w),
        *_correction_cells(configuration.runs),
        _residual_cell(configuration.largest_residual),
        ", ".join(f"{name} {count}" for name, count in flags.items()) or "-",
    ]


def _run_cells(name: str, checked: CheckedRun[Any]) -> Cells:
    run = checked.run
    return [
        name,
        str(run.run),
        number_text(run.runtime_s, 1),
        number_text(run.total_wh, 1),
        number_text(run.cpu_w),
        number_text(run.reference_cpu_w),
        run.reference_source or "-",
        *_correction_cells([checked]),
        _residual_cell(checked.wraps),
        ", ".join(checked.errors) or "-",
    ]


def _correction_cells(runs: Sequence[CheckedRun[Any]]) -> Cells:
    """Missed wraps, and the mean corrected totals; dashes if no wrap was missed."""
    wraps = [checked.wraps for checked in runs if checked.wraps and checked.wraps.missed]
    if not wraps:
        return ["-", "-", "-"]
    packages = wraps[0].counters.packages
    mark = "*" if any(checked.unexplained for checked in runs) else ""
    both, one = _range_text([w.both for w in wraps]), _range_text([w.one for w in wraps])
    both_wh = fmean(checked.corrected_both_wh for checked in runs)
    all_wh = fmean(checked.corrected_wh for checked in runs)
    return [f"{both} x {packages} + {one}{mark}", number_text(both_wh, 1), number_text(all_wh, 1)]


def _range_text(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}..{high}"


def _residual_cell(wraps: Wraps | None) -> str:
    if wraps is None:
        return "-"
    return f"{wraps.residual_wh:+.2f} ({100 * wraps.residual_share:+.2f} %)"


def text_table(rows: Sequence[Cells], left: set[int]) -> str:
    """Rows of cells as aligned columns; `left`: indices of the columns that are left-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
