"""Rows of the domain table."""

import math

import numpy as np
import pandas as pd

from recomputed import statistics
from recomputed.cells import ends
from recomputed.runs import over, session_columns


def domain_rows(cell, task_rows):
    """One row for each domain of a cell's tasks; a task counts in each of its domains.

    Args:
        task_rows: the cell's recomputed rows of the task table.
    """
    names = {name for row in task_rows for name in (row["domains"] or "").split(", ") if name}
    return [_domain_row(cell, name, task_rows) for name in sorted(names)]


def _domain_row(cell, name, task_rows):
    inside = [row for row in task_rows if name in (row["domains"] or "").split(", ")]
    by_task = {}
    for row in inside:
        by_task.setdefault(row["task_id"], []).append(row["solved_base"])
    judged = {task: found for task, found in by_task.items() if None not in found}
    row = {
        **session_columns(cell),
        "domain": name,
        "valid": inside[0]["valid"],
        "tasks": len(by_task),
        "tasks_judged": len(judged),
        "new_tokens_per_task": sum(row["new_tokens"] for row in inside) / len(inside),
        "j_per_task": over(_joules(inside), len(inside)),
        **ends("j_per_task_ci95", _repeats_ends(inside)),
        "pass_at_1_base": None,
        **ends("pass_at_1_base_wilson95", None),
        "j_per_correct_task_base": None,
    }
    if not cell.meaningful or not judged:
        return row
    share = sum(sum(found) / len(found) for found in judged.values()) / len(judged)
    spent = _joules([row for row in inside if row["task_id"] in judged])
    return {
        **row,
        "pass_at_1_base": share,
        **ends("pass_at_1_base_wilson95", statistics.wilson(share, len(judged))),
        "j_per_correct_task_base": over(spent, sum(sum(found) for found in judged.values())),
    }


def _repeats_ends(rows):
    """Student's t interval of the energy per task of the repeats; None without one."""
    joules = pd.DataFrame(rows)[["repeat", "energy_j"]].astype(float)
    if joules["energy_j"].isna().any():
        return None
    interval = statistics.t_ends(np.log(joules.groupby("repeat")["energy_j"].mean()))
    return interval and tuple(map(math.exp, interval))


def _joules(rows):
    values = [row["energy_j"] for row in rows]
    return None if None in values else sum(values)
