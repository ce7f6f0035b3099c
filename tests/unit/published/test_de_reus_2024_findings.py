"""Findings on de Reus et al. 2024, computed by hand from the committed files with pandas."""

import itertools
import math

import pandas as pd
import pytest
from scipy import stats

from codewatt.published.de_reus_2024.audited_study import STUDY
from codewatt.published.de_reus_2024.paper_audit import PaperAudit
from codewatt.published.de_reus_2024.printed_tables import FOLDER
from codewatt.published.de_reus_2024.statements import STATEMENTS, verdict_rows
from codewatt.published.finding import BOUNDED, CONTRADICTED, HOLDS, NOT_SHOWN, Finding

RANGE_WH = 262_143.328850 / 3600
#: Wraps that the 8-bit runs missed, both packages together (README of the study's archive page).
WRAPS = {
    ("starcoder2-3b", 128): [3, 2, 2, 2, 2],
    ("starcoder2-3b", 256): [6, 6, 7, 6, 7],
    ("starcoder2-7b", 128): [2] * 5,
    ("starcoder2-7b", 256): [4] * 5,
}
NAMES = {
    (f"starcoder2-{m}", limit): f"{m.upper()}, {limit} tokens"
    for m in ("3b", "7b")
    for limit in (128, 256)
}


def load() -> pd.DataFrame:
    """The paper's runs with corrected energies, without the code under test."""
    runs = pd.read_csv(STUDY.data)
    runs = runs[~runs["table"].str.contains("former_3b|pruning/results_")].copy()
    runs["wraps"] = 0
    for (model, limit), wraps in WRAPS.items():
        chosen = runs["model"].eq(model) & runs["token_limit"].eq(limit)
        runs.loc[chosen & runs["precision"].eq("8bit"), "wraps"] = wraps
    for column in ("cpu_wh", "total_wh"):
        runs[f"corrected_{column}"] = runs[column] + runs["wraps"] * RANGE_WH
    runs["node_wh"] = runs["ear_node_w"] * runs["runtime_s"] / 3600
    runs["share_wh"] = runs["gpu_wh"] + runs["dram_wh"] + runs["corrected_cpu_wh"] / 4
    return runs


RUNS = load()
KEYS = ["model", "token_limit", "precision"]
WHOLE = RUNS[RUNS["layers_pruned"] == 0].groupby(KEYS)
MEANS, SDS = WHOLE.mean(numeric_only=True), WHOLE.std(numeric_only=True)
COUNTS = pd.read_csv(FOLDER / "sample_counts.csv").set_index([*KEYS, "layers_pruned"])


@pytest.fixture(scope="module")
def found() -> dict[str, Finding]:
    audit = STUDY.audit(STUDY.data)
    assert isinstance(audit, PaperAudit)
    return {finding.name: finding for finding in audit.findings}


def change(column: str, model: str, limit: int, precision: str) -> float:
    values = MEANS[column]
    return float(100 * (values[model, limit, precision] / values[model, limit, "none"] - 1))


def test_verdicts(found: dict[str, Finding]) -> None:
    by_verdict: dict[str, set[str]] = {}
    for finding in found.values():
        by_verdict.setdefault(finding.verdict, set()).add(finding.name)
    assert by_verdict[BOUNDED] == {"boundary_of_the_conclusion"}
    assert by_verdict[HOLDS] == {
        *("energy_per_second", "time_and_energy", "matching_scores"),
        *("pruning_energy_and_accuracy", "trend_of_figure_8"),
    }
    assert by_verdict[NOT_SHOWN] == {
        *("accuracy_losses", "reference_in_float32", "mixed_nodes", "cache_misses_and_time"),
        *("dram_energy_is_time", "shorter_answers_of_pruned_models", "decline_of_phi_2"),
    }
    assert len(by_verdict[CONTRADICTED]) == len(found) - 13 == 15
    assert "minimal_energy_reduction" in by_verdict[CONTRADICTED]


def test_every_statement_of_abstract_and_conclusion_has_a_verdict(
    found: dict[str, Finding],
) -> None:
    rows = verdict_rows(found.values())
    assert len(rows) == len(STATEMENTS) + 1
    assert all(row[2] == found[row[3]].verdict for row in rows[1:])


