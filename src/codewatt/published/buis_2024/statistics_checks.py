"""Computes printed test statistics, p values and regression figures of Buis 2024 again."""

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import partial

from scipy.special import chdtrc, fdtrc, ndtr, ndtri

from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.published_runs import TASKS
from codewatt.published.printed_figures import PrintedFigure
from codewatt.published.printed_number import Interval
from codewatt.published.recomputed_figure import RecomputedFigure

#: Tables 5.5 to 5.13: regressions of the energy of a task.
REGRESSIONS = tuple(f"5.{number}" for number in range(5, 14))
#: The number that the printed Jarque-Bera statistics require (`allowed_observations`).
OBSERVATIONS = TASKS
#: Tokens, the previous task's energy and six domains; no intercept.
COEFFICIENTS = 8
STATISTICS = "Model Statistics"
#: Groups of values that each test compares, of 1,140 tasks each; table 5.4: two halves of a run.
LEVENE_GROUPS = {"5.15": 3, "5.21": 5, "5.27": 2, "5.32": 2, "5.37": 3}
KRUSKAL_WALLIS_GROUPS = {"5.16": 3, "5.22": 5, "5.28": 2, "5.33": 2, "5.38": 3}
_Z95 = Fraction(float(ndtri(0.975)))


def recompute_statistics(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    """Every figure of the tables of tests and regressions that follows from others."""
    for table in REGRESSIONS:
        yield from _coefficients(tables, table)
        yield from _model_statistics(tables, table)
    yield from _levene(tables)
    yield from _kruskal_wallis(tables)
    yield from _symmetric(tables)


def largest_kruskal_wallis(groups: int, size: int = TASKS) -> float:
    """H of groups of equal size whose values do not overlap at all, without ties."""
    total = groups * size
    means = [size * group + (size + 1) / 2 for group in range(groups)]
    spread = sum((mean - (total + 1) / 2) ** 2 for mean in means)
    return 12 * size * spread / (total * (total + 1))


def allowed_observations(tables: ThesisTables) -> dict[str, Interval]:
    """Observations of each regression by its Jarque-Bera statistic.

    JB = n/6 * (skew^2 + (kurtosis - 3)^2 / 4) (Jarque and Bera 1987), solved for n.
    """
    allowed = {}
    for table in REGRESSIONS:
        found = {figure.row: figure for figure in tables.of(table) if figure.section == STATISTICS}
        if "Skew" in found:  # the text of table 5.12 ends before it
            moments = _moments(found["Skew"], found["Kurtosis"])
            allowed[table] = found["Jarque-Bera (JB)"].number.rounded * 6 / moments
    return allowed


def _coefficients(tables: ThesisTables, table: str) -> Iterator[RecomputedFigure]:
    for (_, section, row), cells in tables.rows(table).items():
        if section == STATISTICS:
            continue
        coefficient, error = cells["Coef."].number.rounded, cells["Std. Err."].number.rounded
        z = cells["z"].number
        half = error * _Z95
        derived = {
            "z": ("z_statistic", coefficient / error),
            "P>|z|": ("p_of_z", z.rounded.mapped(lambda value: float(2 * ndtr(-abs(value))))),
            "[0.025": ("confidence_limit", coefficient - half),
            "0.975]": ("confidence_limit", coefficient + half),
        }
        for column, (check, interval) in derived.items():
            yield RecomputedFigure(check, table, row, column, cells[column].number, interval)


def _model_statistics(tables: ThesisTables, table: str) -> Iterator[RecomputedFigure]:
    found = {figure.row: figure for figure in tables.of(table) if figure.section == STATISTICS}
    likelihood = found["Log-Likelihood"].number.rounded * -2
    penalty = Fraction(COEFFICIENTS * math.log(OBSERVATIONS))
    r2 = found["R-squared (uncentered)"].number.rounded
    lost = Interval.exactly(1) - r2
    derived = {
        "AIC": likelihood + 2 * COEFFICIENTS,
        "BIC": likelihood + Interval.exactly(penalty),
        "Adj. R-squared (uncentered)": Interval.exactly(1)
        - lost * Fraction(OBSERVATIONS, OBSERVATIONS - COEFFICIENTS),
    }
    if "Skew" in found:  # the text of table 5.12 ends before it
        moments = _moments(found["Skew"], found["Kurtosis"])
        derived["Jarque-Bera (JB)"] = moments * Fraction(OBSERVATIONS, 6)
        omnibus = found["Omnibus"].number.rounded
        derived["Prob (Omnibus)"] = omnibus.mapped(partial(chdtrc, 2))
    for row, interval in derived.items():
        if row in found:
            printed = found[row].number
            yield RecomputedFigure("model_statistic", table, row, "value", printed, interval)


def _levene(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    """p of F(groups - 1, values - groups)."""
    freedom = {table: (k - 1, k * TASKS - k) for table, k in LEVENE_GROUPS.items()}
    freedom["5.4"] = (1, TASKS - 2)
    for table, (between, within) in freedom.items():
        for (_, section, row), cells in tables.rows(table).items():
            statistic = cells["Levene's statistic"].number.rounded
            yield RecomputedFigure(
                "levene_p",
                table,
                f"{section}, {row}" if section else row,
                "p-value",
                cells["p-value"].number,
                _clipped(statistic).mapped(partial(fdtrc, between, within)),
            )


def _kruskal_wallis(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    """p of chi squared with groups - 1 degrees of freedom, and the largest possible statistic."""
    for table, groups in KRUSKAL_WALLIS_GROUPS.items():
        limit = Interval(Fraction(0), Fraction(largest_kruskal_wallis(groups)))
        for (_, _, row), cells in tables.rows(table).items():
            statistic = cells["Kruskal-Wallis statistic"].number
            yield RecomputedFigure(
                "kruskal_wallis_p",
                table,
                row,
                "p-value",
                cells["p-value"].number,
                statistic.rounded.mapped(partial(chdtrc, groups - 1)),
            )
            yield RecomputedFigure(
                "kruskal_wallis_limit", table, row, "Kruskal-Wallis statistic", statistic, limit
            )


def _symmetric(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    """Dunn's p of two groups does not depend on their order."""
    for table in ("5.17", "5.23", "5.39"):
        for block in _blocks(tables.of(table)):
            size = math.isqrt(len(block))
            for index, figure in enumerate(block):
                mirrored = block[index % size * size + index // size]
                yield RecomputedFigure(
                    "symmetric_p",
                    table,
                    figure.label,
                    figure.column,
                    figure.number,
                    mirrored.number.rounded,
                )


def _blocks(figures: list[PrintedFigure]) -> Iterator[list[PrintedFigure]]:
    """The square blocks of a table: as many rows as columns, one block after the other."""
    columns = len({figure.column for figure in figures})
    for start in range(0, len(figures), columns * columns):
        yield figures[start : start + columns * columns]


def _moments(skew: PrintedFigure, kurtosis: PrintedFigure) -> Interval:
    """skew^2 + (kurtosis - 3)^2 / 4."""
    excess = _square(kurtosis.number.rounded - 3)
    return _square(skew.number.rounded) + excess * Fraction(1, 4)


def _square(value: Interval) -> Interval:
    ends = (value.low**2, value.high**2)
    return Interval(Fraction(0) if value.contains(0) else min(ends), max(ends))


def _clipped(value: Interval) -> Interval:
    """Without the negative part, which a printed 0.00 allows by its rounding."""
    return Interval(max(value.low, Fraction(0)), value.high)
