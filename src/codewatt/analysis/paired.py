"""The same tasks under two variants: which of them were lost and gained, and is that chance."""

from collections.abc import Mapping, Sequence

from codewatt.analysis.columns import TESTS
from codewatt.analysis.records import Json
from codewatt.analysis.runs import PASS
from codewatt.analysis.stats import mcnemar_p


def compare_tasks(rows: Sequence[Json], tasks: Mapping[str, Sequence[Json]]) -> None:
    """Add to each cell's row, in place, how its verdicts differ from its baseline's.

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
            lost = sum(theirs[task] and not ours[task] for task in ours)
            gained = sum(ours[task] and not theirs[task] for task in ours)
            row[f"tasks_lost_{tests}"] = lost
            row[f"tasks_gained_{tests}"] = gained
            row[f"mcnemar_p_{tests}"] = mcnemar_p(lost, gained)


def _single(row: Json) -> bool:
    return bool(row["status"] == "ok" and row["samples_per_task"] == 1)


def _solved(tasks: Sequence[Json], tests: str) -> dict[str, bool]:
    return {t["task_id"]: t[f"{tests}_status"] == PASS for t in tasks if t["repeat"] == 0}
