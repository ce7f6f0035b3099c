"""The probability to be on the efficient frontier: calibrated where the truth is known."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from codewatt.analysis import frontier_probability
from codewatt.analysis.detectable_effect import minimum_detectable_effect
from codewatt.analysis.efficient_frontier import efficient_mask
from codewatt.analysis.frontier_probability import FrontierDraws, accuracy_draws, energy_draws


def test_the_probability_is_the_share_of_draws_on_the_frontier() -> None:
    generator = np.random.default_rng(1)
    energy = generator.integers(0, 4, (200, 6)).astype(float)
    accuracy = generator.integers(0, 4, (200, 6)).astype(float)
    expected = np.mean(
        [
            efficient_mask(list(zip(*pair, strict=True)))
            for pair in zip(energy, accuracy, strict=True)
        ],
        axis=0,
    )
    assert FrontierDraws(energy, accuracy).probabilities() == pytest.approx(list(expected))


def test_what_is_common_to_a_session_cancels() -> None:
    """Sessions 15 % apart; the second cell always takes 1 % more, and is never on the frontier."""
    common = [0.0, 0.15, -0.1]
    logs = [[[base + cell * 0.01] for base in common] for cell in range(2)]
    energy = energy_draws(logs)
    assert np.allclose(energy[:, 1] - energy[:, 0], 0.01)
    assert FrontierDraws(energy, np.ones_like(energy)).probabilities() == [1.0, 0.0]


def test_differences_of_draws_have_the_t_distribution_of_the_interval() -> None:
    logs = [[[0.0], [0.1], [0.2]], [[0.01], [0.13], [0.2]]]
    apart = np.array([0.01, 0.03, 0.0])
    energy = energy_draws(logs, draws=40000)
    found = energy[:, 1] - energy[:, 0]
    error = apart.std(ddof=1) / math.sqrt(3)
    test = scipy_stats.kstest((found - apart.mean()) / error, scipy_stats.t(2).cdf)
    assert test.pvalue > 0.01
    alone = energy_draws([[[1.0, 1.1, 1.3]], [[2.0, 2.0, 2.3]]], draws=40000)
    scaled = (alone[:, 0] - np.mean([1.0, 1.1, 1.3])) / scipy_stats.sem([1.0, 1.1, 1.3])
    assert scipy_stats.kstest(scaled, scipy_stats.t(2).cdf).pvalue > 0.01


def test_cells_that_solve_the_same_tasks_are_not_equal_in_every_draw() -> None:
    shares = np.tile(np.r_[np.ones(60), np.zeros(104)], (2, 1))
    drawn = accuracy_draws(shares)
    assert 0.05 < np.mean(drawn[:, 0] > drawn[:, 1]) < 0.45
    assert drawn.mean() == pytest.approx((60 + 1) / 166, abs=0.003)


@pytest.mark.parametrize("sessions", [1, 2, 3, 5])
@pytest.mark.parametrize("agreement", [0.9, 0.98])
def test_the_probabilities_are_calibrated(sessions: int, agreement: float) -> None:
    """Studies of five cells, energies ±5 %, 164 tasks; said and true frequencies, by fifths.

    Cells that agree (a correlation of 0.98) solve almost the same tasks.
    """
    generator = np.random.default_rng(30 + sessions)
    said, true = [], []
    for _ in range(500):
        energy, solved = generator.uniform(-0.05, 0.05, 5), generator.uniform(0.3, 0.6, 5)
        latent = math.sqrt(agreement) * generator.standard_normal((1, 164)) + math.sqrt(
            1 - agreement
        ) * generator.standard_normal((5, 164))
        shares = (latent < scipy_stats.norm.ppf(solved)[:, None]).astype(float)
        common = generator.normal(0, 0.15, (1, sessions, 1))
        jobs = generator.normal(0, 0.01 if sessions > 1 else 0.0, (5, sessions, 1))
        spread = 0.004 if sessions > 1 else 0.01
        runs = generator.normal(0, spread, (5, sessions, 3))
        logs = energy[:, None, None] + common + jobs + runs
        draws = FrontierDraws(energy_draws(logs.tolist(), 400), accuracy_draws(shares, 400))
        said += draws.probabilities()
        true += efficient_mask(list(zip(energy.tolist(), solved.tolist(), strict=True)))
    stated, happened = np.array(said), np.array(true, dtype=float)
    assert abs(stated.mean() - happened.mean()) < 0.03
    fifths = np.minimum((5 * stated).astype(int), 4)
    apart = [abs(float(np.sum((stated - happened)[fifths == k]))) for k in range(5)]
    assert sum(apart) / len(stated) < 0.05  # the expected calibration error
    for fifth in (0, 4):
        assert abs(float(np.mean((stated - happened)[fifths == fifth]))) < 0.05


@pytest.mark.parametrize("freedom", [1, 2, 4, 30, 1000])
def test_the_minimum_detectable_effect_has_80_percent_power(freedom: int) -> None:
    effect = minimum_detectable_effect(0.5, freedom)
    critical = scipy_stats.t.ppf(0.975, freedom)
    assert scipy_stats.nct.sf(critical, freedom, effect / 0.5) == pytest.approx(0.8, abs=1e-8)


def test_the_minimum_detectable_effect_of_a_normal_test() -> None:
    assert minimum_detectable_effect(1.0, math.inf) == pytest.approx(1.959964 + 0.841621, abs=1e-6)
    assert minimum_detectable_effect(0.0, 3) == 0


def test_the_minimum_detectable_effect_is_statsmodels() -> None:
    power = pytest.importorskip("statsmodels.stats.power").TTestPower()
    solved = power.solve_power(nobs=6, alpha=0.05, power=0.8, alternative="two-sided")
    assert minimum_detectable_effect(1 / math.sqrt(6), 5) == pytest.approx(solved, rel=1e-6)


def test_many_cells_are_compared_in_parts_that_fit_into_memory(monkeypatch) -> None:
    draw = np.random.default_rng(4)
    draws = FrontierDraws(draw.normal(size=(50, 12)), draw.normal(size=(50, 12)))
    whole = draws.probabilities()
    monkeypatch.setattr(frontier_probability, "_MOST_PAIRS", 500)
    assert draws.probabilities() == whole
