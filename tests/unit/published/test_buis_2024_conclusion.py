"""Findings on claims of abstract and conclusion of Buis 2024, computed by hand from the tables."""

import math
from itertools import combinations

import pandas as pd
import pytest
from statsmodels.stats.proportion import proportions_ztest

from codewatt.published.buis_2024.statements import STATEMENTS
from codewatt.published.finding import BOUNDED, CONTRADICTED, HOLDS, NOT_SHOWN
from tests.support.buis_tables import FOUND, RUNS, SIZES, TASKS, printed, run, values

SUFFIXES = ("AWQ", "GPTQ-Int8", "GPTQ-Int4")


def savings(suffix: str) -> list[float]:
    return [
        1
        - run(f"{size}-Instruct-{suffix}")["Energy consumption"]
        / run(f"{size}-Instruct")["Energy consumption"]
        for size in SIZES
    ]


def test_verdicts_of_claims() -> None:
    verdicts = {one.quote: FOUND[one.finding].verdict for one in STATEMENTS}
    assert len(verdicts) == len(STATEMENTS) == 24
    assert verdicts["has been shown to achieve energy savings"] == BOUNDED
    assert verdicts["not only increase the accuracy of models"] == CONTRADICTED
    assert verdicts["unit testing ensured the correctness and functionality preservation"] == (
        NOT_SHOWN
    )
    larger = "Larger models tend to show larger relative reductions in energy consumption"
    assert verdicts[larger] == HOLDS


def test_larger_models_save_more_in_most_pairs() -> None:
    found = values("larger_models_save_more")
    pairs = [
        large > small for suffix in SUFFIXES for small, large in combinations(savings(suffix), 2)
    ]
    assert (found["larger_saves_more"], found["pairs"]) == (sum(pairs), len(pairs)) == (27, 30)


def test_quantised_runs_are_shorter_from_1_5b_on() -> None:
    found = values("quantised_models_save")
    for suffix in SUFFIXES:
        for size, saving in zip(SIZES, savings(suffix), strict=True):
            assert found[f"saving_{suffix}_{size}"] == pytest.approx(100 * saving)
            ratio = run(f"{size}-Instruct-{suffix}")["Latency"] / run(f"{size}-Instruct")["Latency"]
            assert found[f"time_{suffix}_{size}"] == pytest.approx(100 * (ratio - 1))
            assert (ratio > 1) == (size == "0.5B")
    assert found["saving"] == 14


def test_fine_tuning_raises_pass_at_1_of_three_sizes() -> None:
    found = values("fine_tuning_and_accuracy")
    for size in SIZES:
        old, new = run(size)["Pass@1"], run(f"{size}-Instruct")["Pass@1"]
        assert found[f"change_{size}"] == pytest.approx(new - old)
        counts = [round(new * TASKS), round(old * TASKS)]
        assert found[f"p_{size}"] == pytest.approx(proportions_ztest(counts, [TASKS] * 2)[1])
    assert found["higher"] == 3


def test_domains_that_are_significant_in_every_regression() -> None:
    found = values("domains_and_energy")
    table = printed("regressions.csv")
    table = table[table["table"].isin([f"5.{number}" for number in range(5, 14)])]
    domains = ("Computation", "Cryptography", "Network", "System", "Time", "Visualization")
    always = []
    for name in domains:
        rows = table[table["row"] == name]
        p = pd.to_numeric(rows[rows["column"] == "P>|z|"]["printed"])
        assert found[name] == (p < 0.05).sum()
        if (p < 0.05).all():
            always += list(pd.to_numeric(rows[rows["column"] == "Coef."]["printed"]))
    assert found["low_percent"] == pytest.approx(100 * (math.exp(min(always)) - 1))
    assert found["high_percent"] == pytest.approx(100 * (math.exp(max(always)) - 1))
    assert (found["System"], found["Time"], found["Network"]) == (9, 6, 0)


def test_spread_of_repeated_runs_and_failing_programs() -> None:
    energies = RUNS.loc["5.18"]["Energy consumption"].groupby(level="section")
    spread = 100 * (energies.max() / energies.min() - 1).max()
    assert values("software_measurement")["largest_spread"] == pytest.approx(spread)
    passes = values("unit_tests_and_correctness")
    assert (passes["low_pass"], passes["high_pass"]) == (RUNS["Pass@1"].min(), 0.52)


def test_order_of_runs_by_pass_per_kwh() -> None:
    found = values("pass_per_kwh_and_trade_off")
    labels = [label for size in SIZES for label in (size, f"{size}-Instruct")]
    labels += [f"{size}-Instruct-{suffix}" for size in SIZES for suffix in SUFFIXES]
    rates = {one: run(one)["Pass@1"] / run(one)["Energy consumption"] for one in labels}
    ranks = pd.Series(rates).rank(ascending=False)
    assert len(ranks) == 25
    for label in ("0.5B", "14B-Instruct-GPTQ-Int4", "14B-Instruct-GPTQ-Int8"):
        assert found[f"rank_{label}"] == ranks[label]
    assert (found["frontier"], found["frontier_in_first"]) == (10, 8)
