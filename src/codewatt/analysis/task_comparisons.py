"""Energy and latency of single tasks, compared between two cells task by task."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codewatt.analysis.columns import Row
from codewatt.analysis.compared_pairs import Pair, StudyRows
from codewatt.analysis.log_scale_statistics import Difference, mean_of
from codewatt.analysis.task_effects import LEAST_KNOWN_TASKS, crossed_difference

#: Metric of the comparison table -> column of the task table.
TASK_METRICS = {"task_energy_j": "energy_j", "task_latency_s": "latency_s"}


@dataclass(frozen=True)
class TaskComparison:
    """The difference of logarithms, paired by task and session.

    Attributes:
        difference: the mean over tasks and sessions (`task_effects.crossed_difference`).
        by_task: the mean over sessions of each task.
        sessions: number of sessions that have both cells.
    """

    difference: Difference
    by_task: tuple[float, ...]
    sessions: int


def compare_task_metric(study: StudyRows, pair: Pair, metric: str) -> TaskComparison | None:
    """Compare a metric of the task table; None where it is not compared.

    The tasks are those that, in every session that has both cells, have a value in each completion
    of both; at least LEAST_KNOWN_TASKS of all tasks. A task's value is the mean of ln x over its
    repeats and samples.

    Args:
        metric: a key of TASK_METRICS.
    """
    column = TASK_METRICS[metric]
    if not pair.compares(column):
        return None
    ours, theirs = (_logs(study.tasks[cell_id], column) for cell_id in pair.ids)
    sessions = sorted(ours.keys() & theirs.keys())
    if not sessions:
        return None
    common = set.intersection(*({*side[s]} for side in (ours, theirs) for s in sessions))
    tasks = {row["task_id"] for cell_id in pair.ids for row in study.tasks[cell_id]}
    if len(common) < max(2, LEAST_KNOWN_TASKS * len(tasks)):
        return None
    apart = [[ours[s][task] - theirs[s][task] for s in sessions] for task in sorted(common)]
    difference = crossed_difference(np.array(apart), pair.allowance)
    if difference is None:
        return None
    return TaskComparison(difference, tuple(mean_of(row) for row in apart), len(sessions))


def _logs(tasks: Sequence[Row], column: str) -> dict[int, Mapping[str, float]]:
    """Session -> task -> mean logarithm; without tasks of which a completion has no value."""
    values: dict[int, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for row in tasks:
        value = row.get(column)
        log = None if value is None or value <= 0 else math.log(value)
        values[row["session"]][row["task_id"]].append(log)
    return {
        session: {
            task: mean_of([log for log in logs if log is not None])
            for task, logs in of_session.items()
            if None not in logs
        }
        for session, of_session in values.items()
    }
