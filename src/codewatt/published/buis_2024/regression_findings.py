"""Findings on the domains and regressions of Buis 2024 (tables 5.1 and 5.5 to 5.13)."""

import math
from collections.abc import Iterator

from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.published_runs import read_runs
from codewatt.published.buis_2024.statistics_checks import (
    OBSERVATIONS,
    REGRESSIONS,
    STATISTICS,
    allowed_observations,
)
from codewatt.published.finding import CONTRADICTED, NOT_SHOWN, Finding, low_and_high

_DOMAINS = ("Computation", "Cryptography", "Network", "System", "Time", "Visualization")
#: Claimed ranges of coefficients: row of the regressions -> (lower claim, upper claim).
_RANGES = {
    "solution tokens": ("tokens_low", "tokens_high"),
    "log_energy_lag1": ("lag_low", "lag_high"),
    "Computation": ("computation_low", "computation_high"),
    "Cryptography": ("cryptography_low", "cryptography_high"),
    "System": ("system_low", "system_high"),
    "Time": ("time", "time"),
    "Visualization": ("visualization_low", "visualization_high"),
}


def regression_findings(tables: ThesisTables) -> Iterator[Finding]:
    """Findings on domains and regressions."""
    yield _domain_shares(tables)
    yield _uncentred(tables)
    yield _ranges(tables)
    yield _conclusion(tables)
    yield _observations(tables)


def _domain_shares(tables: ThesisTables) -> Finding:
    values: dict[str, float] = {}
    for name, count in tables.domains.items():
        values[f"printed_{name}"] = float(tables.number("5.1", name, "Usage"))
        values[f"own_{name}"] = 100 * count.tasks / count.all_tasks
        values[f"substring_{name}"] = 100 * count.substring_tasks / count.all_tasks
    listed = "; ".join(
        f"{name} {values[f'printed_{name}']:.1f}, {values[f'own_{name}']:.1f}, "
        f"{values[f'substring_{name}']:.1f}"
        for name in tables.domains
    )
    return Finding(
        "domain_shares",
        CONTRADICTED,
        "Table 5.1: domains of tasks by “library presence in the solutions of coding tasks”; "
        "General 100 %, System 95.5 %. Section 4.2.1: General is left out because every task "
        "“belongs to that category”.",
        "Per cent of tasks by table 5.1, by BigCodeBench's own assignment of libraries to domains "
        f"(analysis/task2domain.json), and by a search for the names of table 5.1 as parts of any "
        f"word of prompt and solution: {listed}. The search finds “re” in every “return”, for "
        "example. How the thesis searched is not stated.",
        "Table 5.1 is close to the search, and for General, System and Time far from "
        "BigCodeBench's domains. If the dummy "
        "variables of the regressions were made in this way, the coefficient of System stands for "
        "nearly all tasks, like an intercept, and not for tasks that use system libraries.",
        values,
    )


def mean_outcome(tables: ThesisTables, table: str, tokens: float, shares: list[float]) -> float:
    """The outcome that a regression predicts at given tokens and shares of the domains.

    The previous task's outcome has the same mean.
    """

    def coefficient(row: str) -> float:
        return float(tables.number(table, row, "Coef."))

    explained = coefficient("solution tokens") * tokens + math.fsum(
        coefficient(name) * share for name, share in zip(_DOMAINS, shares, strict=True)
    )
    return explained / (1 - coefficient("log_energy_lag1"))


def _uncentred(tables: ThesisTables) -> Finding:
    """What a constant reaches of the uncentred R2, and what is left of the regression's."""
    run = read_runs(tables)["Qwen-Coder2.5-7B-Instruct, Batch size 1"]
    likelihood, r2 = (
        float(tables.number("5.5", row, "", STATISTICS))
        for row in ("Log-Likelihood", "R-squared (uncentered)")
    )
    residual = math.exp(-2 * likelihood / OBSERVATIONS - 1) / (2 * math.pi)
    square = residual / (1 - r2)
    values = {"residual_variance": residual, "mean_square": square}
    tokens = float(run.tokens_per_task.middle)
    for kind in ("printed", "own"):
        shares = [
            float(tables.number("5.1", name, "Usage")) / 100
            if kind == "printed"
            else tables.domains[name].tasks / tables.domains[name].all_tasks
            for name in _DOMAINS
        ]
        mean = mean_outcome(tables, "5.5", tokens, shares)
        values[f"mean_{kind}"] = mean
        values[f"constant_r2_{kind}"] = mean**2 / square
        values[f"centred_r2_{kind}"] = 1 - residual / (square - mean**2)
    return Finding(
        "uncentred_r2",
        NOT_SHOWN,
        "Section 4.2.1: adjusted R2 “around 98% (0.979 - 0.983) which indicates that almost all "
        "variance can be explained by the factors in the model”. Tables 5.5 to 5.13 name it "
        "“R-squared (uncentered)”.",
        "The regressions have no intercept. An uncentred R2 counts the mean of the outcome as "
        "explained. For Qwen-Coder, batch size 1, the log-likelihood gives the residual variance "
        f"{residual:.5f} and R2 the mean square {square:.3f} of the outcome. Predicted at the "
        f"mean regressors, the mean outcome is {values['mean_own']:.2f} with BigCodeBench's "
        f"shares of domains and {values['mean_printed']:.2f} with those of table 5.1. So a "
        f"constant alone reaches an uncentred R2 of {values['constant_r2_own']:.2f} or "
        f"{values['constant_r2_printed']:.2f}, and the R2 about the mean is "
        f"{values['centred_r2_own']:.2f} or {values['centred_r2_printed']:.2f} (assumption: the "
        "residuals' mean is 0; rounding of R2 widens both).",
        "0.98 says little about how well the factors explain differences between tasks. The share "
        "of explained variance is lower, and the printed figures do not determine it.",
        values,
    )


