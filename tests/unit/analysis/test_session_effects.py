"""Differences between sessions: closed form, REML of statsmodels, and coverage of known truth."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from codewatt.analysis.log_scale_statistics import holm
from codewatt.analysis.session_effects import (
    BETWEEN_SESSIONS_METHOD,
    WITHIN_ONE_JOB_METHOD,
    compare_sessions,
    logs_by_session,
    paired,
)
from codewatt.analysis.variance_components import Observation, variance_components

#: Standard deviations (in ln) as published: within a job, cell x session, between sessions.
WITHIN_JOB, CELL_SESSION, BETWEEN_SESSIONS = 0.004, (0.003, 0.01), 0.15
REPEATS = 3
Array = NDArray[np.float64]


def drawn_study(sessions: int, seed: int, cells: int = 2, boards: bool = False) -> pd.DataFrame:
    """One study: ln energy of every (cell, session, repeat); boards differ by 5 %."""
    generator = np.random.default_rng(seed)
    board = dict(enumerate(generator.normal(0, 0.05, 3)))
    rows = []
    for session in range(sessions):
        common = generator.normal(0, BETWEEN_SESSIONS)
        for cell in range(cells):
            on = (session + cell) % 3 if boards else 0
            job = common + board[on] + generator.normal(0, 0.02) + 0.1 * cell
            rows += [
                (cell, session, on, job + generator.normal(0, WITHIN_JOB)) for _ in range(REPEATS)
            ]
    return pd.DataFrame(rows, columns=["cell", "session", "board", "value"])


def sides(study: pd.DataFrame) -> list[dict[int, list[float]]]:
    return [
        {int(s): list(part["value"]) for s, part in of_cell.groupby("session")}
        for _, of_cell in study.groupby("cell")
    ]


def test_a_balanced_pair_equals_the_mixed_model_of_statsmodels() -> None:
    study = drawn_study(5, seed=3)
    study["percent"], study["second"] = 100 * study["value"], study["cell"].astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = smf.mixedlm(
            "percent ~ second",
            study,
            groups="session",
            re_formula="1",
            vc_formula={"job": "0 + C(cell)"},
        ).fit(reml=True, method="bfgs", gtol=1e-9)
    first, second = sides(study)
    found = compare_sessions(first, second)
    assert found is not None
    assert found.difference is not None
    assert found.method == BETWEEN_SESSIONS_METHOD
    assert (found.sessions, found.n, found.n_reference) == (5, 15, 15)
    assert found.value == pytest.approx(fitted.params["second"] / 100, rel=1e-8)
    assert found.difference.error == pytest.approx(fitted.bse["second"] / 100, rel=1e-6)


def test_a_balanced_pair_equals_the_paired_t_test_of_scipy() -> None:
    study = drawn_study(4, seed=4)
    first, second = sides(study)
    means = [[np.mean(side[s]) for s in range(4)] for side in (first, second)]
    test = scipy_stats.ttest_rel(means[1], means[0])
    found = compare_sessions(first, second)
    assert found is not None
    assert found.difference is not None
    assert found.difference.p == pytest.approx(test.pvalue, rel=1e-8)
    assert found.difference.interval() == pytest.approx(
        tuple(test.confidence_interval(0.95)), rel=1e-8
    )


def test_only_sessions_that_have_both_cells_are_used() -> None:
    first = {1: [1.0, 1.2], 2: [2.0], 3: [], 4: [9.0]}
    second = {1: [2.0], 2: [3.5, 3.7], 3: [7.0], 5: [0.0]}
    found = compare_sessions(first, second)
    assert found is not None
    assert found.by_session == pytest.approx((0.9, 1.6))
    assert found.value == pytest.approx(1.25)
    assert found.difference == paired(found.by_session)
    assert (found.n, found.n_reference) == (3, 3)
    assert compare_sessions({1: [1.0]}, {2: [1.0]}) is None


def test_one_session_is_welchs_comparison_within_the_two_jobs() -> None:
    first, second = [1.0, 1.1, 1.3], [2.0, 2.1, 2.6]
    found = compare_sessions({2: first}, {2: second})
    assert found is not None
    assert found.difference is not None
    assert found.method == WITHIN_ONE_JOB_METHOD
    expected = scipy_stats.ttest_ind(second, first, equal_var=False)
    assert found.difference.p == pytest.approx(expected.pvalue, rel=1e-10)
    alone = compare_sessions({1: [1.0]}, {1: [2.0]})
    assert alone is not None
    assert (alone.value, alone.difference) == (1.0, None)


def test_logarithms_need_positive_values() -> None:
    assert logs_by_session({1: [1.0, math.e], 2: []}) == {1: [0.0, 1.0]}
    assert logs_by_session({1: [1.0], 2: [0.0]}) is None
    assert logs_by_session({}) is None


def differences(
    sessions: int, spread: tuple[float, float], draws: int, seed: int, cells: int = 2
) -> Array:
    """Within-session differences of the cells from the first: (draws, cells - 1, sessions).

    spread: SD of cell x session of the first and of every other cell.
    """
    generator = np.random.default_rng(seed)
    shape = (draws, cells, sessions)
    sds = np.array([spread[0], *[spread[1]] * (cells - 1)])[None, :, None]
    means = generator.normal(0, BETWEEN_SESSIONS, (draws, 1, sessions))
    means = means + sds * generator.standard_normal(shape)
    means = means + generator.normal(0, WITHIN_JOB, (*shape, REPEATS)).mean(axis=-1)
    return np.asarray(means[:, 1:] - means[:, :1])


def covered(apart: Array) -> float:
    """How often the interval of the library covers a true difference of 0."""
    intervals = [paired(list(one)).interval() for one in apart]
    return sum(low <= 0 <= high for low, high in intervals) / len(intervals)


@pytest.mark.parametrize("sessions", [2, 3, 5])
@pytest.mark.parametrize("spread", [(0.003, 0.003), (0.01, 0.01), (0.003, 0.01), (0.0, 0.0)])
def test_the_interval_covers_the_truth(sessions: int, spread: tuple[float, float]) -> None:
    apart = differences(sessions, spread, 6000, seed=sessions)[:, 0]
    assert 0.94 <= covered(apart) <= 0.96


@pytest.mark.parametrize("sessions", [2, 3, 5])
def test_boards_that_change_between_sessions_are_covered_too(sessions: int) -> None:
    """Each job on a board of its own, drawn anew: the boards' spread is in the differences."""
    generator = np.random.default_rng(50 + sessions)
    apart = differences(sessions, (0.003, 0.01), 6000, seed=sessions)[:, 0]
    boards = generator.normal(0, 0.05, (2, *apart.shape))
    assert 0.94 <= covered(apart + boards[0] - boards[1]) <= 0.96


