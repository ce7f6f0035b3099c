"""Metrics of single tasks, paired by task and session: crossed random effects.

The difference of two cells for task t in session s (mean over repeats and samples) is

    d_ts = mean + task_t + session_s + error_ts

Tasks are a sample of the tasks that could be asked, sessions of the sessions that could be
measured. With one session, its effect cannot be told from the mean: the interval then describes
other tasks in the same two jobs.
"""

import math

import numpy as np
from numpy.typing import NDArray

from codewatt.analysis.log_scale_statistics import Difference

#: Tests and comparisons of tasks are withheld below this share of tasks with an energy. A task that
#: is shorter than the time between two readings of a meter has none, so the others are a selection
#: of long tasks.
LEAST_KNOWN_TASKS = 0.95


def crossed_difference(
    differences: NDArray[np.float64], allowance: float = 0.0
) -> Difference | None:
    """The mean of paired differences over tasks and sessions, both random.

    error² = max(MS_t + MS_s - MS_e, MS_t, MS_s) / (tasks · sessions), from the mean squares of
    tasks, sessions and rest of the two-way table without replication, with Satterthwaite's degrees
    of freedom (1946, Biometrics Bulletin 2(6):110-114; Searle, Casella and McCulloch 1992, section
    4.7). With two sessions that differ more than the tasks do, the interval covers 91 %.

    Args:
        differences: an array (tasks, sessions) without missing values.
        allowance: see `Difference`.

    Returns:
        None for fewer than two tasks.
    """
    tasks, sessions = differences.shape
    if tasks < 2:
        return None
    mean = float(differences.mean())
    by_task, by_session = differences.mean(axis=1), differences.mean(axis=0)
    squares = [(sessions * float(np.var(by_task, ddof=1)), tasks - 1)]
    variance = squares[0][0]
    if sessions > 1:
        squares.append((tasks * float(np.var(by_session, ddof=1)), sessions - 1))
        rest = differences - by_task[:, None] - by_session[None, :] + mean
        freedom = (tasks - 1) * (sessions - 1)
        of_rest = float(np.sum(rest**2)) / freedom
        variance = max(squares[0][0] + squares[1][0] - of_rest, squares[0][0], squares[1][0])
        squares.append((of_rest, freedom))
    if variance <= 0:
        return Difference(mean, 0.0, math.inf, allowance)
    freedom_of_sum = variance**2 / math.fsum(square**2 / df for square, df in squares)
    return Difference(mean, math.sqrt(variance / (tasks * sessions)), freedom_of_sum, allowance)
