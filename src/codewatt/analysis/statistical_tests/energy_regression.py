"""Regressions of the log energy of a task: as Buis (2024) has them, and as they should be.

The regressors are the generated tokens, the log energy of the previous task, and a dummy for each
domain. docs/explanation/statistical-tests.md says how each model differs from the others and why.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from codewatt.analysis.run_rows import DOMAIN_SEPARATOR
from codewatt.analysis.statistical_tests.outcomes import WithheldError
from codewatt.units import J_PER_WH

TOKENS, LAG, INTERCEPT = "new_tokens", "lagged_log_energy", "intercept"
#: The thesis leaves this domain out of its models.
LEFT_OUT_DOMAIN = "General"
#: A domain needs this many tasks inside it and outside it.
SMALLEST_DOMAIN = 5
#: Observations that a model needs beyond its coefficients.
SMALLEST_FREEDOM = 10
HC3, NEWEY_WEST, BY_TASK = "HC3", "Newey-West", "clustered by task"


@dataclass(frozen=True)
class Model:
    """A regression model.

    Attributes:
        name: of the table's column `model`.
        outcome: of the column `outcome`.
        intercept: whether it has one.
        errors: standard errors that are computed for it.
        normal: whether p values and intervals are those of the normal distribution, not of t.
    """

    name: str
    outcome: str
    intercept: bool
    errors: tuple[str, ...]
    normal: bool

    def values(self, joules: np.ndarray) -> np.ndarray:
        """The outcome of tasks with these energies (J)."""
        values = np.log1p(joules / J_PER_WH) if self.outcome == "ln(1 + Wh)" else np.log(joules)
        return np.asarray(values)


THESIS = Model("thesis", "ln(1 + Wh)", intercept=False, errors=(HC3,), normal=True)
WITH_INTERCEPT = Model(
    "thesis with intercept", "ln(1 + Wh)", intercept=True, errors=(HC3,), normal=True
)
CORRECTED = Model(
    "corrected", "ln(J)", intercept=True, errors=(HC3, NEWEY_WEST, BY_TASK), normal=False
)
MODELS = (THESIS, WITH_INTERCEPT, CORRECTED)


@dataclass(frozen=True)
class Coefficient:
    """One coefficient of a model with one kind of standard error.

    Attributes:
        value: the estimate.
        error: its standard error.
        statistic: value / error, which is z or t.
        df: degrees of freedom of t; None for z.
        p: two-sided p value.
        ci95: 95 % confidence interval.
    """

    value: float
    error: float
    statistic: float
    df: float | None
    p: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Fit:
    """A model that was fitted to the tasks of one cell.

    Attributes:
        coefficients: kind of standard error -> term -> coefficient.
        left_out: term -> why it has no coefficient.
        n: observations.
        tasks: different tasks among them.
        series: uninterrupted sequences of tasks; none crosses a repeat or a session.
        lags: largest lag of the Newey-West errors.
        r_squared_uncentred: 1 - Σ residual² / Σ y².
        r_squared_centred: 1 - Σ residual² / Σ (y - ȳ)².
        residual_durbin_watson: Durbin-Watson statistic of the residuals, inside the sequences.
    """

    coefficients: dict[str, dict[str, Coefficient]]
    left_out: dict[str, str]
    n: int
    tasks: int
    series: int
    lags: int
    r_squared_uncentred: float
    r_squared_centred: float
    residual_durbin_watson: float


def fit(model: Model, tasks: pd.DataFrame) -> Fit:
    """Fit a model to the tasks of one cell by ordinary least squares.

    Args:
        tasks: as `CellObservations.tasks`. The previous task is the one before it in the same
            session and repeat. A task is left out if it or the previous one has no positive
            energy, and the first task of each repeat has no previous task.

    Raises:
        WithheldError: there are too few tasks, the energies are constant, or the regressors
            depend on each other.
    """
    data = lagged(model, tasks)
    x, left_out = _regressors(model, data)
    y, terms = data["y"].to_numpy(), [str(name) for name in x]
    n, k = len(y), len(terms)
    if n < k + SMALLEST_FREEDOM:
        raise WithheldError(
            f"{n} tasks with an energy that follow another; a model with {k} coefficients needs "
            f"{k + SMALLEST_FREEDOM}"
        )
    if np.ptp(y) == 0:
        raise WithheldError("all energies are equal")
    matrix = x.to_numpy()
    if np.linalg.matrix_rank(matrix / np.abs(matrix).max(axis=0)) < k:
        raise WithheldError("the regressors are linearly dependent")
    fitted = _least_squares(y, matrix)
    groups = data["series"].to_numpy()
    lags = newey_west_lags(int(np.bincount(groups).max()))
    residuals = np.asarray(fitted.resid)
    squares = float(residuals @ residuals)
    return Fit(
        coefficients={
            errors: _coefficients(
                _robust(fitted, errors, model.normal, groups, lags, data["task_id"]), terms
            )
            for errors in model.errors
        },
        left_out=left_out,
        n=n,
        tasks=int(data["task_id"].nunique()),
        series=int(data["series"].nunique()),
        lags=lags,
        r_squared_uncentred=1 - squares / float(y @ y),
        r_squared_centred=1 - squares / float(((y - y.mean()) ** 2).sum()),
        residual_durbin_watson=_durbin_watson(residuals, groups),
    )


def lagged(model: Model, tasks: pd.DataFrame) -> pd.DataFrame:
    """The observations of a model: tasks with a previous task in the same session and repeat.

    Returns:
        task_id, new_tokens, domains, y (outcome), previous (outcome of the previous task) and
        series (number, from 0, of the uninterrupted sequence).
    """
    data = tasks.reset_index(drop=True)
    joules = data["energy_j"].to_numpy(float)
    known = joules > 0  # False for NaN
    y = np.full(len(data), np.nan)
    y[known] = model.values(joules[known])
    data = data.assign(y=y)
    data["previous"] = data.groupby(["session", "repeat"], sort=False)["y"].shift(1)
    kept = data["y"].notna() & data["previous"].notna()
    starts = kept & ~kept.shift(1, fill_value=False)
    data["series"] = starts.cumsum() - 1
    return data[kept].reset_index(drop=True)


def newey_west_lags(observations: int) -> int:
    """The largest lag, floor(4 (T / 100)^(2/9)) (Newey and West 1994), below T."""
    automatic = math.floor(4.0 * math.pow(observations / 100, 2 / 9))
    return max(1, min(automatic, observations - 1))


def domains_of(tasks: pd.DataFrame) -> list[str]:
    """Names of the domains of the tasks, sorted."""
    names = {name for text in tasks["domains"] for name in str(text).split(DOMAIN_SEPARATOR)}
    return sorted(names - {""})


def _regressors(model: Model, data: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Columns of the regressors, and why the others are left out."""
    columns: dict[str, np.ndarray] = {}
    left_out: dict[str, str] = {}
    if model.intercept:
        columns[INTERCEPT] = np.ones(len(data))
    for term, column in ((TOKENS, "new_tokens"), (LAG, "previous")):
        values = data[column].to_numpy(float)
        if len(values) and np.ptp(values) == 0:
            left_out[term] = "the same in all tasks"
        else:
            columns[term] = values
    split = [str(text).split(DOMAIN_SEPARATOR) for text in data["domains"]]
    for domain in domains_of(data):
        member = np.array([domain in names for names in split])
        inside, outside = (data["task_id"][side].nunique() for side in (member, ~member))
        if domain == LEFT_OUT_DOMAIN:
            left_out[domain] = "left out, as in the thesis"
        elif outside == 0:
            left_out[domain] = "all tasks belong to this domain"
        elif min(inside, outside) < SMALLEST_DOMAIN:
            left_out[domain] = (
                f"{inside} tasks of this domain and {outside} others; at least {SMALLEST_DOMAIN} "
                "of each are needed"
            )
        else:
            columns[domain] = member.astype(float)
    return pd.DataFrame(columns), left_out


