"""Rows of the domain table: accuracy and energy of each cell and session by domain of tasks.

A task that belongs to several domains counts in each of them, so the rows of a cell overlap.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

from codewatt.analysis.changes import set_interval
from codewatt.analysis.columns import CELL_IDS, SESSION_IDS, Row
from codewatt.analysis.log_scale_statistics import Summary, ratio, summarise
from codewatt.analysis.proportions import wilson_interval
from codewatt.analysis.run_rows import DOMAIN_SEPARATOR, solved_shares


def domain_rows(tasks: Sequence[Row], meaningful: bool) -> list[Row]:
    """One row for each domain of a cell's tasks in one session, by name.

    Empty if the tasks have no domains.

    Args:
        tasks: the session's rows of the task table.
        meaningful: False when the weights are random; figures of accuracy are then absent.
    """
    by_domain: dict[str, list[Row]] = defaultdict(list)
    for row in tasks:
        for domain in domains_of(row):
            by_domain[domain].append(row)
    return [_domain_row(name, by_domain[name], meaningful) for name in sorted(by_domain)]


def domains_of(task: Row) -> list[str]:
    """The domains of a row of the task table; none if its benchmark has no domains."""
    return [domain for domain in (task["domains"] or "").split(DOMAIN_SEPARATOR) if domain]


def _domain_row(domain: str, tasks: Sequence[Row], meaningful: bool) -> Row:
    """Figures over all repeats and samples.

    Energies are those of the task table: at every moment an equal part for each completion that is
    generated then. They are absent if the energy of a completion is. The interval of energy per
    task is Student's t of the logarithms of the repeats.
    """
    shares = solved_shares(tasks, "base")
    judged = [row for row in tasks if row["task_id"] in shares]
    correct = sum(bool(row["solved_base"]) for row in judged)
    row: Row = {
        **{name: tasks[0][name] for name in SESSION_IDS},
        "domain": domain,
        "valid": tasks[0]["valid"],
        "tasks": len({task["task_id"] for task in tasks}),
        "tasks_judged": len(shares),
        "new_tokens_per_task": ratio(sum(task["new_tokens"] for task in tasks), len(tasks)),
        "j_per_task": ratio(_joules(tasks), len(tasks)),
    }
    set_interval(row, "j_per_task_ci95", _summary(_repeat_joules(tasks)).ci95)
    if not (meaningful and shares):
        return row
    share = math.fsum(shares.values()) / len(shares)
    low, high = wilson_interval(min(share, 1.0) * len(shares), len(shares))
    return row | {
        "pass_at_1_base": share,
        "pass_at_1_base_wilson95_low": low,
        "pass_at_1_base_wilson95_high": high,
        "j_per_correct_task_base": ratio(_joules(judged), correct),
    }


def pool_sessions(rows: Sequence[Row]) -> list[Row]:
    """Rows of the domain table, one for each cell and domain, the first session's order.

    pass@1 is the mean over sessions, as in the cell table; Wilson's interval has n = number of
    judged tasks. Energy per task is the geometric mean of the sessions, with Student's t interval
    of their logarithms; it is absent if a session has none. A cell is valid if it is in all
    sessions. Other figures, and `session`, are left out where there are several sessions.

    Args:
        rows: rows of the domain table.
    """
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[row["cell_id"], row["domain"]].append(row)
    return [_pooled(own) for own in found.values()]


def _pooled(rows: Sequence[Row]) -> Row:
    """The row of one cell and domain over its sessions."""
    if len(rows) == 1:
        return rows[0]
    tasks = min(row["tasks_judged"] for row in rows)
    shares = [row["pass_at_1_base"] for row in rows]
    pooled = {name: rows[0][name] for name in (*CELL_IDS, "domain", "tasks")}
    pooled |= {"tasks_judged": tasks, "pass_at_1_base": None}
    pooled["valid"] = all(row["valid"] is True for row in rows)
    energy = _summary([row["j_per_task"] for row in rows])
    pooled["j_per_task"] = energy.geomean
    set_interval(pooled, "j_per_task_ci95", energy.ci95)
    if None in shares:
        return pooled
    share = math.fsum(shares) / len(shares)
    low, high = wilson_interval(min(share, 1.0) * tasks, tasks)
    return pooled | {
        "pass_at_1_base": share,
        "pass_at_1_base_wilson95_low": low,
        "pass_at_1_base_wilson95_high": high,
    }


def _repeat_joules(tasks: Sequence[Row]) -> list[float | None]:
    """Mean energy (J) of a completion in each repeat; None where that of one is unknown."""
    repeats: dict[int, list[Row]] = defaultdict(list)
    for row in tasks:
        repeats[row["repeat"]].append(row)
    return [ratio(_joules(own), len(own)) for own in repeats.values()]


def _summary(energies: Sequence[float | None]) -> Summary:
    """The statistics of energies; none of them if one is unknown."""
    return summarise([] if None in energies else energies)


def _joules(tasks: Sequence[Row]) -> float | None:
    """Energy (J) of completions inside the study's boundary; None if one is unknown."""
    known = [row.get("energy_j") for row in tasks]
    values = [value for value in known if value is not None]
    return math.fsum(values) if len(values) == len(known) else None
