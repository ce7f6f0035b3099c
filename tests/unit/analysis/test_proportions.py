"""Proportions of tasks: intervals and tests equal published examples and numerical solutions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy import stats as scipy_stats

from codewatt.analysis.proportions import (
    PairedCounts,
    fewest_tasks,
    mcnemar_p,
    noninferiority_p,
    paired_ratio_interval,
    shares_difference,
    tango_interval,
    tango_statistic,
    wilson_interval,
)

#: Fagerland, Lydersen and Laake 2017, "Statistical Analysis of Contingency Tables", chapter 8:
#: airway hyper-responsiveness (Bentur et al. 2009) and complete response (Cavo et al. 2012), as
#: both, row only, column only, neither.
BENTUR, CAVO = PairedCounts(1, 1, 7, 12), PairedCounts(59, 6, 16, 80)


def test_wilson_equals_the_published_example() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I: 81 of 263 gives 0.2553 to 0.3662.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_wilson_equals_scipys(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    want = scipy_stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((want.low, want.high), abs=1e-9)


@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_lies_in_the_unit_interval_around_the_share(trials: int, share: float) -> None:
    low, high = wilson_interval(share * trials, trials)
    assert 0 <= low <= share * trials / trials <= high <= 1
    assert high > low


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (0, 0)])
def test_wilson_refuses_what_is_no_proportion(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="need at least 1 trial"):
        wilson_interval(successes, trials)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(lost: int, gained: int) -> None:
    if lost + gained == 0:
        assert mcnemar_p(lost, gained) == 1.0
        return
    want = scipy_stats.binomtest(lost, lost + gained).pvalue
    assert mcnemar_p(lost, gained) == pytest.approx(want, rel=1e-9)


def test_mcnemar_takes_thousands_of_tasks() -> None:
    want = scipy_stats.binomtest(1400, 3000).pvalue
    assert mcnemar_p(1400, 1600) == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize(
    ("counts", "limits"), [(BENTUR, (-0.517, -0.026)), (CAVO, (-0.1240, -0.0054))]
)
def test_tangos_interval_is_the_published_one(
    counts: PairedCounts, limits: tuple[float, float]
) -> None:
    assert tango_interval(counts) == pytest.approx(limits, abs=5e-4)


def restricted_statistic(counts: PairedCounts, difference: float) -> float:
    """Tango's statistic with the nuisance parameter found by maximising the likelihood."""

    def minus_log_likelihood(losing: float) -> float:
        gaining = losing + difference
        rest = 1 - losing - gaining
        cells = (
            (counts.gained, gaining),
            (counts.lost, losing),
            (counts.both + counts.neither, rest),
        )
        return -sum(count * math.log(max(p, 1e-300)) for count, p in cells if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    found = optimize.minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    )
    variance = counts.tasks * (2 * found.x + difference - difference**2)
    excess = counts.gained - counts.lost - counts.tasks * difference
    return float(excess / math.sqrt(variance))


counts_of_tasks = st.tuples(*[st.integers(0, 80)] * 4).filter(any).map(lambda c: PairedCounts(*c))


@given(counts_of_tasks, st.floats(-0.8, 0.8).filter(lambda d: abs(d) > 0.01))
def test_tangos_statistic_is_that_of_the_maximum_likelihood(
    counts: PairedCounts, difference: float
) -> None:
    want = restricted_statistic(counts, difference)
    assert tango_statistic(counts, difference) == pytest.approx(want, rel=1e-3, abs=1e-3)


@given(counts_of_tasks)
def test_tangos_interval_holds_the_difference_and_has_a_width(counts: PairedCounts) -> None:
    low, high = tango_interval(counts)
    assert -1 <= low <= counts.difference <= high <= 1
    assert high > low


@given(counts_of_tasks)
def test_tangos_interval_turns_with_its_sides(counts: PairedCounts) -> None:
    low, high = tango_interval(counts)
    turned = PairedCounts(counts.both, counts.lost, counts.gained, counts.neither)
    assert tango_interval(turned) == pytest.approx((-high, -low), abs=1e-9)


@given(counts_of_tasks, st.floats(0.005, 0.3))
def test_noninferiority_is_shown_where_the_interval_ends_above_the_margin(
    counts: PairedCounts, margin: float
) -> None:
    low, _ = tango_interval(counts)
    p = noninferiority_p(counts, margin)
    if abs(low + margin) > 1e-6:
        assert (p < 0.025) == (low > -margin)


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_too_few_tasks_cannot_show_noninferiority_with_equal_verdicts(
    margin: float, share: float
) -> None:
    needed = fewest_tasks(margin)
    for tasks, shown in ((needed, True), (needed - 1, False)):
        both = round(share * tasks)
        p = noninferiority_p(PairedCounts(both, 0, 0, tasks - both), margin)
        assert (p < 0.025) is shown


def test_the_paired_ratio_is_the_published_one() -> None:
    assert paired_ratio_interval(CAVO) == pytest.approx((0.7579, 0.9910), abs=5e-5)


@given(counts_of_tasks)
def test_the_paired_ratio_holds_the_ratio(counts: PairedCounts) -> None:
    ours, base = counts.both + counts.gained, counts.both + counts.lost
    found = paired_ratio_interval(counts)
    if base == 0:
        assert found is None
        return
    assert found is not None
    assert 0 <= found[0] <= ours / base + 1e-12
    assert found[1] >= ours / base - 1e-12


def test_differences_of_shares_are_agresti_and_mins_where_shares_are_whole() -> None:
    # Agresti and Min 2005: half a task is added to each of the four counts, then Wald's interval.
    both, gained, lost, neither = 10, 3, 8, 19
    differences = [1.0] * gained + [-1.0] * lost + [0.0] * (both + neither)
    n, b, c = len(differences) + 2, gained + 0.5, lost + 0.5
    point = (b - c) / n
    half = 1.959963984540054 * math.sqrt(b + c - (b - c) ** 2 / n) / n
    found = shares_difference(differences)
    assert found.difference == pytest.approx((gained - lost) / 40)
    assert found.ci95 == pytest.approx((point - half, point + half))


def test_differences_of_shares_cover_the_truth() -> None:
    generator = np.random.default_rng(1)
    truth, covered, draws, tasks = -0.05, 0, 2000, 60
    for _ in range(draws):
        ability = generator.beta(1, 2, size=tasks) * 0.9 + 0.05
        ours = generator.binomial(4, ability + truth) / 4
        base = generator.binomial(4, ability) / 4
        low, high = shares_difference(list(ours - base)).ci95
        covered += low <= truth <= high
    assert covered / draws >= 0.94


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (3, -1, 0, 0)])
def test_counts_that_are_none_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be 0 or more, and not all 0"):
        PairedCounts(*counts)
