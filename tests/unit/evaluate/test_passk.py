"""pass@k is the exact unbiased estimate."""

from itertools import combinations
from math import comb, isclose

import pytest

from codewatt.evaluate.pass_at_k import mean_pass_at_k, pass_at_k


@pytest.mark.parametrize("n", range(1, 8))
def test_it_is_the_share_of_draws_that_hold_a_right_sample(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            draws = list(combinations(range(n), k))
            share = sum(any(sample < c for sample in draw) for draw in draws) / len(draws)
            assert isclose(pass_at_k(n, c, k), share, abs_tol=1e-12)


def test_it_is_stable_where_binomials_overflow_a_float() -> None:
    exact = 1 - comb(100_000 - 5, 1000) / comb(100_000, 1000)
    assert isclose(pass_at_k(100_000, 5, 1000), exact, rel_tol=1e-9)


@pytest.mark.parametrize(("n", "c", "k"), [(0, 0, 1), (1, 2, 1), (3, 1, 4), (3, 1, 0), (3, -1, 1)])
def test_it_is_not_defined_elsewhere(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k is not defined"):
        pass_at_k(n, c, k)


def test_the_mean_is_absent_where_a_task_has_too_few_samples() -> None:
    assert mean_pass_at_k([(2, 1), (1, 1)], 1) == 0.75
    assert mean_pass_at_k([(2, 1), (1, 1)], 2) is None
    assert mean_pass_at_k([], 1) is None