def test_increases_over_the_wrong_energy(found: dict[str, Finding]) -> None:
    values = found["increase_over_quantised_total"].values
    totals = MEANS["total_wh"]
    for precision in ("4bit", "8bit"):
        over = [change("total_wh", model, limit, precision) for model, limit in NAMES]
        share = [100 * (1 - totals[(*key, "none")] / totals[(*key, precision)]) for key in NAMES]
        corrected = [change("corrected_total_wh", *key, precision) for key in NAMES]
        for end, pick in (("low", min), ("high", max)):
            assert values[f"increase_{end}_{precision}"] == pytest.approx(pick(over), abs=0.05)
            assert values[f"share_{end}_{precision}"] == pytest.approx(pick(share), abs=0.02)
            assert values[f"corrected_{end}_{precision}"] == pytest.approx(pick(corrected))
    assert round(values["share_low_8bit"]) == 19
    assert round(values["increase_low_8bit"]) == 23


def test_missed_wraps_and_their_consequences(found: dict[str, Finding]) -> None:
    wraps, order = found["missed_counter_wraps"].values, found["eight_bit_against_four_bit"].values
    assert (wraps["runs"], wraps["unexplained"]) == (20, 1)
    for key, name in NAMES.items():
        published = MEANS["total_wh"][(*key, "8bit")]
        corrected = MEANS["corrected_total_wh"][(*key, "8bit")]
        assert wraps[f"published_{name}, 8-bit"] == pytest.approx(published)
        assert wraps[f"corrected_{name}, 8-bit"] == pytest.approx(corrected, abs=1e-3)
        four = MEANS["total_wh"][(*key, "4bit")]
        assert order[f"published_{name}"] == pytest.approx(published / four)
        assert order[f"corrected_{name}"] == pytest.approx(corrected / four, rel=1e-4)
        assert (order[f"published_{name}"] < 1) == (key[0] == "starcoder2-7b")
        assert order[f"corrected_{name}"] > 2


def test_boundaries(found: dict[str, Finding]) -> None:
    values = found["boundary_of_the_conclusion"].values
    columns = {"gpu": "gpu_wh", "share": "share_wh", "total": "corrected_total_wh"}
    columns |= {"node": "node_wh"}
    for (key, name), precision in itertools.product(NAMES.items(), ("4bit", "8bit")):
        for boundary, column in columns.items():
            label = f"{boundary}_{name}, {precision[0]}-bit"
            if boundary == "node" and key[0] == "starcoder2-3b":
                assert label not in values
                continue
            assert values[label] == pytest.approx(change(column, *key, precision), rel=1e-4)
    saving = {name for name, value in values.items() if value < 0}
    assert saving == {f"gpu_7B, {limit} tokens, 4-bit" for limit in (128, 256)}


def test_energy_per_token_and_power(found: dict[str, Finding]) -> None:
    token, power = found["energy_per_token"].values, found["energy_per_second"].values
    ratio = found["time_and_energy"].values
    assert token["ended"] == 3
    for key, name in NAMES.items():
        for precision in ("none", "4bit", "8bit"):
            joules = 3600 * MEANS["corrected_total_wh"][(*key, precision)]
            seconds = MEANS["runtime_s"][(*key, precision)]
            assert token[f"{precision}_{name}"] == pytest.approx(joules / (164 * key[1]), rel=1e-5)
            assert power[f"{precision}_{name}"] == pytest.approx(joules / seconds, rel=1e-5)
        assert token[f"none_{name}"] < token[f"4bit_{name}"] < token[f"8bit_{name}"]
        assert max(power[f"4bit_{name}"], power[f"8bit_{name}"]) < power[f"none_{name}"]
        for precision in ("4-bit", "8-bit"):
            energy, time = (ratio[f"{kind}_{name}, {precision}"] for kind in ("energy", "time"))
            assert 1 < energy < time


def test_spread_of_8_bit(found: dict[str, Finding]) -> None:
    values = found["variance_of_8_bit"].values
    for key, name in NAMES.items():
        for kind, column in (("published", "total_wh"), ("corrected", "corrected_total_wh")):
            spread = 100 * SDS[column][(*key, "8bit")] / MEANS[column][(*key, "8bit")]
            assert values[f"{kind}_{name}, 8-bit"] == pytest.approx(spread, rel=1e-4)
        assert values[f"corrected_{name}, 8-bit"] < values[f"published_{name}, 8-bit"]
    assert values["original_3B, 128 tokens"] > values["published_7B, 256 tokens, 8-bit"]


def test_answers_without_a_body(found: dict[str, Finding]) -> None:
    values = found["prompt_without_a_body"].values
    runs = COUNTS[COUNTS.index.get_level_values("layers_pruned") == 0].reset_index()
    runs = runs[runs["model"].str.startswith("starcoder") & runs["token_limit"].isin((128, 256))]
    assert values["runs"] == len(runs) == 12
    assert values["no_body_low"] == runs["no_body"].min() == 158
    assert values["no_body_high"] == runs["no_body"].max() == 161
    assert values["phi_2_no_body"] == COUNTS.loc[("phi-2", 128, "none", 0), "no_body"] == 4
    originals = [COUNTS.loc[(f"starcoder2-{size}", 128, "none", 0)] for size in ("3b", "7b")]
    assert values["bodies_solved"] == sum(counts["body_solved"] for counts in originals) == 4
    assert values["bodies"] == sum(164 - counts["no_body"] for counts in originals) == 10
    assert values["others_solved"] == 13 + 6 - 4
    assert values["others"] == 2 * 164 - 10


