"""The same tasks under two variants: which were lost and gained, how many, and is that chance."""

from collections.abc import Mapping, Sequence

from codewatt.analysis.columns import TESTS
from codewatt.analysis.records import Json
from codewatt.analysis.runs import PASS
from codewatt.analysis.stats import mcnemar_p, paired_interval


def compare_tasks(rows: Sequence[Json], tasks: Mapping[str, Sequence[Json]]) -> None:
    """Add to each cell's row, in place, how its verdicts differ from its baseline's.

    `tasks_lost_`, `tasks_gained_` and `mcnemar_p_`; and what the two come to in pass@1, which is
    `pass_at_1_*_difference` = (gained - lost) / tasks, with its 95 % interval for pairs
    (Newcombe 1998, stats.paired_interval). The p value and the interval are of different methods:
    near the border one can be decided where the other is not.

    Compared are the first repeats of cells with one sample a task; sampled completions have no
    single verdict. Cells whose pass@1 is absent, and baselines themselves, are left without.

    Args:
        rows: rows of the cell table with their `baseline_cell_id`.
        tasks: cell id → its rows of the task table.
    """
    by_id = {row["cell_id"]: row for row in rows}
    for row in rows:
        base = by_id.get(row["baseline_cell_id"])
        if base is None or base is row or not _single(row) or not _single(base):
            continue
        for tests in TESTS:
            ours = _solved(tasks[row["cell_id"]], tests)
            theirs = _solved(tasks[base["cell_id"]], tests)
            if row.get(f"pass_at_1_{tests}") is None or ours.keys() != theirs.keys():
                continue
            row |= _compared(ours, theirs, tests)


def _compared(ours: dict[str, bool], theirs: dict[str, bool], tests: str) -> Json:
    """The columns of one pair of cells; ours, theirs: task → whether it was solved."""
    both = sum(ours[task] and theirs[task] for task in ours)
    lost, gained = sum(theirs.values()) - both, sum(ours.values()) - both
    neither = len(ours) - both - lost - gained
    low, high = paired_interval(both, gained, lost, neither)
    return {
        f"tasks_lost_{tests}": lost,
        f"tasks_gained_{tests}": gained,
        f"mcnemar_p_{tests}": mcnemar_p(lost, gained),
        f"pass_at_1_{tests}_difference": (gained - lost) / len(ours),
        f"pass_at_1_{tests}_difference_ci95_low": low,
        f"pass_at_1_{tests}_difference_ci95_high": high,
    }


def _single(row: Json) -> bool:
    return bool(row["status"] == "ok" and row["samples_per_task"] == 1)


def _solved(tasks: Sequence[Json], tests: str) -> dict[str, bool]:
    return {t["task_id"]: t[f"{tests}_status"] == PASS for t in tasks if t["repeat"] == 0}
