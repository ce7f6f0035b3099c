"""Findings on runs, savings and accuracy of Buis 2024, computed by hand from the tables."""

import itertools
import math
from decimal import Decimal

import pytest
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest

from tests.support.buis_tables import (
    DEEPSEEK,
    LLAMA,
    QWEN,
    RUNS,
    SIZES,
    TASKS,
    batch,
    run,
    tokens,
    values,
)


def counts(text: str) -> list[int]:
    """Numbers of solved tasks whose share rounds to the text, by exact decimals."""
    half = Decimal("0.005")
    return [k for k in range(TASKS + 1) if abs(Decimal(k) / TASKS - Decimal(text)) <= half]


def two_proportions(first: int, second: int) -> float:
    return float(proportions_ztest([first, second], [TASKS, TASKS])[1])


def test_tokens_per_task_are_the_same_at_every_batch_size() -> None:
    found = values("inert_batch_axis")
    for name, model in (("qwen", QWEN), ("llama", LLAMA), ("deepseek", DEEPSEEK)):
        by_size = [tokens(batch(model, size)) for size in (1, 4, 8)]
        assert found[f"tokens_{name}"] == pytest.approx(by_size[0])
        assert found[f"tokens_spread_{name}"] == pytest.approx(max(by_size) / min(by_size) - 1)
        assert found[f"tokens_spread_{name}"] < 0.0003
    assert [round(found[f"tokens_{name}"], 1) for name in ("qwen", "llama", "deepseek")] == [
        *(362.5, 403.9, 350.5)
    ]


def test_pass_at_1_differs_more_than_rounding_and_chance_allow() -> None:
    found = values("accuracy_of_equal_runs")
    for name, first, second in (("qwen_1_4", "0.32", "0.21"), ("deepseek_1_8", "0.29", "0.49")):
        pairs = list(itertools.product(counts(first), counts(second)))
        assert found[f"tasks_{name}"] == min(abs(a - b) for a, b in pairs)
        closest = min(pairs, key=lambda pair: abs(pair[0] - pair[1]))
        assert found[f"p_{name}"] == pytest.approx(two_proportions(*closest), rel=1e-6)
    assert found["tasks_qwen_1_4"] == 115
    assert found["p_qwen_1_4"] < 1e-7


def test_epsilon_squared_of_batch_sizes() -> None:
    found = values("batch_statements")
    for name, statistic in (("qwen", 21.30), ("llama", 17.08), ("deepseek", 2.52)):
        assert found[f"epsilon_squared_{name}"] == pytest.approx(statistic / (3 * TASKS - 1))


def test_dunns_p_values_are_adjusted_by_bonferroni() -> None:
    found = values("unnamed_adjustment")

    def squares(first: float, second: float) -> float:
        z = [stats.norm.isf(p / 2) for p in (first, second)]
        return z[0] ** 2 + z[1] ** 2 + (z[0] + z[1]) ** 2

    assert found["expected_sum"] == pytest.approx(1.5 * 21.2995)
    assert found["sum_bonferroni"] == pytest.approx(squares(0.0801 / 3, 0.0494 / 3))
    assert found["sum_bonferroni"] == pytest.approx(1.5 * 21.2995, rel=1e-3)
    assert found["sum_holm"] == pytest.approx(squares(0.0801, 0.0494 / 2))
    assert found["sum_unadjusted"] == pytest.approx(squares(0.0801, 0.0494))
    assert found["sum_bonferroni_llama"] == pytest.approx(squares(0.15 / 3, 0.09 / 3))
    assert found["sum_bonferroni_llama"] == pytest.approx(1.5 * 17.0849, rel=2e-3)


def test_squares_of_dunns_z_sum_to_half_the_groups_times_h() -> None:
    """The identity behind the finding, on numbers without ties."""
    groups = [[1, 5, 9, 14], [2, 3, 10, 11], [4, 12, 13, 15]]
    ranked = stats.rankdata([value for group in groups for value in group]).reshape(3, 4)
    variance = 12 * 13 / 12 * (2 / 4)
    means = ranked.mean(axis=1)
    z2 = sum((a - b) ** 2 / variance for a, b in itertools.combinations(means, 2))
    assert z2 == pytest.approx(1.5 * stats.kruskal(*groups).statistic)