@pytest.mark.parametrize("sessions", [2, 3, 5])
def test_the_same_two_boards_in_all_sessions_need_the_allowance(sessions: int) -> None:
    apart = differences(sessions, (0.003, 0.01), 3000, seed=sessions)[:, 0]
    generator = np.random.default_rng(60 + sessions)
    confounded = apart + generator.uniform(-0.05, 0.05, (len(apart), 1))
    assert sessions == 2 or covered(confounded) < 0.8
    allowed = [paired(list(one), math.log1p(0.05)).interval() for one in confounded]
    assert sum(low <= 0 <= high for low, high in allowed) / len(allowed) >= 0.95


def test_repeats_of_one_session_do_not_show_what_differs_between_sessions() -> None:
    """Why an interval within one job is named so: of another session's truth it covers less."""
    generator = np.random.default_rng(70)
    hits = 0
    for _ in range(3000):
        jobs = generator.normal(0, 0.01, 2)
        first, second = (job + generator.normal(0, WITHIN_JOB, REPEATS) for job in jobs)
        found = compare_sessions({1: list(first)}, {1: list(second)})
        assert found is not None
        assert found.difference is not None
        low, high = found.difference.interval()
        hits += low <= 0 <= high
    assert hits / 3000 < 0.75


def test_a_variance_pooled_over_unlike_cells_covers_too_little() -> None:
    """Why each pair has its own variance: with (C-1)(S-1) degrees of freedom, a cell whose sessions
    vary more than the others' has too narrow an interval."""
    generator = np.random.default_rng(80)
    cells, sessions, draws = 6, 3, 3000
    sds = np.array([0.01] + [0.003] * (cells - 1))[None, :, None]
    means = sds * generator.standard_normal((draws, cells, sessions))
    rest = means - means.mean(axis=2, keepdims=True)
    rest = rest - rest.mean(axis=1, keepdims=True)
    freedom = (cells - 1) * (sessions - 1)
    error = np.sqrt((rest**2).sum(axis=(1, 2)) / freedom * 2 / sessions)
    half = scipy_stats.t.ppf(0.975, freedom) * error
    noisy, quiet = (
        (means[:, 0] - means[:, 1]).mean(axis=1),
        (means[:, 1] - means[:, 2]).mean(axis=1),
    )
    assert np.mean(np.abs(noisy) <= half) < 0.88
    assert np.mean(np.abs(quiet) <= half) > 0.98
    assert covered(means[:, 0] - means[:, 1]) > 0.94


