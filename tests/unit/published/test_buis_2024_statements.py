"""Findings on regressions, tests, estimates and measurement of Buis 2024, computed by hand."""

import math

import pandas as pd
import pytest
from scipy import stats

from tests.support.buis_tables import (
    DEEPSEEK,
    LLAMA,
    QWEN,
    RUNS,
    SIZES,
    TASKS,
    batch,
    frame,
    printed,
    run,
    tokens,
    values,
)

REGRESSIONS = [f"5.{number}" for number in range(5, 14)]
DOMAINS = ("Computation", "Cryptography", "Network", "System", "Time", "Visualization")


def coefficients(row: str) -> list[float]:
    found = printed("regressions.csv")
    found = found[(found["row"] == row) & (found["column"] == "Coef.")]
    return [float(text) for text in found["printed"]]


def test_shares_of_domains() -> None:
    found = values("domain_shares")
    own = printed("bigcodebench_domains.csv").set_index("domain")
    for row in printed("domains.csv").itertuples():
        assert found[f"printed_{row.row}"] == float(str(row.printed).rstrip("%"))
        assert found[f"own_{row.row}"] == pytest.approx(int(own.loc[row.row, "tasks"]) / 11.4)
        assert found[f"substring_{row.row}"] == pytest.approx(
            int(own.loc[row.row, "substring_tasks"]) / 11.4
        )
    assert (found["own_General"], found["own_System"]) == pytest.approx((44.21, 29.65), abs=0.01)
    assert (found["substring_General"], round(found["substring_System"])) == (100, 93)


def test_r2_about_the_mean_is_lower_than_the_uncentred_one() -> None:
    """Gaussian log-likelihood: LL = -n/2 (ln(2 pi s2) + 1)."""
    found = values("uncentred_r2")
    residual = found["residual_variance"]
    assert -TASKS / 2 * (math.log(2 * math.pi * residual) + 1) == pytest.approx(1404.1)
    assert found["mean_square"] * (1 - 0.982) == pytest.approx(residual)
    rows = dict(zip(DOMAINS, (0.648, 0.051, 0.082, 0.955, 0.161, 0.348), strict=True))
    slopes = {name: coefficients(name)[0] for name in DOMAINS}
    mean = 0.0009 * tokens(batch(QWEN, 1)) + sum(slopes[name] * rows[name] for name in DOMAINS)
    mean /= 1 - 0.1336
    assert found["mean_printed"] == pytest.approx(mean)
    assert found["constant_r2_printed"] == pytest.approx(mean**2 / found["mean_square"])
    total = found["mean_square"] - mean**2
    assert found["centred_r2_printed"] == pytest.approx(1 - residual / total)
    assert found["centred_r2_own"] < 0.982


def test_ranges_of_coefficients() -> None:
    found = values("ranges_of_coefficients")
    for row in ("solution tokens", "log_energy_lag1", "Cryptography", "Time", "System"):
        assert found[f"low_{row}"] == min(coefficients(row))
        assert found[f"high_{row}"] == max(coefficients(row))
    assert (found["low_f"], found["high_f"]) == (6955, 9578)
    assert found["outside"] == 4
    time = printed("regressions.csv").query("row == 'Time' and column == 'P>|z|'")
    assert found["time_significant"] == sum(float(p) < 0.05 for p in time["printed"]) == 6


def test_system_has_the_largest_coefficient_in_every_regression() -> None:
    found = values("domains_in_the_conclusion")
    largest = [
        max(DOMAINS, key=lambda name, index=index: coefficients(name)[index])
        for index in range(len(REGRESSIONS))
    ]
    assert largest == ["System"] * 9
    assert found["system_largest"] == 9


def test_only_1140_observations_agree_with_every_jarque_bera_statistic() -> None:
    found = values("observations_of_the_regressions")
    assert math.ceil(found["low"]) == math.floor(found["high"]) == TASKS
    agreeing = []
    for n in range(1130, 1150):
        fits = []
        for table in REGRESSIONS:
            cells = printed("regressions.csv")
            cells = cells[cells["table"] == table].set_index("row")["printed"]
            if "Skew" not in cells:
                continue
            skew, kurtosis = float(cells["Skew"]), float(cells["Kurtosis"])
            statistic = float(cells["Jarque-Bera (JB)"])
            ends = [
                n / 6 * ((abs(skew) + s) ** 2 + (kurtosis - 3 + s) ** 2 / 4)
                for s in (-0.0005, 0.0005)
            ]
            fits.append(ends[0] - 0.0005 <= statistic <= ends[1] + 0.0005)
        if all(fits):
            agreeing.append(n)
    assert agreeing == [TASKS]


def test_statements_on_variances_p_values_and_normality() -> None:
    tests = printed("tests.csv")
    p = tests[tests["column"] == "p-value"].copy()
    p["p"] = p["printed"].str.replace("< ", "").astype(float)
    significant = p[p["p"] < 0.05].groupby("table").size()
    found = values("statements_on_variances")
    assert [found[f"significant_{table}"] for table in ("5.4", "5.27", "5.37")] == [3, 2, 4]
    assert [significant[table] for table in ("5.4", "5.27", "5.37")] == [3, 2, 4]
    assert values("p_values_of_fine_tuning")["3B"] == 0.01
    assert stats.chi2.sf(6.95, 1) == pytest.approx(0.0084, abs=5e-5)
    normality = values("normality_and_precision")
    rises = [size for size in SIZES if normality[f"{size}_Int4"] >= normality[f"{size}_Int8"]]
    assert rises == ["14B"]


