"""One plain sentence for each test: what it shows at the level of 5 %, after Holm's adjustment."""

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import format_p
from codewatt.analysis.statistical_tests.families import ALPHA

_VALUES = {
    ("task", "energy_j"): "energies of the tasks",
    ("task", "ln energy_j"): "logarithms of the tasks' energies",
    ("run", "energy_j"): "energies of the runs",
    ("run", "ln energy_j"): "logarithms of the runs' energies",
    ("session", "energy_j"): "mean energies of the sessions",
    ("session", "ln energy_j"): "logarithms of the sessions' mean energies",
}
#: Fewer values than this tell little about the shape of a distribution.
_FEW = 20


def conclusion(row: Row) -> str:
    """The sentence for a row of the table `statistical_test` that has a statistic."""
    values = _VALUES[row["level"], row["metric"]]
    if row["p_holm"] is None:
        return (
            f"Without centring, the statistic is {row['statistic']:.3g} because the {values} vary "
            f"by {row['effect']:.0%} of their mean; it says nothing about autocorrelation."
        )
    shown = row["p_holm"] < ALPHA
    p = f"{_adjusted(row)}{format_p(row['p_holm'])}"
    return _SENTENCES[row["test"]](row, values, shown, p)


def _adjusted(row: Row) -> str:
    return "Holm-adjusted " if (row["family_tests"] or 0) > 1 else ""


def _normality(row: Row, values: str, shown: bool, p: str) -> str:
    if shown:
        return f"The {values} are not normally distributed ({p})."
    few = f"; {row['n']} values show only gross departures" if row["n"] < _FEW else ""
    return f"The test does not show that the {values} depart from a normal distribution ({p}){few}."


def _variances(row: Row, values: str, shown: bool, p: str) -> str:
    spread = "" if row["effect"] is None else f"; largest SD / smallest SD = {row['effect']:.3g}"
    if row["factor"] is None:
        where = "the first and the second half of the benchmark's tasks"
    else:
        where = f"the {row['cells']} cells"
    if shown:
        return f"The variance of the {values} differs between {where} ({p}{spread})."
    return (
        f"The test does not show that the variance of the {values} differs between {where} "
        f"({p}{spread})."
    )


def _locations(row: Row, values: str, shown: bool, p: str) -> str:
    effect = f"{row['effect_name']} = {row['effect']:.3g}"
    if shown:
        return (
            f"The {values} of at least one of the {row['cells']} cells tend to be larger than "
            f"those of another ({p}; {effect})."
        )
    return (
        f"The test does not show that the {values} differ between the {row['cells']} cells "
        f"({p}; {effect})."
    )


def _pair(row: Row, values: str, shown: bool, p: str) -> str:
    effect = f"{row['effect_name']} = {row['effect']:.3g}"
    if not shown:
        return f"The test does not show that the {values} of the two cells differ ({p}; {effect})."
    way = "larger" if row["statistic"] > 0 else "smaller"
    return f"The {values} of the first cell tend to be {way} ({p}; {effect})."


def _order(row: Row, values: str, shown: bool, p: str) -> str:
    effect = f"autocorrelation at lag 1 = {row['effect']:.3g}"
    if not shown:
        return (
            f"The test does not show that the {values} depend on the previous task ({p}; {effect})."
        )
    way = "resemble" if row["effect"] > 0 else "tend to lie on the other side of the mean than"
    return f"The {values} {way} those of the previous task ({p}; {effect})."


_SENTENCES = {
    "Shapiro-Wilk": _normality,
    "Levene": _variances,
    "Brown-Forsythe": _variances,
    "Kruskal-Wallis": _locations,
    "Friedman": _locations,
    "Dunn": _pair,
    "Durbin-Watson": _order,
}