@pytest.mark.parametrize("sessions", [2, 3, 5])
def test_the_wald_interval_of_a_mixed_model_covers_too_little(sessions: int) -> None:
    """Why Student's t with sessions - 1 degrees of freedom, not the normal distribution."""
    apart = differences(sessions, (0.01, 0.01), 4000, seed=90 + sessions)[:, 0]
    error = apart.std(axis=1, ddof=1) / math.sqrt(sessions)
    wald = np.mean(np.abs(apart.mean(axis=1)) <= 1.96 * error)
    assert wald < {2: 0.72, 3: 0.83, 5: 0.89}[sessions]


@pytest.mark.parametrize("sessions", [1, 2, 3, 5])
def test_holm_keeps_the_type_1_error_of_a_family_at_5_percent(sessions: int) -> None:
    """Six variants that differ by nothing, all compared with one baseline."""
    studies = 2000
    if sessions == 1:  # within one job: no effect of cell x session
        generator = np.random.default_rng(1)
        values = generator.normal(0, WITHIN_JOB, (studies, 7, REPEATS))
        ps = [
            [compare_sessions({1: list(one[0])}, {1: list(cell)}).difference.p for cell in one[1:]]  # type: ignore[union-attr]
            for one in values
        ]
    else:
        apart = differences(sessions, (0.003, 0.01), studies, seed=sessions, cells=7)
        ps = [[paired(list(cell)).p for cell in study] for study in apart]
    wrong = np.mean([min(holm(study)) < 0.05 for study in ps])
    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)


def observations(study: pd.DataFrame) -> list[Observation]:
    return [Observation(r.cell, r.session, r.board, r.value) for r in study.itertuples()]


def test_variance_components_equal_reml_in_balanced_data() -> None:
    study = drawn_study(5, seed=3, cells=4)
    study["percent"] = 100 * study["value"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = smf.mixedlm(
            "percent ~ C(cell)",
            study,
            groups="session",
            re_formula="1",
            vc_formula={"job": "0 + C(cell)"},
        ).fit(reml=True, method="bfgs", gtol=1e-9)
    found = variance_components(observations(study))
    assert found.within_job == pytest.approx(math.sqrt(fitted.scale) / 100, rel=1e-6)
    assert found.cell_session == pytest.approx(math.sqrt(fitted.vcomp[0]) / 100, rel=1e-6)
    assert found.between_sessions == pytest.approx(
        math.sqrt(fitted.cov_re.iloc[0, 0]) / 100, rel=1e-6
    )
    assert found.between_boards is None


def test_variance_components_equal_the_mean_squares_of_the_textbook() -> None:
    study = drawn_study(5, seed=3, cells=4)
    means = study.groupby(["session", "cell"])["value"].mean().unstack()
    rest = means.sub(means.mean(axis=1), axis=0) - means.mean() + means.to_numpy().mean()
    of_rest = float((rest**2).to_numpy().sum()) / 12
    of_error = float(study.groupby(["session", "cell"])["value"].var(ddof=1).mean())
    of_sessions = float(means.mean(axis=1).var(ddof=1))
    found = variance_components(observations(study))
    assert found.within_job == pytest.approx(math.sqrt(of_error), rel=1e-10)
    assert found.cell_session == pytest.approx(math.sqrt(of_rest - of_error / 3), rel=1e-10)
    assert found.between_sessions == pytest.approx(math.sqrt(of_sessions - of_rest / 4), rel=1e-10)


def test_variance_components_are_unbiased_with_missing_cells_and_changing_boards() -> None:
    """Variances averaged over studies of 4 sessions on 3 boards, of which some cells are lost."""
    found = []
    for seed in range(150):
        study = drawn_study(4, seed=1000 + seed, cells=5, boards=True)
        lost = ((study["cell"] == 2) & (study["session"] == 1)) | (
            (study["cell"] == 4) & (study["session"] == 3)
        )
        found.append(variance_components(observations(study[~lost])))
    truth = {
        "within_job": WITHIN_JOB,
        "cell_session": 0.02,
        "between_boards": 0.05,
        "between_sessions": BETWEEN_SESSIONS,
    }
    for name, sd in truth.items():
        variances = np.array([getattr(one, name) ** 2 for one in found])
        error = variances.std() / math.sqrt(len(variances))
        assert abs(variances.mean() - sd**2) < 3.5 * error


def test_what_the_design_cannot_separate_is_absent() -> None:
    one = [Observation("a", 1, "x", 1.0), Observation("a", 1, "x", 2.0)]
    found = variance_components(one)
    assert found.within_job == pytest.approx(math.sqrt(0.5))
    assert found.cell_session is found.between_boards is found.between_sessions is None
    assert variance_components([]).within_job is None
    # The boards go with the cells: they cannot be told from them.
    tied = [Observation(c, s, f"{c}", s + 0.1 * c * s) for c in (1, 2) for s in (1, 2, 3)]
    assert variance_components(tied).between_boards is None
