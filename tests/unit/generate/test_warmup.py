"""Warm-up: some batches, or one batch again until its time is steady; batch times are given."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewatt.generate.warmup import coefficient_of_variation, warm_up

STEADY: dict[str, Any] = {"batches": 1, "max_cv": 0.02, "window_batches": 5, "max_batches": 50}
FIXED: dict[str, Any] = {**STEADY, "max_cv": None}


def engine(times_s: Sequence[float]) -> tuple[Callable[[int], float], list[int]]:
    """A function that completes a batch in the next of the given times, and the batches it did."""
    done: list[int] = []

    def complete_batch(number: int) -> float:
        done.append(number)
        return times_s[len(done) - 1]

    return complete_batch, done


@pytest.mark.parametrize(
    ("batches", "expected"), [(0, []), (1, [0]), (3, [0, 1, 2]), (9, [*"0123"])]
)
def test_a_fixed_warm_up_completes_the_first_batches(batches: int, expected: list[Any]) -> None:
    complete, done = engine([5.0, 1.0, 3.0, 2.0])
    found = warm_up(complete, 4, {**FIXED, "batches": batches})
    assert done == [int(number) for number in expected]
    assert found == {"batches": len(done), "repeated_batch_s": [], "cv": None, "steady": None}


def test_one_batch_is_repeated_until_its_last_times_are_alike() -> None:
    times_s = [9.0, 2.0, 1.10, 1.02, 1.01, 1.00, 1.01, 1.00]
    complete, done = engine(times_s)
    found = warm_up(complete, 4, STEADY)
    assert done == [0] * 8, "the last five are the first with a CV of at most 2 %"
    assert found["batches"] == 8
    assert found["repeated_batch_s"] == times_s
    assert found["steady"] is True
    assert found["cv"] == pytest.approx(np.std(times_s[-5:], ddof=1) / np.mean(times_s[-5:]))
    assert np.std(times_s[-6:-1], ddof=1) / np.mean(times_s[-6:-1]) > 0.02


def test_the_last_of_the_first_batches_is_the_one_that_is_repeated() -> None:
    complete, done = engine([9.0, 8.0] + [1.0] * 20)
    found = warm_up(complete, 4, {**STEADY, "batches": 3})
    assert done == [0, 1, 2, 2, 2, 2, 2]
    assert (found["batches"], found["repeated_batch_s"]) == (7, [1.0] * 5)
    complete, done = engine([1.0] * 20)
    assert warm_up(complete, 1, {**STEADY, "batches": 3})["batches"] == 5
    assert done == [0] * 5, "a benchmark of one batch"


def test_a_warm_up_ends_at_its_limit_and_says_that_it_is_not_steady() -> None:
    complete, done = engine([1.0, 1.3] * 40)
    found = warm_up(complete, 4, {**STEADY, "max_batches": 12})
    assert len(done) == found["batches"] == 12
    assert found["steady"] is False
    assert found["cv"] == pytest.approx(np.std([1.3, 1, 1.3, 1, 1.3], ddof=1) / 1.18)


times = st.lists(st.floats(0.01, 100), min_size=30, max_size=30)


@given(times, st.integers(2, 10), st.integers(0, 4), st.floats(0.001, 1))
def test_no_batch_is_repeated_once_the_times_are_steady(
    times_s: list[float], window: int, batches: int, max_cv: float
) -> None:
    """Against a search of all windows with numpy."""
    limit = max(batches, 1) - 1 + window + 8
    settings: Any = {
        "batches": batches, "max_cv": max_cv, "window_batches": window, "max_batches": limit,
    }  # fmt: skip
    complete, done = engine(times_s)
    found = warm_up(complete, 6, settings)
    first = max(batches, 1) - 1
    cvs = {
        end: float(
            np.std(times_s[end - window : end], ddof=1) / np.mean(times_s[end - window : end])
        )
        for end in range(first + window, limit + 1)
    }
    ends = [end for end, cv in cvs.items() if cv <= max_cv * (1 - 1e-9)]
    expected = ends[0] if ends else limit
    if all(abs(cv - max_cv) > 1e-9 * max_cv for cv in cvs.values()):
        assert len(done) == found["batches"] == expected
        assert found["steady"] is bool(ends)
    assert found["cv"] == pytest.approx(cvs[found["batches"]])


def test_the_coefficient_of_variation_is_that_of_a_sample() -> None:
    assert coefficient_of_variation([1.0, 2.0, 3.0]) == pytest.approx(0.5)
