"""The values of a metric in each session, and those that an interval counts as independent.

Repeats of one session share a job: its board, its temperature, its neighbours. With several
sessions, intervals therefore rest on one mean for each session (docs/explanation/statistics.md).
"""

from collections.abc import Sequence

from codewatt.analysis.columns import Row
from codewatt.analysis.log_scale_statistics import finite, mean_of
from codewatt.analysis.session_effects import BySession, logs_by_session

#: Value of `interval_scope`: the intervals of energy and time describe repeats of one job.
WITHIN_ONE_JOB = "within one job"
#: Value of `interval_scope`: the intervals of energy and time describe sessions, each with a
#: Snakemake job of its own for the cell.
BETWEEN_SESSIONS = "between sessions"


def interval_scope(sessions: int) -> str:
    """What the intervals of a cell that ran in this number of sessions describe."""
    return BETWEEN_SESSIONS if sessions > 1 else WITHIN_ONE_JOB


def values_by_session(runs: Sequence[Row], metric: str) -> dict[int, list[float]]:
    """Session -> a metric's values in the session's runs; empty where it has none.

    Args:
        runs: a cell's rows of the run table; metric: a column of theirs.
    """
    found: dict[int, list[float]] = {}
    for run in runs:
        found.setdefault(run["session"], []).extend(finite([run.get(metric)]))
    return found


def replicates(by_session: BySession) -> list[float]:
    """The values that an interval counts as independent.

    Args:
        by_session: session -> values, or their logarithms.

    Returns:
        The values themselves for one session; for several, the arithmetic mean of each session
        that has a value.
    """
    if len(by_session) == 1:
        return list(*by_session.values())
    return [mean_of(values) for values in by_session.values() if values]


def log_replicates(by_session: BySession) -> list[float] | None:
    """As `replicates`, of natural logarithms; None without a value, or if one is not positive."""
    logs = logs_by_session(by_session)
    return None if logs is None else replicates({**dict.fromkeys(by_session, ()), **logs})