def test_losses_of_tasks(found: dict[str, Finding]) -> None:
    values = found["accuracy_losses"].values
    for key, name in NAMES.items():
        for precision in ("4bit", "8bit"):
            counts = COUNTS.loc[(*key, precision, 0)]
            lost, gained = int(counts["plus_lost"]), int(counts["plus_gained"])
            p = stats.binomtest(lost, lost + gained).pvalue
            assert values[f"p_{name}, {precision[0]}-bit"] == pytest.approx(p)
    assert stats.binomtest(6, 6).pvalue < 0.05 < stats.binomtest(5, 5).pvalue
    assert values["least_lost"] == 6
    equal = found["configurations_with_equal_scores"].values
    assert (equal["equal"], equal["exceptions"]) == (3, 1)
    assert equal["fewer_3B, 256 tokens, 4-bit"] == 0
    matching = found["matching_scores"].values
    assert matching["lost_3B, 256 tokens, 4-bit"] == matching["gained_3B, 256 tokens, 4-bit"] == 10


def test_percentages_of_pass_at_1(found: dict[str, Finding]) -> None:
    values = found["percentages_of_pass_at_1"].values
    assert values["low_3b_128_4bit"] == pytest.approx(100 * (1 - 6.15 / 7.85))
    assert values["high_3b_128_4bit"] == pytest.approx(100 * (1 - 6.05 / 7.95))
    right = [
        name
        for name in ("3b_128_4bit", "3b_128_8bit", "7b_128_4bit", "7b_256_4bit")
        if values[f"low_{name}"] <= values[f"printed_{name}"] + 0.5
        and values[f"printed_{name}"] - 0.5 <= values[f"high_{name}"]
    ]
    assert right == ["7b_128_4bit"]


def test_whiskers(found: dict[str, Finding]) -> None:
    values = found["whiskers_are_no_confidence_interval"].values
    low, high = stats.t.interval(0.95, 4, scale=1 / math.sqrt(5))
    assert values["interval_of_mean"] == pytest.approx((high - low) / 2)
    assert values["too_wide"] == pytest.approx(1.96 * 2 / (high - low))
    coverage = stats.t.cdf(1.96 / math.sqrt(1.2), 4) - stats.t.cdf(-1.96 / math.sqrt(1.2), 4)
    assert values["normal_coverage"] == pytest.approx(100 * coverage)


def test_reference_dtype(found: dict[str, Finding]) -> None:
    """StarCoder2-7B: 7,173,923,840 parameters of 4 bytes at 1,555 GB/s."""
    values = found["reference_in_float32"].values
    assert values["read_ms_StarCoder2-7B"] == pytest.approx(7_173_923_840 * 4 / 1555e9 * 1e3)
    seconds = MEANS["runtime_s"]["starcoder2-7b", 128, "none"]
    assert values["token_ms_StarCoder2-7B"] == pytest.approx(1000 * seconds / (164 * 128))
    assert values["read_ms_StarCoder2-7B"] < values["token_ms_StarCoder2-7B"]
    watts = 3600 * MEANS["gpu_wh"] / MEANS["runtime_s"]
    assert values["starcoder2_3b_w"] == pytest.approx(watts["starcoder2-3b", 128, "none"])
    assert values["phi_2_w"] == pytest.approx(watts["phi-2", 128, "none"])


def test_nodes_clocks_and_dram(found: dict[str, Finding]) -> None:
    nodes = found["mixed_nodes"].values
    runs = RUNS[RUNS["token_limit"].eq(256) & RUNS["precision"].eq("4bit")]
    runs = runs[runs["model"] == "starcoder2-3b"]
    for node in ("gcn21", "gcn72"):
        mean = runs[runs["ear_file"].str.contains(node)]["total_wh"].mean()
        assert nodes[f"3B, 256 tokens, 4-bit_{node}"] == pytest.approx(mean)
    clocks = found["clocks_and_other_jobs"].values
    ear = pd.read_csv(FOLDER / "ear_counts.csv")
    assert clocks["clock_range"] == pytest.approx(
        100 * (ear["cpu_mhz_high"].max() / ear["cpu_mhz_low"].min() - 1)
    )
    seven = RUNS[RUNS["model"].eq("starcoder2-7b") & RUNS["token_limit"].eq(128)]
    seven = seven[seven["precision"].eq("4bit")].sort_values("ear_packages_w")
    assert clocks["sd_all"] == pytest.approx(seven["total_wh"].std())
    assert clocks["sd_others"] == pytest.approx(seven["total_wh"][:-1].std())
    dram = found["dram_energy_is_time"].values
    watts = 3600 * RUNS["dram_wh"] / RUNS["runtime_s"]
    assert dram["dram_w_high"] <= watts.max() < 45.1
    assert dram["dram_w_low"] >= watts.min() > 44.9