def test_changes_of_latency_against_the_right_reference() -> None:
    found = values("wrong_reference_of_latency")
    for size in SIZES:
        for suffix in ("AWQ", "GPTQ-Int8", "GPTQ-Int4"):
            latency = run(f"{size}-Instruct-{suffix}")["Latency"]
            wrong, right = run(size)["Latency"], run(f"{size}-Instruct")["Latency"]
            name = f"{size}_{suffix}"
            assert found[f"printed_{name}"] == pytest.approx(100 * (latency / wrong - 1))
            assert found[f"right_{name}"] == pytest.approx(100 * (latency / right - 1))
    assert found["mixed_power_14b_w"] == pytest.approx(1.35e3 / (369.58 / 60), rel=1e-4)
    assert found["right_power_14b_w"] == pytest.approx(1.35e3 / (290.87 / 60), rel=1e-4)


def test_the_largest_savings() -> None:
    found = values("disagreeing_savings")
    exact = {
        "fine_tuning": ("1.35", "1.68"),
        "AWQ": ("0.27", "0.82"),
        "GPTQ-Int8": ("0.79", "1.35"),
        "GPTQ-Int4": ("0.46", "1.35"),
    }
    half = Decimal("0.005")
    for name, (new, old) in exact.items():
        low = 100 * (1 - (Decimal(new) + half) / (Decimal(old) - half))
        high = 100 * (1 - (Decimal(new) - half) / (Decimal(old) + half))
        assert found[f"largest_{name}"] == pytest.approx(
            float(100 * (1 - Decimal(new) / Decimal(old)))
        )
        assert (found[f"low_{name}"], found[f"high_{name}"]) == pytest.approx(
            (float(low), float(high))
        )
    every = {
        suffix: [
            1
            - run(f"{size}-Instruct-{suffix}")["Energy consumption"]
            / run(f"{size}-Instruct")["Energy consumption"]
            for size in SIZES
        ]
        for suffix in ("AWQ", "GPTQ-Int8", "GPTQ-Int4")
    }
    for suffix, savings in every.items():
        assert found[f"largest_{suffix}"] == pytest.approx(100 * max(savings))
        for size, saving in zip(SIZES, savings, strict=True):
            assert values("larger_models_save_more")[f"{suffix}_{size}"] == pytest.approx(
                100 * saving
            )
    assert not found["low_GPTQ-Int4"] - 0.5 <= 67 - 0.5 <= found["high_GPTQ-Int4"]


def test_llama_over_deepseek() -> None:
    found = values("llama_over_deepseek")
    assert found["of_rounded"] == pytest.approx(130.769, abs=1e-3)
    assert found["of_means"] == pytest.approx(134.221, abs=1e-3)
    assert found["low"] == pytest.approx(100 * (0.895 / 0.395 - 1))
    assert found["high"] == pytest.approx(100 * (0.905 / 0.385 - 1))


def test_energy_splits_into_tokens_and_energy_per_token() -> None:
    tuned, quantised = values("fine_tuning_and_tokens"), values("tokens_of_quantised_models")
    for size in SIZES:
        base, instruct = run(size), run(f"{size}-Instruct")
        energy = instruct["Energy consumption"] / base["Energy consumption"]
        longer = tokens(instruct) / tokens(base)
        assert tuned[f"energy_{size}"] == pytest.approx(100 * (energy - 1))
        assert tuned[f"tokens_{size}"] == pytest.approx(100 * (longer - 1), abs=1e-3)
        assert tuned[f"per_token_{size}"] == pytest.approx(100 * (energy / longer - 1), abs=0.5)
        awq = run(f"{size}-Instruct-AWQ")
        shorter = tokens(awq) / tokens(instruct)
        saved = awq["Energy consumption"] / instruct["Energy consumption"]
        assert quantised[f"tokens_{size}_AWQ"] == pytest.approx(100 * (shorter - 1), abs=1e-3)
        assert quantised[f"per_token_{size}_AWQ"] == pytest.approx(
            100 * (1 - saved / shorter), abs=0.6
        )
    assert tuned["token_share_14B"] == pytest.approx(
        math.log(tokens(run("14B-Instruct")) / tokens(run("14B"))) / math.log(1.35 / 1.68), rel=1e-3
    )
    assert [round(quantised[f"tokens_{size}_AWQ"]) for size in SIZES] == [-3, -23, -16, -7, 14]


