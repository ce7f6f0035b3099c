"""The difference of two cells measured in one or several sessions, with the right interval.

The model of a value (a logarithm, or a net energy) of cell c in session s, repeat r, is

    y_csr = cell_c + block_s + (cell x block)_cs + error_csr

with random blocks (one session on one host and its GPUs), random cell x block effects and random
errors within a job. In the difference of two cells within a session the block cancels. So the
restricted maximum likelihood (REML) estimate of a difference, in balanced data, is the mean of
the within-session differences, and its standard error is their SD / sqrt(number of sessions)
(randomised complete block design; Montgomery 2017, Design and Analysis of Experiments, section
4.1). The degrees of freedom are those of containment, sessions - 1.

Each pair of cells uses its own sessions only. Pooling the cell x block variance over all cells of
a study has more degrees of freedom, but its intervals are too narrow for a cell whose sessions
vary more than the others' (docs/explanation/statistics.md).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codewatt.analysis.log_scale_statistics import Difference, mean_of, sample_sd, welch

#: Values of the comparison table's `method` for energy, times and rates.
WITHIN_ONE_JOB_METHOD = "Welch, repeats within one job"
BETWEEN_SESSIONS_METHOD = "Student's t of differences within sessions"

#: Session -> values of its repeats.
BySession = Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class SessionComparison:
    """The difference of two cells, second - first.

    Attributes:
        value: the difference.
        difference: the same with its standard error; None where no variance can be estimated (one
            session with fewer than two repeats of a cell).
        method: how it was estimated.
        by_session: the difference of means within each session that has both cells.
        n, n_reference: number of values of the second and of the first cell in these sessions.
    """

    value: float
    difference: Difference | None
    method: str
    by_session: tuple[float, ...]
    n: int
    n_reference: int

    @property
    def sessions(self) -> int:
        """Number of sessions that have both cells."""
        return len(self.by_session)


def compare_sessions(
    first: BySession, second: BySession, allowance: float = 0.0
) -> SessionComparison | None:
    """The difference second - first over the sessions that have both cells.

    With one common session it is Welch's difference within this session's two jobs. Sessions that
    have one of the two cells are not used: between two sessions lies the block effect, which can be
    several times the cell x block effect (energy: SD 5.7 % and 1.3 % in
    docs/archive/h200-sessions.md).

    Args:
        first, second: session -> values; a session without values counts as missing.
        allowance: see `Difference`.

    Returns:
        None if no session has both cells.
    """
    common = sorted(s for s in first.keys() & second.keys() if first[s] and second[s])
    if not common:
        return None
    apart = tuple(mean_of(second[s]) - mean_of(first[s]) for s in common)
    counts = sum(len(second[s]) for s in common), sum(len(first[s]) for s in common)
    if len(common) == 1:
        found = welch(first[common[0]], second[common[0]], allowance)
        return SessionComparison(apart[0], found, WITHIN_ONE_JOB_METHOD, apart, *counts)
    return SessionComparison(
        mean_of(apart), paired(apart, allowance), BETWEEN_SESSIONS_METHOD, apart, *counts
    )


def paired(differences: Sequence[float], allowance: float = 0.0) -> Difference:
    """The mean of within-session differences with Student's t; at least two differences."""
    sd = sample_sd(differences)
    if sd is None:
        raise ValueError(f"{differences}: need at least two differences")
    error = sd / math.sqrt(len(differences))
    freedom = math.inf if error == 0 else len(differences) - 1
    return Difference(mean_of(differences), error, freedom, allowance)


def logs_by_session(values: BySession) -> dict[int, list[float]] | None:
    """Natural logarithms by session, without the sessions that have no value.

    None if a value is not positive or there is none.
    """
    if any(value <= 0 for of_session in values.values() for value in of_session):
        return None
    logs = {
        session: [math.log(value) for value in of_session]
        for session, of_session in values.items()
        if of_session
    }
    return logs or None