def test_cache_misses_per_second(found: dict[str, Finding]) -> None:
    values = found["cache_misses_and_time"].values
    time = MEANS["runtime_s"]["starcoder2-7b", 128]
    for precision, level, increase in (
        *(("4bit", "L1", 75), ("4bit", "L2", 48), ("8bit", "L1", 315), ("8bit", "L2", 435)),
    ):
        per_second = (1 + increase / 100) / (time[precision] / time["none"])
        assert values[f"per_second_{level}_{precision}"] == pytest.approx(100 * (per_second - 1))


def test_times_of_table_iv(found: dict[str, Finding]) -> None:
    values = found["times_of_other_runs"].values
    assert (values["printed_8bit"], values["printed_runs"]) == (6766.2, 10)
    chosen = pd.Series([6717.8, 6733.89, 6747.24, 6774.34, 6857.77])
    assert (round(chosen.mean(), 1), round(chosen.std(), 1)) == (6766.2, 55.2)
    assert (values["choices"], values["common"]) == (1, 4)


def test_pruned_models(found: dict[str, Finding]) -> None:
    pruned = RUNS[RUNS["token_limit"].eq(128) & RUNS["precision"].eq("none")]
    means = pruned.groupby(["model", "layers_pruned"])[["total_wh", "runtime_s"]].mean()
    sizes = pruned.groupby(["model", "layers_pruned"]).size()
    models = {"Phi-2": "phi-2", "StarCoder2-3B": "starcoder2-3b", "StarCoder2-7B": "starcoder2-7b"}
    energy = found["pruning_energy_and_accuracy"].values
    shorter = found["shorter_answers_of_pruned_models"].values
    fivefold = found["runs_of_figure_8"].values
    for name, model in models.items():
        assert fivefold[name] == sizes[model, 6]
        for depth in (1, 3, 6):
            ratio = means["total_wh"][model, depth] / means["total_wh"][model, 0]
            assert energy[f"energy_{name}_{depth}"] == pytest.approx(100 * (ratio - 1))
            solved = COUNTS.loc[(model, 128, "none", depth), "plus_solved"]
            assert energy[f"pass_{name}_{depth}"] == pytest.approx(100 * solved / 164)
    reduction = found["minimal_energy_reduction"].values
    ratios = []
    for name, model in models.items():
        layers = {"Phi-2": 32, "StarCoder2-3B": 30, "StarCoder2-7B": 32}[name]
        whole = COUNTS.loc[(model, 128, "none", 0), "plus_solved"]
        for depth in range(1, 7):
            ratio = 1 - means["total_wh"][model, depth] / means["total_wh"][model, 0]
            ratios.append(ratio * layers / depth)
            row = COUNTS.loc[(model, 128, "none", depth)]
            assert energy[f"loss_{name}_{depth}"] == pytest.approx(
                100 * (row["plus_solved"] / whole - 1)
            )
            lost, gained = int(row["plus_lost"]), int(row["plus_gained"])
            exact = stats.binomtest(min(lost, gained), lost + gained, 0.5).pvalue
            assert energy[f"p_{name}_{depth}"] == pytest.approx(exact)
            assert energy[f"loss_{name}_{depth}"] < energy[f"energy_{name}_{depth}"]
            assert exact < 0.05 or depth < 3
    assert (reduction["ratio_low"], reduction["ratio_high"]) == pytest.approx(
        (min(ratios), max(ratios))
    )
    assert reduction["Phi-2_3"] > 25
    steps = means["total_wh"].unstack().diff(axis=1)
    assert found["trend_of_figure_8"].values["rising"] == (steps > 0).sum().sum() == 4
    for name in ("Phi-2", "StarCoder2-7B"):
        assert shorter[f"ended_{name}_3"] > shorter[f"ended_{name}_4"]
        assert shorter[f"time_{name}_3"] < shorter[f"time_{name}_4"]
    assert found["layers_of_phi_2"].values["Phi-2"] == 32
    decline = found["decline_of_phi_2"].values
    assert decline["step_4"] == pytest.approx(100 * (1 - 23 / 42))
    assert decline["mean_points_share"] == pytest.approx(100 / 6)
