"""What every statistical test returns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """The outcome of one test.

    Attributes:
        statistic: the test statistic.
        p: its p value; None if the test has none.
        df: degrees of freedom (of the numerator, for F); None if the statistic has none.
        df_residual: degrees of freedom of the denominator of F; None for other statistics.
        effect: effect size; None if it is not defined for these values.
        n: number of values.
    """

    statistic: float
    p: float | None
    df: float | None
    df_residual: float | None
    effect: float | None
    n: int


class WithheldError(ValueError):
    """A test is impossible or meaningless for these values; the message says why."""


#: The smallest number of values of a cell in a test that compares cells. Below it the distributions
#: of H, Q and F are not close enough to chi-squared and F: with three values on each of two sides
#: the chi-squared approximation of Kruskal-Wallis gives p = 0.0495 where the exact p is 0.1.
SMALLEST_GROUP = 5