def test_prefill_of_quantised_models() -> None:
    found = values("prefill_compute_of_quantised_models")
    rows = frame("estimates.csv", "5.35").droplevel([0, 1])
    times = rows["TTFT"] - rows["TPOT"]
    for name in ("Int8", "Int4"):
        row = f"14B-Instruct-GPTQ-{name}"
        assert found[f"time_factor_{name}"] == pytest.approx(times["14B-Instruct"] / times[row])
        assert found[f"compute_factor_{name}"] == pytest.approx(
            rows["Prefill compute"]["14B-Instruct"] / rows["Prefill compute"][row]
        )
    assert round(found["time_factor_Int8"]) == 2 * found["compute_factor_Int8"]
    assert round(found["time_factor_Int4"]) == 2 * found["compute_factor_Int4"]


def test_awq_is_estimated_like_int8() -> None:
    found = values("awq_counted_as_8_bits")
    assert found["equal"] == found["compared"] == 40
    awq, gptq = (frame("estimates.csv", table).droplevel([0, 1]) for table in ("5.30", "5.35"))
    for size in SIZES:
        first, second = awq.loc[f"{size}-Instruct-AWQ"], gptq.loc[f"{size}-Instruct-GPTQ-Int8"]
        assert (abs(first - second) <= 0.00055).all()


def test_units_and_rules_of_estimates() -> None:
    found = values("unit_of_estimated_times")
    low, high = (10.735 - 0.0425) / 0.0165, (10.745 - 0.0415) / 0.0155
    assert found["tokens_if_seconds"] == pytest.approx((low + high) / 2, rel=1e-3)
    assert found["tokens_if_ms"] == pytest.approx(1000 * found["tokens_if_seconds"])
    assert found["measured_7b"] == pytest.approx(tokens(run("7B")), rel=1e-6)
    rows = frame("estimates.csv", "5.14").droplevel([0, 1])
    for row, ratio in (rows["VRAM"] / rows["Decode compute"]).items():
        assert ratio == pytest.approx(1.2, abs=1e-3)
        assert values("two_rules_of_vram")[f"ratio_{row}"] == pytest.approx(1.2, abs=1e-3)


def test_experts_that_a_token_does_not_use() -> None:
    found = values("all_experts_counted")
    assert found["inactive_billion"] == pytest.approx(26 * 58 * 3 * 2048 * 1408 / 1e9)
    assert found["active_billion"] == pytest.approx(15.8 - found["inactive_billion"])
    for row, model, tpot in (
        ("Qwen2.5-Coder-7B", QWEN, 16.24),
        ("Meta-Llama-3.1-8B", LLAMA, 18.56),
        ("DeepSeek-V2-Lite-16B", DEEPSEEK, 36.66),
    ):
        assert found[f"estimated_{row}"] == pytest.approx(1000 / tpot)
        assert found[f"measured_{row}"] == batch(model, 1)["Throughput"]
    assert found["measured_DeepSeek-V2-Lite-16B"] > 2 * found["estimated_DeepSeek-V2-Lite-16B"]


def test_printed_formulas_of_size() -> None:
    found = values("formulas_of_size")
    assert found["ffn_per_layer"] == (18944 * 3584) ** 2 + 18944 + 3584
    assert found["cache_bytes_per_token"] == 2 * 7_000_000_000 * 28 * 3584 * 2
    assert found["cache_bytes_per_token_true"] == 2 * 28 * 4 * 128 * 2 == 57_344


def test_context_lengths_and_slips() -> None:
    found = values("context_length")
    assert [found[f"config_{row}"] for row in ("Qwen2,5-Coder", "DeepSeek-V2-Lite")] == [
        *(131_072, 163_840)
    ]
    assert set(values("units_and_labels_in_the_text").values()) == {0.27, 1.68, 1.35}


def test_readings_of_a_task() -> None:
    found = values("readings_every_10_s")
    seconds = [60 * cells["Latency"] / TASKS for cells in every_run()]
    assert found["runs"] == len(seconds) == 34
    assert found["shorter_than_interval"] == sum(task < 10 for task in seconds) == 28
    assert found["readings_0.5B"] == pytest.approx(28.77 * 6)


def every_run() -> list[pd.Series]:
    """Each run once: Qwen2.5 by its own table, and the nine of table 5.18."""
    names = [row for table, _, row in RUNS.index if table != "5.18"]
    nine = [cells for (table, _, _), cells in RUNS.iterrows() if table == "5.18"]
    return [*(run(name) for name in dict.fromkeys(names)), *nine]


def test_idle_power_and_rating() -> None:
    found = values("idle_power_subtracted")
    for name, reference in (
        ("7B-Instruct-AWQ", "7B-Instruct"),
        ("14B-Instruct-GPTQ-Int4", "14B-Instruct"),
        ("0.5B-Instruct-GPTQ-Int8", "0.5B-Instruct"),
    ):
        new, old = run(name), run(reference)
        kwh = [cells["Energy consumption"] for cells in (new, old)]
        whole = [cells["Energy consumption"] + 0.03 * cells["Latency"] / 60 for cells in (new, old)]
        assert found[f"printed_{name}"] == pytest.approx(100 * (1 - kwh[0] / kwh[1]))
        assert found[f"whole_{name}"] == pytest.approx(100 * (1 - whole[0] / whole[1]))
    powers = [60e3 * cells["Energy consumption"] / cells["Latency"] for cells in every_run()]
    rated = values("power_below_rating")
    assert (rated["lowest_w"], rated["highest_w"]) == pytest.approx(
        (min(powers), max(powers)), rel=1e-3
    )
    assert max(powers) < 350
