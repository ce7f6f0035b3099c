"""Regressions equal their matrix formulas, and no lag crosses a repeat, a session or a gap."""

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from codewatt.analysis.statistical_tests.energy_regression import (
    BY_TASK,
    CORRECTED,
    HC3,
    INTERCEPT,
    LAG,
    NEWEY_WEST,
    THESIS,
    TOKENS,
    WITH_INTERCEPT,
    fit,
    lagged,
    newey_west_lags,
)
from codewatt.analysis.statistical_tests.outcomes import WithheldError

CLOSE = {"rel": 1e-8, "abs": 1e-13}
TASKS = 60


def drawn(repeats=3, sessions=1, gap=(), seed=0):
    """Tasks whose energy depends on tokens and a domain, in each session and repeat."""
    draw = np.random.default_rng(seed)
    domains = np.array(["General", "General, Network", "General, Network, Time", "General, Time"])
    of_task = domains[draw.integers(0, 4, TASKS)]
    tokens = draw.integers(20, 400, TASKS).astype(float)
    of_all_repeats = draw.normal(0, 0.1, TASKS)
    rows = []
    for session, repeat in itertools.product(range(1, sessions + 1), range(repeats)):
        noise = of_all_repeats + draw.normal(0, 0.1, TASKS)
        network = np.array(["Network" in text for text in of_task])
        joules = np.exp(6.5 + 0.002 * tokens + 0.1 * network + noise)
        rows += [
            {
                "session": session,
                "repeat": repeat,
                "position": i,
                "task_id": f"t{i}",
                "domains": of_task[i],
                "new_tokens": tokens[i],
                "energy_j": np.nan if (repeat, i) in gap else joules[i],
            }
            for i in range(TASKS)
        ]
    return pd.DataFrame(rows)


def by_loops(model, tasks):
    """(y, X, terms, series number, task ids), built row by row."""
    y, x, series, ids = [], [], [], []
    previous, number = None, -1
    for _, group in tasks.groupby(["session", "repeat"], sort=False):
        previous, fresh = None, True
        for row in group.itertuples():
            joules = row.energy_j
            value = None
            if joules > 0:
                value = np.log1p(joules / 3600) if "Wh" in model.outcome else np.log(joules)
            if value is None or previous is None:
                fresh = True
            else:
                number += fresh
                fresh = False
                names = row.domains.split(", ")
                line = [1.0] if model.intercept else []
                line += [row.new_tokens, previous, "Network" in names, "Time" in names]
                y.append(value)
                x.append([float(v) for v in line])
                series.append(number)
                ids.append(row.task_id)
            previous = value
    terms = [INTERCEPT] * model.intercept + [TOKENS, LAG, "Network", "Time"]
    return np.array(y), np.array(x), terms, np.array(series), np.array(ids)


def sandwich(x, e, errors, series, ids, lags):
    """The robust covariance by its definition."""
    n, k = x.shape
    bread, scores = np.linalg.inv(x.T @ x), x * e[:, None]
    if errors == HC3:
        leverage = np.einsum("ij,jk,ik->i", x, bread, x)
        meat = (x * (e / (1 - leverage))[:, None] ** 2).T @ x
        return bread @ meat @ bread
    if errors == BY_TASK:
        sums = np.array([scores[ids == name].sum(axis=0) for name in np.unique(ids)])
        g = len(sums)
        return bread @ (sums.T @ sums) @ bread * g / (g - 1) * (n - 1) / (n - k)
    meat = scores.T @ scores
    for lag in range(1, lags + 1):
        for i in range(n - lag):
            if series[i] == series[i + lag]:
                both = np.outer(scores[i + lag], scores[i])
                meat += (1 - lag / (lags + 1)) * (both + both.T)
    return bread @ meat @ bread * n / (n - k)


