"""The values of a metric in each session, and those that an interval counts as independent.

Repeats of one session share a job: its board, its temperature, its neighbours. With several
sessions, intervals therefore rest on one mean for each session (docs, "How the statistics are
done").
"""

from collections.abc import Sequence

from codewatt.analysis.columns import Row
from codewatt.analysis.log_scale_statistics import finite, logarithms, mean_of

#: Value of `interval_scope`: the intervals of energy and time describe repeats of one job.
WITHIN_ONE_JOB = "within one job"
#: Value of `interval_scope`: the intervals of energy and time describe sessions, each with a job
#: of its own.
BETWEEN_SESSIONS = "between sessions"


def interval_scope(sessions: int) -> str:
    """What the intervals of a cell that ran in this number of sessions describe."""
    return BETWEEN_SESSIONS if sessions > 1 else WITHIN_ONE_JOB


def values_by_session(runs: Sequence[Row], metric: str) -> list[list[float]]:
    """A metric's values in each session that ran, in the order of the rows.

    Args:
        runs: a cell's rows of the run table; metric: a column of theirs.

    Returns:
        A list for each session, empty where the session has no value.
    """
    found: dict[int, list[float]] = {}
    for run in runs:
        found.setdefault(run["session"], []).extend(finite([run.get(metric)]))
    return list(found.values())


def replicates(by_session: Sequence[Sequence[float]]) -> list[float]:
    """The values that an interval counts as independent.

    Args:
        by_session: what `values_by_session` returned, or the same of logarithms.

    Returns:
        The values themselves for one session; for several, the arithmetic mean of each session
        that has a value.
    """
    if len(by_session) == 1:
        return list(by_session[0])
    return [mean_of(values) for values in by_session if values]


def log_replicates(by_session: Sequence[Sequence[float]]) -> list[float] | None:
    """As `replicates`, of natural logarithms; None without a value, or if one is not positive."""
    if logarithms([value for values in by_session for value in values]) is None:
        return None
    return replicates([logarithms(values) or [] for values in by_session])