def _ranges(tables: ThesisTables) -> Finding:
    values: dict[str, float] = {}
    outside = []
    for row, claims in _RANGES.items():
        numbers = [tables.number(table, row, "Coef.") for table in REGRESSIONS]
        low, high = min(float(n) for n in numbers), max(float(n) for n in numbers)
        values[f"low_{row}"], values[f"high_{row}"] = low, high
        limits = [tables.claim(name) for name in claims]
        if low < limits[0].rounded.low or high > limits[1].rounded.high:
            said = " to ".join(dict.fromkeys(limit.text for limit in limits))
            outside.append(f"{row} {low:g} to {high:g} (text: {said})")
    statistics = [
        float(tables.number(table, "F-statistic", "", STATISTICS)) for table in REGRESSIONS
    ]
    values |= low_and_high("{}_f", statistics)
    outside.append(f"F {values['low_f']:.0f} to {values['high_f']:.0f} (text: 6955 to 9500)")
    values["outside"] = len(outside)
    values["time_significant"] = sum(
        float(tables.number(table, "Time", "P>|z|")) < 0.05 for table in REGRESSIONS
    )
    return Finding(
        "ranges_of_coefficients",
        CONTRADICTED,
        "Section 4.2.1 gives ranges of the coefficients and of F over tables 5.5 to 5.13.",
        f"Ranges that leave what the text says: {'; '.join(outside)}. The ranges of the other "
        f"coefficients follow. Time is significant in {values['time_significant']:.0f} of 9 "
        "regressions, in none of Llama's.",
        "The ranges of tokens, Cryptography and Time leave out Qwen-Coder, whose coefficients are "
        "about twice as large for Cryptography.",
        values,
    )


def _conclusion(tables: ThesisTables) -> Finding:
    largest = []
    for table in REGRESSIONS:
        coefficients = {name: tables.number(table, name, "Coef.").value for name in _DOMAINS}
        largest.append(max(coefficients, key=lambda name: coefficients[name]))
    values = {"system_largest": largest.count("System"), "regressions": len(REGRESSIONS)}
    return Finding(
        "domains_in_the_conclusion",
        NOT_SHOWN,
        "Chapter 5: “categories like Visualization and Cryptography consumed significantly more "
        "energy than General or Network tasks”.",
        f"The largest coefficient of a domain is System in {values['system_largest']:.0f} of "
        f"{values['regressions']:.0f} regressions, which the sentence leaves out. General is in no "
        "regression, so nothing was compared with it. A coefficient compares tasks inside and "
        "outside a domain, not two domains; a difference from Network was not tested.",
        "With the domains of table 5.1 the regressions show more energy at equal tokens for tasks "
        "of four domains, and of a fifth (Time) for two of three models. They do not "
        "show an order of domains.",
        values,
    )


def _observations(tables: ThesisTables) -> Finding:
    allowed = allowed_observations(tables)
    values = {
        "low": max(float(interval.low) for interval in allowed.values()),
        "high": min(float(interval.high) for interval in allowed.values()),
    }
    return Finding(
        "observations_of_the_regressions",
        NOT_SHOWN,
        "Section 4.2.1: the energy of the previous task, log_energy_lag1, is a regressor. The "
        "first task has no previous task. How it was treated is not stated.",
        "The Jarque-Bera statistics of tables 5.5 to 5.11 and 5.13 follow from skewness and "
        f"kurtosis with {values['low']:.1f} to {values['high']:.1f} observations, so with "
        f"{OBSERVATIONS:,}, all tasks.",
        "The first task has some value of the previous task's energy that was not measured. Its "
        "effect is small: it is one observation of 1,140.",
        values,
    )
