"""Paired comparison of pass@1 with the baseline on the same tasks, and the non-inferiority test.

docs, "How the statistics are done", defines the statistics; `proportions` computes them.
"""

from collections.abc import Mapping, Sequence

from codewatt.analysis.changes import ComparisonSettings, set_interval
from codewatt.analysis.columns import TESTS, Row
from codewatt.analysis.log_scale_statistics import holm, relative_change
from codewatt.analysis.proportions import (
    PairedCounts,
    mcnemar_p,
    noninferiority_p,
    paired_ratio_interval,
    shares_difference,
    tango_interval,
)
from codewatt.analysis.run_rows import solved_shares

#: One-sided level of the non-inferiority test; it corresponds to a two-sided 95 % interval.
NONINFERIORITY_LEVEL = 0.025

Shares = Mapping[str, float]


def compare_tasks(
    rows: Sequence[Row], tasks: Mapping[str, Sequence[Row]], settings: ComparisonSettings
) -> None:
    """Add each cell's paired comparison with its baseline, in place.

    Cells without pass@1 are skipped. For a baseline itself only `pass_at_1_*_change` is set (0).

    Args:
        rows: rows of the cell table with their `baseline_cell_id`.
        tasks: cell id → its rows of the task table.
        settings: the study's `comparisons`.
    """
    by_id = {row["cell_id"]: row for row in rows}
    for tests in TESTS:
        name = f"pass_at_1_{tests}"
        compared = []
        for row in rows:
            base = by_id.get(row["baseline_cell_id"])
            if base is None or row.get(name) is None or base.get(name) is None:
                continue
            row["pass_at_1_margin"] = settings.pass_at_1_margin
            row[f"{name}_change"] = relative_change(row[name], base[name])
            ours = solved_shares(tasks[row["cell_id"]], tests)
            theirs = solved_shares(tasks[base["cell_id"]], tests)
            if base is row or ours.keys() != theirs.keys():
                continue
            row |= _paired_columns(ours, theirs, tests, settings.pass_at_1_margin)
            compared.append(row)
        _add_adjusted_tests(compared, tests)


def paired_counts(ours: Shares, theirs: Shares) -> PairedCounts | None:
    """Numbers of tasks by verdict; None if some task was solved in only a part of its samples."""
    if not {*ours.values(), *theirs.values()} <= {0.0, 1.0}:
        return None
    both = sum(bool(ours[task] and theirs[task]) for task in ours)
    gained, lost = round(sum(ours.values())) - both, round(sum(theirs.values())) - both
    return PairedCounts(both, gained, lost, len(ours) - both - gained - lost)


def _paired_columns(ours: Shares, theirs: Shares, tests: str, margin: float) -> Row:
    """The columns of one comparison, without those that are adjusted over the study."""
    name = f"pass_at_1_{tests}"
    counts = paired_counts(ours, theirs)
    if counts is None:
        apart = shares_difference([ours[task] - theirs[task] for task in ours])
        found: Row = {
            f"{name}_difference": apart.difference,
            f"noninferior_p_{tests}": apart.noninferiority_p(margin),
        }
        set_interval(found, f"{name}_difference_ci95", apart.ci95)
        return found
    found = {
        f"{name}_difference": counts.difference,
        f"tasks_lost_{tests}": counts.lost,
        f"tasks_gained_{tests}": counts.gained,
        f"mcnemar_p_{tests}": mcnemar_p(counts.lost, counts.gained),
        f"noninferior_p_{tests}": noninferiority_p(counts, margin),
    }
    set_interval(found, f"{name}_difference_ci95", tango_interval(counts))
    if (ends := paired_ratio_interval(counts)) is not None:
        set_interval(found, f"{name}_change_ci95", (ends[0] - 1, ends[1] - 1))
    return found


def _add_adjusted_tests(rows: Sequence[Row], tests: str) -> None:
    """Add Holm-adjusted p values and the outcome of the non-inferiority test, in place."""
    for name in (f"mcnemar_p_{tests}", f"noninferior_p_{tests}"):
        having = [row for row in rows if row.get(name) is not None]
        for row, p in zip(having, holm([row[name] for row in having]), strict=True):
            row[name.replace("_p_", "_p_holm_")] = p
    for row in rows:
        row[f"pass_at_1_{tests}_comparisons"] = len(rows)
        row[f"noninferior_{tests}"] = row[f"noninferior_p_holm_{tests}"] < NONINFERIORITY_LEVEL