def _least_squares(y: np.ndarray, matrix: np.ndarray) -> Any:
    from statsmodels.regression.linear_model import OLS

    return OLS(y, matrix, hasconst=False).fit()


def _robust(
    fitted: Any, errors: str, normal: bool, series: np.ndarray, lags: int, task_ids: pd.Series
) -> Any:
    """The fitted model with robust standard errors.

    HC3: MacKinnon and White (1985). Newey-West: Bartlett weights inside each uninterrupted
    sequence, times n / (n - k). Clustered by task: Liang and Zeger (1986), times
    G / (G - 1) · (n - 1) / (n - k), with t of G - 1 degrees of freedom for G tasks.
    """
    if errors == HC3:
        return fitted.get_robustcov_results("HC3", use_t=not normal)
    if errors == NEWEY_WEST:
        return fitted.get_robustcov_results(
            "hac-panel",
            use_t=True,
            groups=series,
            maxlags=lags,
            use_correction="hac",
            df_correction=False,
        )
    codes = pd.factorize(task_ids)[0]
    return fitted.get_robustcov_results("cluster", use_t=True, groups=codes)


def _coefficients(robust: Any, terms: Sequence[str]) -> dict[str, Coefficient]:
    freedom = None
    if robust.use_t:
        freedom = float(getattr(robust, "df_resid_inference", None) or robust.df_resid)
    intervals = robust.conf_int(0.05)
    return {
        term: Coefficient(
            float(robust.params[i]),
            float(robust.bse[i]),
            float(robust.tvalues[i]),
            freedom,
            float(robust.pvalues[i]),
            (float(intervals[i][0]), float(intervals[i][1])),
        )
        for i, term in enumerate(terms)
    }


def _durbin_watson(residuals: np.ndarray, series: np.ndarray) -> float:
    """Σ (e_t - e_{t-1})² / Σ e_t², differences inside the sequences only."""
    inside = series[1:] == series[:-1]
    return float((np.diff(residuals)[inside] ** 2).sum() / (residuals @ residuals))
