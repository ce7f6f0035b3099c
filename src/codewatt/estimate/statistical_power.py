"""What a study's design can detect, and how many sessions, repeats and tasks an effect needs.

Energy and time: two-sided t tests of the difference of two cells on the log scale, as
`analysis.session_effects` compares them. Accuracy: McNemar's test of paired tasks.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from scipy.special import ndtri

from codewatt.analysis.detectable_effect import POWER, minimum_detectable_effect
from codewatt.analysis.log_scale_statistics import change_of_log

#: Two-sided level of one comparison, before it is divided by the number of comparisons.
LEVEL = 0.05
#: Larger designs are not searched.
MOST_SESSIONS, MOST_REPEATS = 200, 2000


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the logarithm of a metric (0.01 is about 1 %), and their source.

    Attributes:
        within_job: between the repeats of one job. None if unknown, as in a study with one repeat
            per job; `cell_session` then contains it.
        cell_session: between sessions, of what does not change all cells of a session alike. None
            if unknown.
        between_sessions: common to all cells of a session; comparisons within sessions do not
            contain it. None if unknown.
        source: what was measured, in words.
    """

    within_job: float | None
    cell_session: float | None
    between_sessions: float | None
    source: str


def detectable_change(
    spread: Spread, repeats: int, sessions: int, comparisons: int = 1
) -> float | None:
    """Smallest relative change of a variant that is detected with 80 % power, a fraction.

    It is that of an increase; x corresponds to a decrease of x/(1 + x). With S >= 2 sessions of R
    repeats the standard error of the difference of two cells is
    sqrt(2 (cell_session² + within_job²/R) / S), with S - 1 degrees of freedom. With one session it
    is sqrt(2 within_job²/R) with 2 (R - 1), and the change is that of two jobs, not of two cells:
    `cell_session` is then part of what is detected.

    Args:
        comparisons: m; each is tested at level 0.05/m (Bonferroni, the first step of Holm).

    Returns:
        Infinity where no float is that large: the design bounds no change. None if the spread that
        the standard error needs is unknown, and with one session of one repeat, which has no
        degrees of freedom. If only `within_job` is unknown, several sessions have the value of one
        repeat; with more repeats it is an upper bound.
    """
    within = None if spread.within_job is None else spread.within_job**2 / repeats
    if sessions == 1:
        if repeats == 1 or within is None:
            return None
        error, freedom = math.sqrt(2 * within), 2 * (repeats - 1)
    elif spread.cell_session is None:
        return None
    else:
        error = math.sqrt(2 * (spread.cell_session**2 + (within or 0.0)) / sessions)
        freedom = sessions - 1
    change = change_of_log(minimum_detectable_effect(error, freedom, level=LEVEL / comparisons))
    return math.inf if change is None else change


def sessions_needed(
    spread: Spread, repeats: int, change: float, comparisons: int = 1
) -> int | None:
    """Fewest sessions, at least 2, that detect a relative change; None above MOST_SESSIONS.

    Args:
        spread: its `cell_session` is known.
    """
    return _fewest(
        lambda sessions: detectable_change(spread, repeats, sessions, comparisons),
        change,
        MOST_SESSIONS,
    )


def repeats_needed(spread: Spread, change: float, comparisons: int = 1) -> int | None:
    """Fewest repeats, at least 2, that detect a relative change between two jobs of one session.

    Args:
        spread: its `within_job` is known.

    Returns:
        None above MOST_REPEATS.
    """
    return _fewest(
        lambda repeats: detectable_change(spread, repeats, 1, comparisons), change, MOST_REPEATS
    )


def _fewest(detectable: Callable[[int], float | None], change: float, most: int) -> int | None:
    """The smallest count from 2 to `most` whose detectable change is at most `change`.

    The detectable change falls as the count rises, so the count is found by bisection.
    """

    def suffices(count: int) -> bool:
        found = detectable(count)
        return found is not None and found <= change

    found = 2 + bisect_left(range(2, most + 1), True, key=suffices)
    return found if found <= most else None


def tasks_needed(difference: float, discordant: float, comparisons: int = 1) -> int:
    """Fewest tasks with which McNemar's test detects a difference of pass@1 with 80 % power.

    n = (z(1 - level/2) sqrt(ψ) + z(0.8) sqrt(ψ - δ²))² / δ² (Connor 1987, Biometrics 43:207-211,
    eq. 3), rounded up.

    Args:
        difference: δ, a fraction (0.02 is two points), above 0.
        discordant: ψ, the share of tasks that only one of the two cells solves, at least δ.
        comparisons: as for `detectable_change`.
    """
    return math.ceil(_tasks(difference, discordant, comparisons))


def detectable_difference(tasks: int, discordant: float, comparisons: int = 1) -> float | None:
    """Smallest difference of pass@1 that McNemar's test detects with 80 % power, a fraction.

    None if even a difference of `discordant`, where one cell solves no task that the other does
    not solve, is not detected.
    """
    if _tasks(discordant, discordant, comparisons) > tasks:
        return None
    low, high = discordant * 1e-9, discordant
    for _ in range(200):
        middle = (low + high) / 2
        if _tasks(middle, discordant, comparisons) <= tasks:
            high = middle
        else:
            low = middle
    return high


def _tasks(difference: float, discordant: float, comparisons: int) -> float:
    z_level, z_power = ndtri(1 - LEVEL / comparisons / 2), ndtri(POWER)
    spread = math.sqrt(max(discordant - difference**2, 0.0))
    return float((z_level * math.sqrt(discordant) + z_power * spread) ** 2 / difference**2)
