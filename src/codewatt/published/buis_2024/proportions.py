"""Two-proportion test of pass@1 of two runs, for every count that the rounding allows."""

import math

from scipy.special import ndtr, ndtri

from codewatt.published.buis_2024.published_runs import TASKS, Run


def two_proportion_p(solved: int, other: int, tasks: int = TASKS) -> float:
    """Two-sided p value of equal proportions with pooled variance, normal approximation.

    The two sets of verdicts are treated as independent samples. Verdicts on the same tasks are
    positively correlated as a rule, which makes this test conservative.
    """
    pooled = (solved + other) / (2 * tasks)
    if pooled in (0, 1):
        return 1.0
    error = math.sqrt(2 * pooled * (1 - pooled) / tasks)
    return float(2 * ndtr(-abs(solved - other) / tasks / error))


def largest_p(run: Run, other: Run) -> float:
    """The largest p value over the counts that both printed pass@1 allow."""
    return max(two_proportion_p(a, b) for a in run.solved for b in other.solved)


def smallest_p(run: Run, other: Run) -> float:
    """The smallest p value over the counts that both printed pass@1 allow."""
    return min(two_proportion_p(a, b) for a in run.solved for b in other.solved)


def detection_probability(share: float, loss: float, tasks: int = TASKS) -> float:
    """Probability that the test finds a loss at the 5 % level (normal approximation).

    Args:
        share: pass@1 of the reference.
        loss: its loss.
    """
    error = math.sqrt(2 * share * (1 - share) / tasks)
    return float(ndtr(loss / error - ndtri(0.975)))


def smallest_difference(run: Run, other: Run) -> int:
    """The smallest difference of solved tasks that both printed pass@1 allow."""
    gap = max(run.solved[0], other.solved[0]) - min(run.solved[-1], other.solved[-1])
    return max(gap, 0)