TABLES = {
    "one repeat": drawn(repeats=1),
    "three repeats": drawn(),
    "two sessions": drawn(repeats=2, sessions=2),
    "gaps": drawn(repeats=2, gap={(0, 0), (0, 20), (1, 41), (1, 42), (1, 59)}),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("model", [THESIS, WITH_INTERCEPT, CORRECTED], ids=lambda m: m.name)
def test_fits_equal_their_matrix_formulas(model, name):
    y, x, terms, series, ids = by_loops(model, TABLES[name])
    found = fit(model, TABLES[name])
    estimates = np.linalg.lstsq(x, y, rcond=None)[0]
    e = y - x @ estimates
    n, k = x.shape
    assert (found.n, found.tasks, found.series) == (n, len(set(ids)), series.max() + 1)
    assert found.r_squared_uncentred == pytest.approx(1 - e @ e / (y @ y), **CLOSE)
    assert found.r_squared_centred == pytest.approx(1 - e @ e / (n * y.var()), **CLOSE)
    inside = series[1:] == series[:-1]
    d = (np.diff(e)[inside] ** 2).sum() / (e @ e)
    assert found.residual_durbin_watson == pytest.approx(d, **CLOSE)
    assert list(found.coefficients) == list(model.errors)
    for errors, coefficients in found.coefficients.items():
        assert list(coefficients) == terms
        cov = sandwich(x, e, errors, series, ids, found.lags)
        df = len(set(ids)) - 1 if errors == BY_TASK else n - k
        law = stats.norm() if model.normal else stats.t(df)
        for i, term in enumerate(terms):
            ours, error = coefficients[term], np.sqrt(cov[i, i])
            assert ours.value == pytest.approx(estimates[i], **CLOSE)
            assert ours.error == pytest.approx(error, **CLOSE)
            assert ours.statistic == pytest.approx(estimates[i] / error, **CLOSE)
            assert ours.p == pytest.approx(2 * law.sf(abs(estimates[i] / error)), rel=1e-7)
            ends = estimates[i] + np.array(law.interval(0.95)) * error
            assert ours.ci95 == pytest.approx(tuple(ends), **CLOSE)
            assert ours.df == (None if model.normal else df)


def test_the_thesis_model_is_that_of_statsmodels_formulas():
    """As the thesis is likely to have called it: a formula without intercept, HC3."""
    data = lagged(THESIS, TABLES["one repeat"])
    data["network"] = data["domains"].str.contains("Network").astype(int)
    data["time"] = data["domains"].str.contains("Time").astype(int)
    theirs = smf.ols("y ~ new_tokens + previous + network + time - 1", data).fit(cov_type="HC3")
    ours = fit(THESIS, TABLES["one repeat"])
    assert ours.r_squared_uncentred == pytest.approx(theirs.rsquared, **CLOSE)
    for term, name in ((TOKENS, "new_tokens"), (LAG, "previous"), ("Network", "network")):
        coefficient = ours.coefficients[HC3][term]
        assert coefficient.value == pytest.approx(theirs.params[name], **CLOSE)
        assert coefficient.error == pytest.approx(theirs.bse[name], **CLOSE)
        assert coefficient.p == pytest.approx(theirs.pvalues[name], **CLOSE)


def test_the_first_task_of_a_repeat_or_session_has_no_previous_task():
    tasks = TABLES["two sessions"]
    data = lagged(CORRECTED, tasks)
    assert len(data) == 4 * (TASKS - 1)
    assert "t0" not in set(data["task_id"])
    assert data["series"].value_counts().to_dict() == dict.fromkeys(range(4), TASKS - 1)
    second = data[(data["session"] == 2) & (data["repeat"] == 1)].iloc[0]
    mine = tasks[(tasks["session"] == 2) & (tasks["repeat"] == 1) & (tasks["position"] == 0)]
    assert second["previous"] == pytest.approx(np.log(mine["energy_j"].iloc[0]))


def test_a_task_without_energy_interrupts_the_sequence():
    data = lagged(CORRECTED, TABLES["gaps"])
    of_first = data[data["repeat"] == 0]
    assert {"t0", "t1", "t20", "t21"}.isdisjoint(of_first["task_id"])
    assert of_first["series"].nunique() == 2


def test_errors_by_task_of_single_tasks_are_hc1():
    found = fit(CORRECTED, TABLES["one repeat"])
    y, x, _, _, _ = by_loops(CORRECTED, TABLES["one repeat"])
    import statsmodels.api as sm

    hc1 = sm.OLS(y, x).fit(cov_type="HC1")
    ours = [c.error for c in found.coefficients[BY_TASK].values()]
    assert ours == pytest.approx(list(hc1.bse), **CLOSE)


def test_the_corrected_model_finds_what_made_the_energies():
    found = fit(CORRECTED, TABLES["three repeats"]).coefficients[BY_TASK]
    for term, true in ((TOKENS, 0.002), ("Network", 0.1), (LAG, 0.0), ("Time", 0.0)):
        low, high = found[term].ci95
        assert low < true < high, term


def test_the_unit_of_energy_matters_without_an_intercept_only():
    tasks = TABLES["three repeats"]
    larger = tasks.assign(energy_j=tasks["energy_j"] * 1000)
    with_intercept = [fit(CORRECTED, t).coefficients[HC3][TOKENS].value for t in (tasks, larger)]
    assert with_intercept[0] == pytest.approx(with_intercept[1])
    without = [fit(THESIS, t) for t in (tasks, larger)]
    lags = [found.coefficients[HC3][LAG].value for found in without]
    assert abs(lags[0] - lags[1]) > 0.1
    assert without[1].r_squared_uncentred > 0.99 > fit(CORRECTED, larger).r_squared_centred


@pytest.mark.parametrize(("length", "lags"), [(2, 1), (25, 2), (60, 3), (1139, 6), (100, 4)])
def test_newey_west_lags_follow_the_rule_of_1994(length, lags):
    assert newey_west_lags(length) == lags


def test_terms_that_cannot_be_estimated_are_left_out_with_the_reason():
    tasks = TABLES["three repeats"].copy()
    tasks["domains"] = tasks["domains"] + ", System"
    rare = tasks["task_id"].isin(["t3", "t4"])
    tasks.loc[rare, "domains"] += ", Cryptography"
    tasks["new_tokens"] = 64.0
    found = fit(CORRECTED, tasks)
    assert found.left_out == {
        TOKENS: "the same in all tasks",
        "Cryptography": "2 tasks of this domain and 57 others; at least 5 of each are needed",
        "General": "left out, as in the thesis",
        "System": "all tasks belong to this domain",
    }
    assert list(found.coefficients[HC3]) == [INTERCEPT, LAG, "Network", "Time"]


def test_models_that_cannot_be_fitted_are_withheld():
    tasks = TABLES["one repeat"]
    with pytest.raises(WithheldError, match="11 tasks with an energy that follow another"):
        fit(CORRECTED, tasks.head(12).assign(domains=""))
    with pytest.raises(WithheldError, match="all energies are equal"):
        fit(CORRECTED, tasks.assign(energy_j=5.0))
    both = tasks["domains"].str.replace("Network", "Network, Web")
    with pytest.raises(WithheldError, match="linearly dependent"):
        fit(CORRECTED, tasks.assign(domains=both))


def test_errors_by_task_keep_their_level_with_repeats_and_hc3_does_not():
    """Energies that depend on tokens and on the task itself, but on no domain."""
    rejected = {HC3: 0, NEWEY_WEST: 0, BY_TASK: 0}
    studies = 200
    for seed in range(studies):
        tasks = drawn(repeats=4, seed=seed)
        network = tasks["domains"].str.contains("Network")
        tasks["energy_j"] *= np.exp(-0.1 * network)  # the effect of `drawn` taken out
        for errors, coefficients in fit(CORRECTED, tasks).coefficients.items():
            rejected[errors] += coefficients["Network"].p < 0.05
    assert rejected[BY_TASK] / studies < 0.09
    assert rejected[HC3] / studies > 0.15
    assert rejected[NEWEY_WEST] / studies > 0.15
