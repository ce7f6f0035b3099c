"""What was found, as text for a terminal and as rows for a CSV file."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean

from codewatt.published.counter_wraps import PACKAGE_RANGE_J, PACKAGE_RANGE_WH, Wraps
from codewatt.published.run_checks import CheckedRun, Group, group
from codewatt.published.run_data import (
    GROUP_MEAN,
    JOULES_PER_WH,
    OWN_STEP,
    SHARED_STEP,
    UNLOGGED,
)

Cells = list[str]

GROUP_HEADER = [
    *("configuration", "runs", "run s", "total Wh", "CPU W", "EAR W", "wraps missed"),
    *("corrected (both)", "corrected (all)", "left over Wh", "flags"),
]
RUN_HEADER = ["configuration", "run", *GROUP_HEADER[2:6], "EAR from", *GROUP_HEADER[6:]]
CSV_COLUMNS = (
    *("table", "run", "model", "token_limit", "precision", "layers_pruned", "runtime_s"),
    *("total_wh", "cpu_w", "ear_packages_w", "ear_match", "errors", "warnings", "wraps_missed"),
    *("wraps_both", "wraps_one", "residual_wh", "residual_share", "explained"),
    *("corrected_both_wh", "corrected_wh"),
)
LEGEND = f"""
run s, total Wh, CPU W: means, as published. EAR W: both CPU packages of the node, by EAR, the
cluster's own log. wraps missed: B x 2 + O, B times of both packages, O times of one of them, each
{PACKAGE_RANGE_J:,.0f} J. corrected: the total in Wh with the wraps of both, and with all of them.
left over: CPU with all missed wraps less EAR, in the run where that is most; *: whole wraps do
not explain a run. flags: errors, with the number of runs; warnings are told below."""
_WIDTH = 100


def render(checked: Sequence[CheckedRun], *, by_run: bool) -> str:
    """The table, by configuration or by run, and what it says."""
    groups = group(checked)
    if by_run:
        rows = [_run_cells(g.name, c) for g in groups for c in g.runs]
        table = _table([RUN_HEADER, *rows], left={0, 6, len(RUN_HEADER) - 1})
    else:
        table = _table([GROUP_HEADER, *map(_group_cells, groups)], left={0, len(GROUP_HEADER) - 1})
    findings = (textwrap.fill(line, _WIDTH) for line in _findings(checked, groups))
    return "\n".join([table, LEGEND, "", *findings])


def csv_row(checked: CheckedRun) -> dict[str, str | int | float | None]:
    """One run as a row of CSV_COLUMNS; None is absent."""
    run, wraps = checked.run, checked.wraps
    return {
        **{name: getattr(run, name) for name in CSV_COLUMNS if hasattr(run, name)},
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


def _group_cells(g: Group) -> Cells:
    runs = [c.run for c in g.runs]
    flags = Counter(name for c in g.runs for name in c.errors)
    return [
        g.name,
        str(len(runs)),
        _number(fmean(run.runtime_s for run in runs)),
        _number(fmean(run.total_wh for run in runs), 1),
        _number(fmean(run.cpu_w for run in runs)),
        _number(g.packages_w),
        *_corrections(g.runs),
        _left_over(g.largest_residual),
        ", ".join(f"{name} {count}" for name, count in flags.items()) or "-",
    ]


def _run_cells(name: str, c: CheckedRun) -> Cells:
    run = c.run
    return [
        name,
        str(run.run),
        _number(run.runtime_s, 1),
        _number(run.total_wh, 1),
        _number(run.cpu_w),
        _number(run.ear_packages_w),
        run.ear_match or "-",
        *_corrections([c]),
        _left_over(c.wraps),
        ", ".join(c.errors) or "-",
    ]


def _corrections(runs: Sequence[CheckedRun]) -> Cells:
    """Missed wraps, and the mean totals with them; dashes where nothing was corrected."""
    wraps = [c.wraps for c in runs if c.wraps and c.wraps.missed]
    if not wraps:
        return ["-", "-", "-"]
    mark = "*" if any(c.unexplained for c in runs) else ""
    missed = f"{_range([w.both for w in wraps])} x 2 + {_range([w.one for w in wraps])}{mark}"
    both_wh = fmean(c.corrected_both_wh for c in runs)
    return [missed, _number(both_wh, 1), _number(fmean(c.corrected_wh for c in runs), 1)]


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}..{high}"


def _left_over(wraps: Wraps | None) -> str:
    if wraps is None:
        return "-"
    return f"{wraps.residual_wh:+.2f} ({100 * wraps.residual_share:+.2f} %)"


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _table(rows: Sequence[Cells], left: set[int]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _findings(checked: Sequence[CheckedRun], groups: Sequence[Group]) -> Iterator[str]:
    """The table in words, a paragraph each, from the same figures."""
    papers = ", ".join(sorted({c.run.paper for c in checked}))
    yield f"{len(checked)} runs of {papers}."
    yield from _wrapped(checked)
    for g in groups:
        yield from _unexplained(g)
        yield from _odd_co2(g)
    yield from _dram(checked)
    count = Counter(c.run.ear_match for c in checked)
    yield (
        f"EAR logged {count[OWN_STEP]} runs by themselves; {count[SHARED_STEP]} on a node that it "
        f"shared out among two jobs (their CPU and DRAM are not judged); of {count[GROUP_MEAN]} "
        "only others of the configuration (their CPU is judged by these logs' range, their wraps "
        f"by their mean); of {count[UNLOGGED]} nothing (not judged)."
    )


def _wrapped(checked: Sequence[CheckedRun]) -> Iterator[str]:
    wrapped = [c for c in checked if "no_wrap_unseen" in c.errors]
    yield (
        f"no_wrap_unseen: {len(wrapped)} runs took longer than a package's counter needs to wrap, "
        "though it was read at their start and end only. Only these are corrected."
    )
    explained = [c.wraps for c in wrapped if c.wraps and c.wraps.explained]
    if explained:
        largest = max(abs(wraps.residual_share) for wraps in explained)
        yield (
            f"Whole wraps explain {len(explained)} of them: what is left is at most "
            f"{100 * largest:.1f} % of EAR's energy."
        )
    others = [c.wraps for c in checked if c.wraps and c not in wrapped]
    if others:
        largest = max(abs(wraps.residual_share) for wraps in others)
        yield (
            f"In the {len(others)} shorter runs with a log of their own, CPU and EAR differ by at "
            f"most {100 * largest:.1f} %."
        )


def _unexplained(g: Group) -> Iterator[str]:
    """Runs that no whole number of wraps explains, and what the two nearest numbers would mean."""
    for c in g.runs:
        if c.wraps is None or not c.unexplained:
            continue
        nearest = c.wraps.missed
        other = nearest - 1 if c.wraps.residual_wh > 0 else nearest + 1
        logged = "other runs" if c.run.ear_match == GROUP_MEAN else "it"
        yield (
            f"* {g.name} run {c.run.run} (EAR logged {_number(c.run.packages_w)} W of {logged}): "
            f"{_meaning(c, nearest)}; {_meaning(c, other)}. It is counted with {nearest}."
        )


def _meaning(c: CheckedRun, missed: int) -> str:
    """The packages' power and the total if so many wraps were missed."""
    added_wh = missed * PACKAGE_RANGE_WH
    packages_w = (c.run.cpu_wh + added_wh) * JOULES_PER_WH / c.run.runtime_s
    return f"{missed} wraps would be {packages_w:.0f} W, {c.run.total_wh + added_wh:.0f} Wh in all"


def _odd_co2(g: Group) -> Iterator[str]:
    for c in g.runs:
        if "co2_follows_energy" in c.errors:
            yield (
                f"co2_follows_energy: {g.name} run {c.run.run} has {c.run.co2_g:g} g CO2 for "
                f"{c.run.total_wh:g} Wh."
            )


def _dram(checked: Sequence[CheckedRun]) -> Iterator[str]:
    constant = [c.run.dram_w for c in checked if "dram_measured" in c.warnings]
    if constant:
        yield (
            f"dram_measured (warning, {len(constant)} runs): DRAM draws {fmean(constant):.1f} W in "
            "every run, a constant: it is modelled."
        )
    differing = [c for c in checked if "dram_agrees_with_ear" in c.warnings]
    logged = [c.run.own_dram_w for c in differing if c.run.own_dram_w is not None]
    if logged:
        yield (
            f"dram_agrees_with_ear (warning, {len(logged)} runs): EAR measured {min(logged):.0f} "
            f"to {max(logged):.0f} W."
        )