def test_two_proportion_tests_of_quantised_models() -> None:
    found = values("accuracy_of_quantised_models")
    for size in SIZES:
        for suffix in ("AWQ", "GPTQ-Int8", "GPTQ-Int4"):
            shares = [run(f"{size}-Instruct{kind}")["Pass@1"] for kind in ("", f"-{suffix}")]
            p = two_proportions(*(round(share * TASKS) for share in shares))
            assert found[f"p_{size}_{suffix}"] == pytest.approx(p, rel=1e-6, abs=1e-40)
    pairs = itertools.product(counts("0.45"), counts("0.41"))
    ps = [two_proportions(*pair) for pair in pairs]
    assert found["smallest_p_7B_AWQ"] == pytest.approx(min(ps))
    assert found["largest_p_7B_AWQ"] == pytest.approx(max(ps))
    assert min(ps) < 0.05 < max(ps)
    power = stats.norm.sf(stats.norm.isf(0.025) - 0.03 / math.sqrt(2 * 0.4 * 0.6 / TASKS))
    assert found["found_loss_of_0.03"] == pytest.approx(power)


def test_accuracy_of_3b_and_7b() -> None:
    found = values("size_and_accuracy")
    assert found["p_3b_7b"] == pytest.approx(two_proportions(399, 353))
    assert found["largest_p_3b_7b"] == pytest.approx(
        two_proportions(min(counts("0.35")), max(counts("0.31")))
    )


def test_pass_per_kwh_falls_with_size_and_is_uncertain_for_small_models() -> None:
    falling = [values("pass_per_kwh_and_size")[size] for size in SIZES]
    assert falling == sorted(falling, reverse=True)
    low, high = 0.095 / 0.085, 0.105 / 0.075
    assert values("rounded_pass_per_kwh")["0.5B"] == pytest.approx((high - low) / (high + low))


def test_the_efficient_frontier() -> None:
    points = RUNS[RUNS.index.get_level_values("table") != "5.18"]
    source = {"5.24": "", "5.29": "Instruct", "5.34": "AWQ", "5.40": "GPTQ"}
    keep = [
        (table == "5.24")
        if "Instruct" not in row
        else row.endswith("Instruct") == (table == "5.29")
        for table, _, row in points.index
    ]
    points = points[keep]
    assert set(points.index.get_level_values("table")) == set(source)
    frontier = []
    for label, cells in points.iterrows():
        others = points.drop(index=label)
        at_most = others["Energy consumption"] <= cells["Energy consumption"]
        better = at_most & (others["Pass@1"] > cells["Pass@1"])
        cheaper = (others["Energy consumption"] < cells["Energy consumption"]) & (
            others["Pass@1"] >= cells["Pass@1"]
        )
        if not (better | cheaper).any():
            frontier.append(label[2])
    found = values("efficient_frontier")
    assert (found["runs"], found["frontier"]) == (len(points), len(frontier)) == (25, 10)
    assert found["gptq"] == sum("GPTQ" in label for label in frontier) == 7
    assert [label for label in frontier if "Instruct" not in label] == ["0.5B"]


def test_energy_is_linear_in_the_parameters_but_not_proportional() -> None:
    # Parameters as the publisher's checkpoints have them, in billions.
    parameters = [0.494032768, 1.543714304, 3.085938688, 7.615616512, 14.770033664]
    for name, suffix in (("base", ""), ("instruct", "-Instruct")):
        cells = [run(f"{size}{suffix}") for size in SIZES]
        joules = [3.6e6 * one["Energy consumption"] / TASKS / tokens(one) for one in cells]
        line = stats.linregress(parameters, joules)
        found = values("energy_and_size")
        assert found[f"r2_{name}"] == pytest.approx(line.rvalue**2, abs=2e-4)
        # The finding uses the middles of what rounding allows.
        assert found[f"fixed_j_{name}"] == pytest.approx(line.intercept, abs=0.01)
        power = stats.linregress(logs(parameters), logs(joules))
        assert found[f"exponent_{name}"] == pytest.approx(power.slope, abs=5e-3)
        assert found[f"exponent_{name}"] < 1


def logs(numbers: list[float]) -> list[float]:
    return [math.log(number) for number in numbers]


def test_llama_is_below_deepseek_at_every_batch_size() -> None:
    found = values("llama_below_deepseek")
    for size in (1, 4, 8):
        shares = [f"{batch(model, size)['Pass@1']:.2f}" for model in (LLAMA, DEEPSEEK)]
        assert found[f"difference_{size}"] == pytest.approx(float(shares[0]) - float(shares[1]))
        nearest = max(counts(shares[0])), min(counts(shares[1]))
        assert found[f"largest_p_{size}"] == pytest.approx(two_proportions(*nearest))
        assert found[f"largest_p_{size}"] < 0.05
