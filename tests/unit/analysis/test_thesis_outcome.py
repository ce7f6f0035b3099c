"""The published regressions of Buis (2024) fit the outcome ln(1 + Wh), and no other logarithm.

docs/explanation/statistical-tests.md states this. A model without an intercept depends on the unit
of its outcome: at the mean of its regressors it predicts about the mean of its outcome.
"""

import math

import pytest
from scipy import stats

#: Share of the 1,140 tasks that have each domain (table 5.1): Computation, Cryptography, Network,
#: System, Time, Visualization.
SHARES = (0.648, 0.051, 0.082, 0.955, 0.161, 0.348)
TASKS = 1140
#: Coefficients of tokens, of the previous task and of the domains (tables 5.5 to 5.13); energy
#: (kWh), run time (min) and tokens/s of the run (table 5.18).
PUBLISHED = {
    "Qwen-Coder 1": (
        0.0009, 0.1336, (0.0443, 0.0545, -0.0029, 0.0773, 0.0199, 0.0303), 0.79, 174.67, 39.43,
    ),
    "Qwen-Coder 4": (
        0.0009, 0.1208, (0.0452, 0.0517, -0.0022, 0.0767, 0.0231, 0.0309), 0.79, 174.62, 39.44,
    ),
    "Qwen-Coder 8": (
        0.0009, 0.1285, (0.0453, 0.0554, -0.0031, 0.0774, 0.0203, 0.0322), 0.80, 174.62, 39.44,
    ),
    "Llama 1": (
        0.0008, 0.1405, (0.0510, 0.0310, -0.0140, 0.1216, 0.0110, 0.0514), 0.90, 201.23, 38.14,
    ),
    "Llama 4": (
        0.0008, 0.1415, (0.0508, 0.0323, -0.0132, 0.1209, 0.0099, 0.0514), 0.90, 201.20, 38.14,
    ),
    "Llama 8": (
        0.0008, 0.1412, (0.0525, 0.0298, -0.0141, 0.1203, 0.0118, 0.0500), 0.91, 201.03, 38.17,
    ),
    "DeepSeek 1": (
        0.0006, 0.0897, (0.0191, 0.0265, -0.0036, 0.0395, 0.0111, 0.0254), 0.39, 108.25, 61.52,
    ),
    "DeepSeek 4": (
        0.0006, 0.0922, (0.0189, 0.0255, -0.0034, 0.0404, 0.0135, 0.0264), 0.39, 108.33, 61.47,
    ),
    "DeepSeek 8": (
        0.0006, 0.0928, (0.0186, 0.0269, 0.0006, 0.0408, 0.0138, 0.0281), 0.39, 108.45, 61.41,
    ),
}  # fmt: skip


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_predicted_mean_outcome_is_ln_of_1_plus_wh(model):
    per_token, lag, domains, kwh, minutes, rate = PUBLISHED[model]
    tokens = minutes * 60 * rate / TASKS
    of_domains = sum(c * share for c, share in zip(domains, SHARES, strict=True))
    rounding = 0.00005  # of the coefficient of tokens
    low, high = (
        ((per_token + side * rounding) * tokens + of_domains) / (1 - lag) for side in (-1, 1)
    )
    wh = 1000 * kwh / TASKS
    assert low < math.log1p(wh) < high
    for other in (math.log(wh), math.log(3600 * wh), math.log1p(3.6 * wh), math.log(3.6 * wh)):
        assert not low - 0.03 < other < high + 0.03


@pytest.mark.parametrize(("aic", "bic"), [(-2792, -2752), (-2598, -2557), (-3931, -3891)])
def test_information_criteria_are_those_of_eight_coefficients_and_all_tasks(aic, bic):
    """BIC - AIC = k (ln n - 2), each rounded to a whole number."""
    assert bic - aic == pytest.approx(8 * (math.log(TASKS) - 2), abs=1)


def test_p_values_of_the_published_levene_and_kruskal_wallis_tests_are_reproduced():
    """Their degrees of freedom show what was compared: two halves, and three batch sizes."""
    assert stats.f.sf(1.77, 1, TASKS - 2) == pytest.approx(0.18, abs=0.005)
    assert stats.f.sf(2.44, 1, TASKS - 2) == pytest.approx(0.12, abs=0.005)
    assert stats.f.sf(0.1018, 2, 3 * TASKS - 3) == pytest.approx(0.9032, abs=5e-5)
    assert stats.chi2.sf(21.2995, 2) == pytest.approx(2.3707e-5, rel=1e-4)
    assert stats.chi2.sf(2.5155, 2) == pytest.approx(0.2843, abs=5e-5)
