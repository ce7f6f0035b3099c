"""Result files become tidy tables: the right figures, absent ones absent, nothing mixed."""

import csv
import math
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.changes import ComparisonSettings, board_allowance, same_host_and_gpus
from codewatt.analysis.columns import CELL, TABLES
from codewatt.analysis.proportions import PairedCounts, tango_interval
from codewatt.analysis.tables import to_rows
from codewatt.energy.boundaries import PARTS
from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json
from tests.support.records import METER, PROVENANCE
from tests.unit.analysis.conftest import joules

BASELINE = {"precision": "fp32", "prune": "none"}
FP32 = "nano--none--fp32--held--stripped--t64--b1--transformers"


def tables(study: Any, out: dict[str, Path] | None = None) -> dict[str, list[dict[str, Any]]]:
    made = aggregate(study.cells, study.variants, BASELINE, out or {})
    return {level: to_rows(table) for level, table in made.items()}


def two_cells(study: Any) -> dict[str, list[dict[str, Any]]]:
    study.variant("fp32")
    study.variant("int8")
    study.cell("fp32", solved=("t0", "t1", "t2"), joules_per_run=(100.0, 110.0, 120.0))
    study.cell("int8", solved=("t0",), joules_per_run=(50.0, 55.0, 60.0))
    return tables(study)


def test_every_level_has_its_rows(study: Any) -> None:
    made = two_cells(study)
    assert {level: len(rows) for level, rows in made.items()} == {
        "task": 2 * 3 * 4,
        "run": 2 * 3,
        "cell": 2,
        "variant": 2,
        "check": 2,
    }


def test_a_task_row_has_times_and_verdicts(study: Any) -> None:
    row = two_cells(study)["task"][3]
    assert (row["cell_id"], row["repeat"], row["task_id"]) == (FP32, 0, "t3")
    assert row["latency_s"] == pytest.approx(0.5)
    assert row["ttft_s"] == pytest.approx(0.1)
    assert row["tpot_s"] == pytest.approx(0.4 / 9)
    assert (row["base_status"], row["plus_status"]) == ("pass", "fail")
    assert (row["solved_base"], row["solved_plus"]) == (True, False)


def test_a_runs_figures_are_what_they_say(study: Any) -> None:
    run = two_cells(study)["run"][1]
    assert run["energy_j"] == pytest.approx(110.0)
    assert run["cpu_j"] == pytest.approx(82.5)
    assert run["net_energy_j"] == pytest.approx(55.0)
    assert run["prefill_energy_j"] + run["decode_energy_j"] == pytest.approx(110.0)
    assert run["gpu_j"] is None
    assert run["tokens_per_s"] == pytest.approx(40 / 4)
    assert run["j_per_token"] == pytest.approx(110 / 40)
    assert run["j_per_task"] == pytest.approx(110 / 4)
    assert run["correct_plus"] == 3
    assert run["j_per_correct_task_plus"] == pytest.approx(110 / 3)
    assert run["pass_at_1_plus_per_kwh"] == pytest.approx(0.75 / (110 / 3.6e6))
    assert run["co2e_kg"] == pytest.approx(110 / 3.6e6 * 0.360)
    assert run["energy_status"] == "modelled"


def test_a_cell_has_mean_interval_and_band_over_its_repeats(study: Any) -> None:
    cell = two_cells(study)["cell"][0]
    assert cell["energy_j_mean"] == pytest.approx(110.0)
    assert cell["energy_j_sd"] == pytest.approx(10.0)
    assert cell["energy_j_n"] == 3
    logs = [math.log(joules) for joules in (100.0, 110.0, 120.0)]
    centre, spread = statistics.mean(logs), statistics.stdev(logs)
    half = 4.302652729911275 * spread / math.sqrt(3)
    assert cell["energy_j_geomean"] == pytest.approx(statistics.geometric_mean((100, 110, 120)))
    assert cell["energy_j_ci95_low"] == pytest.approx(math.exp(centre - half))
    assert cell["energy_j_sd_band_high"] == pytest.approx(math.exp(centre + 1.96 * spread))
    assert cell["interval_scope"] == "within one job"
    assert cell["gpu_j_mean"] is None
    assert cell["gpu_j_n"] == 0
    assert (cell["idle_loaded_cpu_w"], cell["idle_loaded_gpu_w"]) == (4.0, None)
    assert (cell["evaluate_energy_j"], cell["evaluate_s"]) == (10.0, 3.5)
    assert (cell["load_energy_j"], cell["warmup_energy_j"]) == (5.0, 3.0)
    assert cell["pass_at_10_plus"] == 0.75
    assert cell["pass_at_100_plus"] is None


def test_changes_are_against_the_named_baseline_cell(study: Any) -> None:
    base, other = two_cells(study)["cell"]
    assert base["baseline_cell_id"] == other["baseline_cell_id"] == FP32
    assert base["energy_j_change"] == 0
    assert base["energy_j_change_ci95_low"] is base["energy_j_change_ci95_high"] is None
    assert other["energy_j_change"] == pytest.approx(-0.5)
    welch = ttest_ind(np.log([50, 55, 60]), np.log([100, 110, 120]), equal_var=False)
    low, high = np.expm1(welch.confidence_interval(0.95))
    names = [
        f"energy_j_change_{kind}_{end}"
        for kind in ("ci95", "simultaneous95")
        for end in ("low", "high")
    ]
    assert [other[name] for name in names] == pytest.approx([low, high] * 2)
    assert other["energy_j_change_p"] == pytest.approx(welch.pvalue)
    assert (other["energy_j_change_p_holm"], other["energy_j_comparisons"]) == (
        other["energy_j_change_p"],
        1,
    )
    assert other["pass_at_1_plus_change"] == pytest.approx((0.25 - 0.75) / 0.75)
    assert (other["tasks_lost_plus"], other["tasks_gained_plus"]) == (2, 0)
    assert other["mcnemar_p_plus"] == pytest.approx(0.5)
    assert other["pass_at_1_plus_difference"] == pytest.approx(-0.5)
    names = [f"pass_at_1_plus_difference_ci95_{end}" for end in ("low", "high")]
    # Of four tasks: one solved by both, none gained, two lost, one solved by neither.
    assert [other[name] for name in names] == pytest.approx(
        list(tango_interval(PairedCounts(1, 0, 2, 1)))
    )
    assert base["tasks_lost_plus"] is base["pass_at_1_plus_difference"] is base[names[0]] is None


def test_a_variants_size_is_compared_with_its_models_baseline(study: Any) -> None:
    rows = two_cells(study)["variant"]
    assert rows[1]["baseline_variant_id"] == "nano--none--fp32"
    assert rows[1]["size_bytes_change"] == pytest.approx((1_000_000 - 3_040_000) / 3_040_000)


def test_a_variants_making_costs_what_its_energy_record_tells(study: Any) -> None:
    status = dict.fromkeys(PARTS, "modelled")
    cost = {"energy_j": dict.fromkeys(PARTS, 1.5), "energy_status": status, "energy_note": "late"}
    study.making = cost
    row = two_cells(study)["variant"][1]
    assert (row["quantise_energy_j"], row["quantise_cpu_energy_status"]) == (1.5, "modelled")
    assert row["quantise_energy_note"] == "late"


def test_an_invalid_cell_is_compared_with_nothing(study: Any) -> None:
    study.cell("fp32")
    study.cell("int8", edit=lambda contents: contents["energy"].update(valid=False))
    cell = tables(study)["cell"][1]
    assert cell["energy_j_change"] is None
    assert cell["change_note"] == "this cell failed a validity check"


def test_other_cards_and_other_boundaries_are_not_compared(study: Any) -> None:
    def on(name: str) -> Any:
        meter = {**METER, "devices": [{"name": name}]}
        return lambda contents: contents["generate"].update(meters=[meter])

    study.cell("fp32", edit=on("H100"))
    study.cell("int8", edit=on("H200"))

    def in_job(contents: dict[str, Any]) -> None:
        on("H100")(contents)
        contents["energy"].update(boundary="job")

    study.cell("nf4", edit=in_job)
    _, other_card, other_boundary = tables(study)["cell"]
    assert other_card["gpu_names"] == "H200"
    assert other_card["energy_j_change"] is None
    assert "H200" in other_card["change_note"]
    assert other_card["change_note"] == "measured on different hardware: H200; baseline: H100"
    assert other_card["duration_s_change"] is other_card["j_per_correct_task_plus_change"] is None
    assert other_boundary["energy_j_change"] is None
    assert "job, CPU share 0.5" in other_boundary["change_note"]


def test_the_order_in_which_cards_are_listed_is_no_other_hardware(study: Any) -> None:
    def on(*names: str) -> Any:
        cards = [{"name": name, "device": f"GPU-{name}"} for name in names]
        return lambda contents: contents["generate"].update(meters=[{**METER, "devices": cards}])

    study.cell("fp32", edit=on("H100", "L40S"))
    study.cell("int8", edit=on("L40S", "H100"))
    cell = tables(study)["cell"][1]
    assert (cell["change_note"], cell["same_host_and_gpus"]) == (None, True)


def test_times_of_other_processors_are_not_compared(study: Any) -> None:
    def on(cpu: str) -> Any:
        return lambda contents: contents["generate"].update(
            provenance={**PROVENANCE, "host": cpu, "cpu": cpu}
        )

    study.cell("fp32", edit=on("EPYC 9654"))
    study.cell("int8", edit=on("Xeon 8480"))
    cell = tables(study)["cell"][1]
    assert cell["change_note"] == ("measured on different hardware: Xeon 8480; baseline: EPYC 9654")
    assert (
        cell["energy_j_change"] is cell["duration_s_change"] is cell["tokens_per_s_change"] is None
    )
    assert cell["pass_at_1_plus_change"] == 0


def test_a_cell_without_baseline_says_so(study: Any) -> None:
    study.cell("int8")
    cell = tables(study)["cell"][0]
    assert cell["baseline_cell_id"] is None
    assert cell["change_note"] == "no baseline cell in the study"
    assert cell["energy_j_change"] is None


def test_energy_that_came_about_differently_is_not_compared(study: Any) -> None:
    def metered(contents: dict[str, Any]) -> None:
        status = {"status": "measured", "method": "RAPL", "detail": None}
        contents["energy"]["components"] = contents["energy"]["components"] | {"cpu": status}

    study.cell("fp32")
    study.cell("int8", edit=metered)
    cell = tables(study)["cell"][1]
    assert "different origin" in cell["change_note"]
    assert cell["energy_j_change"] is cell["j_per_token_change"] is cell["co2e_kg_change"] is None
    assert cell["duration_s_change"] == 0
    assert cell["pass_at_1_plus_change"] == 0


def test_nothing_metered_is_compared_with_an_invalid_baseline(study: Any) -> None:
    study.cell("fp32", edit=fail_repeat_1)
    study.cell("int8")
    base, other = tables(study)["cell"]
    assert other["change_note"] == "baseline cell failed a validity check"
    assert other["energy_j_change"] is other["duration_s_change"] is None
    assert other["pass_at_1_plus_change"] == 0
    assert base["failed_checks"] == "gpu_not_shared (repeat 1): 2 processes, limit 1 processes"


def fail_repeat_1(contents: dict[str, Any]) -> None:
    contents["energy"]["valid"] = False
    contents["energy"]["checks"].append(
        {
            "name": "gpu_not_shared",
            "severity": "error",
            "passed": False,
            "observed": 2,
            "limit": 1,
            "unit": "processes",
            "repeat": 1,
            "detail": "",
        }
    )


def test_a_failed_check_marks_its_run_and_its_cell(study: Any) -> None:
    study.cell("fp32", edit=fail_repeat_1)
    made = tables(study)
    assert [run["valid"] for run in made["run"]] == [True, False, True]
    assert made["cell"][0]["valid"] is False


def test_a_check_that_could_not_be_checked_is_no_failure(study: Any) -> None:
    def unchecked(contents: dict[str, Any]) -> None:
        contents["energy"]["checks"][0] |= {"passed": None, "observed": None}

    study.cell("fp32", edit=unchecked)
    cell = tables(study)["cell"][0]
    assert cell["valid"] is True
    assert cell["failed_checks"] is None
    assert cell["skipped_checks"] == "window_long_enough (repeat 0): limit 1 s"


def test_an_infeasible_cell_keeps_its_row_with_the_reason(study: Any) -> None:
    study.cell("fp32")
    study.infeasible("int8", "needs a GPU")
    made = tables(study)
    row = made["cell"][1]
    assert (row["status"], row["status_reason"]) == ("infeasible", "needs a GPU")
    assert row["energy_j_mean"] is row["pass_at_1_plus"] is row["valid"] is row["repeats"] is None
    assert row["baseline_cell_id"] == FP32
    assert {run["cell_id"] for run in made["run"]} == {FP32}


def test_pass_at_1_of_random_weights_is_absent_with_the_reason(study: Any) -> None:
    study.variant("fp32", meaningful_accuracy=False)
    study.cell("fp32")
    made = tables(study)
    cell, run = made["cell"][0], made["run"][0]
    assert cell["pass_at_1_plus"] is run["pass_at_1_plus"] is run["j_per_correct_task_plus"] is None
    assert cell["accuracy_note"].startswith("random weights")
    assert cell["j_per_token_mean"] is not None


def test_no_correct_task_has_no_joules_per_correct_task(study: Any) -> None:
    study.cell("fp32", solved=())
    made = tables(study)
    run, cell = made["run"][0], made["cell"][0]
    assert run["pass_at_1_plus"] == 0
    assert run["j_per_correct_task_plus"] is cell["j_per_correct_task_plus"] is None
    assert cell["pass_at_1_plus_per_kwh"] == 0
    assert cell["pass_at_1_plus_per_kwh_ci95_low"] is None


def test_unavailable_energy_is_absent_and_not_zero(study: Any) -> None:
    def unmetered(contents: dict[str, Any]) -> None:
        nothing = dict.fromkeys(PARTS)
        for run in contents["energy"]["runs"]:
            for key in [key for key in run if key.endswith("energy_j")]:
                run[key] = nothing
        for part in contents["energy"]["components"].values():
            part["status"] = "unavailable"

    study.cell("fp32", edit=unmetered)
    made = tables(study)
    for name in ("energy_j", "j_per_token", "j_per_task", "co2e_kg"):
        assert made["run"][0][name] is None
        assert made["cell"][0][f"{name}_mean"] is None
    for name in ("pass_at_1_plus_per_kwh", "j_per_correct_task_plus"):
        assert made["run"][0][name] is made["cell"][0][name] is None
    assert made["cell"][0]["tokens_per_s_mean"] == 10


def test_several_samples_count_by_task(study: Any) -> None:
    study.cell("fp32", solved=("t0",), samples=2)
    cell = tables(study)["cell"][0]
    assert (cell["tasks"], cell["samples_per_task"]) == (4, 2)
    assert cell["pass_at_1_plus"] == 0.25
    assert cell["tasks_lost_plus"] is cell["pass_at_1_plus_difference"] is None


def test_a_repeat_that_solved_nothing_counts_with_its_joules(study: Any) -> None:
    """Joules per correct task are pooled: all joules over all correct completions."""

    def fail_repeat_2(contents: dict[str, Any]) -> None:
        for verdict in contents["evaluate"]["verdicts"]:
            if verdict["repeat"] == 2:
                verdict["plus"] = "fail"

    study.cell("fp32", joules_per_run=(100.0, 110.0, 120.0), edit=fail_repeat_2)
    made = tables(study)
    assert made["run"][2]["j_per_correct_task_plus"] is None
    cell = made["cell"][0]
    assert cell["j_per_correct_task_plus"] == pytest.approx(330 / 6)
    assert cell["pass_at_1_plus_per_kwh"] == pytest.approx(0.5 / (110 / 3.6e6))
    low, high = cell["j_per_correct_task_plus_ci95_low"], cell["j_per_correct_task_plus_ci95_high"]
    assert 0 < low < 330 / 6 < high


def test_the_plus_suite_alone_does_not_solve_a_task(study: Any) -> None:
    """A program can pass all added inputs and fail a base one: EvalPlus calls that wrong."""

    def fail_base_of_t0(contents: dict[str, Any]) -> None:
        for verdict in contents["evaluate"]["verdicts"]:
            if verdict["task_id"] == "t0":
                verdict["base"] = "fail"

    study.cell("fp32", solved=("t0", "t1"), edit=fail_base_of_t0)
    study.cell("int8", solved=("t0", "t1"))
    made = tables(study)
    task = made["task"][0]
    assert (task["plus_status"], task["solved_plus"], task["solved_base"]) == ("pass", False, False)
    cell, other = made["cell"]
    assert (cell["pass_at_1_plus"], cell["pass_at_1_base"]) == (0.25, 0.5)
    assert made["run"][0]["correct_plus"] == 1
    assert cell["j_per_correct_task_plus"] == pytest.approx(330 / 3)
    assert (other["tasks_gained_plus"], other["tasks_lost_plus"]) == (1, 0)


def test_net_energy_has_a_difference_and_no_relative_change(study: Any) -> None:
    def near_zero(net: tuple[float, ...]) -> Any:
        def edit(contents: dict[str, Any]) -> None:
            for run, value in zip(contents["energy"]["runs"], net, strict=True):
                run["net_energy_j"] = joules(value, 0.0)
                run["net_uncertainty_j"] = joules(2.0, 0.0)

        return edit

    study.cell("fp32", edit=near_zero((-1.0, 0.5, 1.0)))
    study.cell("int8", edit=near_zero((3.0, 4.0, 5.0)))
    base, other = tables(study)["cell"]
    assert not any(name.startswith("net_") and name.endswith("_change") for name in other)
    assert other["net_energy_j_difference"] == pytest.approx(4 - 0.5 / 3)
    welch = ttest_ind([3, 4, 5], [-1, 0.5, 1], equal_var=False).confidence_interval(0.95)
    ends = [other[f"net_energy_j_difference_ci95_{end}"] for end in ("low", "high")]
    assert ends == pytest.approx([welch.low - 4, welch.high + 4])
    half = 4.302652729911275 / math.sqrt(3)
    ends = [other[f"net_energy_j_ci95_{end}"] for end in ("low", "high")]
    assert ends == pytest.approx([4 - half - 2, 4 + half + 2])
    assert other["net_energy_uncertainty_j_mean"] == 2
    assert base["net_energy_j_difference"] == 0
    assert base["net_energy_j_difference_ci95_low"] is None


def test_another_board_widens_the_interval_by_what_boards_may_differ(study: Any) -> None:
    def on(host: str, uuid: str) -> Any:
        meter = {**METER, "devices": [{"name": "H100", "device": uuid}]}
        found = {"meters": [meter], "provenance": {**PROVENANCE, "host": host}}
        return lambda contents: contents["generate"].update(found)

    study.cell("fp32", edit=on("n1", "GPU-a"))
    study.cell("int8", edit=on("n1", "GPU-a"), joules_per_run=(90.0, 100.0, 110.0))
    study.cell("nf4", edit=on("n1", "GPU-b"), joules_per_run=(90.0, 100.0, 110.0))
    study.cell("fp4", edit=on("n2", "GPU-a"), joules_per_run=(90.0, 100.0, 110.0))
    _, same, other, host = tables(study)["cell"]
    assert [row["same_host_and_gpus"] for row in (same, other, host)] == [True, False, False]
    assert [row["board_spread"] for row in (same, other, host)] == [0.0, 0.05, 0.05]
    assert (other["host"], other["gpu_uuids"]) == ("n1", "GPU-b")
    for row in (other, host):
        assert row["energy_j_change"] == same["energy_j_change"]
        for end, factor in (("low", 1 / 1.05), ("high", 1.05)):
            name = f"energy_j_change_ci95_{end}"
            assert 1 + row[name] == pytest.approx((1 + same[name]) * factor)
        assert row["energy_j_change_p"] > same["energy_j_change_p"]


def test_boards_that_are_not_known_are_not_the_same(study: Any) -> None:
    """A record without host is refused; a row without one is never on the same board."""
    unknown: dict[str, Any] = {"host": None, "gpu_uuids": None}
    assert not same_host_and_gpus(unknown, unknown)
    row = {**unknown, "same_host_and_gpus": False}
    assert board_allowance(row, ComparisonSettings(board_spread=0.05)) == pytest.approx(
        math.log(1.05)
    )
    assert row["board_spread"] == 0.05
    study.cell("fp32", edit=lambda contents: contents["generate"].update(provenance={}))
    with pytest.raises(CodewattError, match=r"generate\.json: provenance\.\w+: field is missing"):
        tables(study)


def test_another_board_widens_a_net_difference_by_a_share_of_the_whole_energy(study: Any) -> None:
    def on(host: str) -> Any:
        def edit(contents: dict[str, Any]) -> None:
            contents["generate"]["provenance"] = {**PROVENANCE, "host": host}
            for run in contents["energy"]["runs"]:
                run["net_uncertainty_j"] = joules(1.0, 0.0)

        return edit

    study.cell("fp32", edit=on("n1"))
    for precision, host in (("int8", "n1"), ("nf4", "n2")):
        study.cell(precision, edit=on(host), joules_per_run=(90.0, 100.0, 110.0))
    _, same, other = tables(study)["cell"]
    # The larger mean of the two energies is the baseline's, 110 J.
    for end, sign in (("low", -1), ("high", 1)):
        name = f"net_energy_j_difference_ci95_{end}"
        assert other[name] == pytest.approx(same[name] + sign * 0.05 * 110)


def test_p_values_are_adjusted_over_the_studys_comparisons(study: Any) -> None:
    study.cell("fp32", joules_per_run=(100.0, 110.0, 120.0))
    for precision, factor in (("int8", 0.5), ("nf4", 0.9), ("fp4", 0.95), ("gptq", 1.3)):
        repeats = tuple(factor * value for value in (100.0, 112.0, 119.0))
        study.cell(precision, joules_per_run=repeats)
    rows = tables(study)["cell"][1:]
    found = {row["energy_j_change_p"]: row["energy_j_change_p_holm"] for row in rows}
    # As R's p.adjust: the running maximum of 4 p(1), 3 p(2), 2 p(3), p(4), at most 1.
    want = np.minimum(np.maximum.accumulate(np.sort(list(found)) * [4, 3, 2, 1]), 1)
    assert [found[p] for p in sorted(found)] == pytest.approx(list(want))
    assert {row["energy_j_comparisons"] for row in rows} == {4}
    assert {row["pass_at_1_plus_comparisons"] for row in rows} == {4}
    first = rows[0]
    assert first["energy_j_change_simultaneous95_low"] < first["energy_j_change_ci95_low"]


def test_a_variant_of_many_tasks_is_shown_to_be_noninferior(study: Any) -> None:
    everything = tuple(f"t{i}" for i in range(300))
    repeats = (100.0, 110.0)
    study.cell("fp32", solved=everything[:200], tasks=300, joules_per_run=repeats)
    study.cell("int8", solved=everything[:200], tasks=300, joules_per_run=repeats)
    study.cell("nf4", solved=everything[:195], tasks=300, joules_per_run=repeats)
    _, same, worse = tables(study)["cell"]
    assert same["pass_at_1_margin"] == 0.02
    assert (same["noninferior_plus"], worse["noninferior_plus"]) == (True, False)
    assert worse["pass_at_1_plus_difference_ci95_low"] < -0.02


def test_sampled_completions_are_compared_by_their_shares(study: Any) -> None:
    def solve_first_sample(contents: dict[str, Any]) -> None:
        for verdict in contents["evaluate"]["verdicts"]:
            solved = verdict["task_id"] == "t0" and verdict["sample"] == 0
            verdict["base"] = verdict["plus"] = "pass" if solved else "fail"

    study.cell("fp32", solved=("t0", "t1"), samples=2)
    study.cell("int8", solved=("t0",), samples=2, edit=solve_first_sample)
    cell = tables(study)["cell"][1]
    assert cell["tasks_lost_plus"] is cell["mcnemar_p_plus"] is None
    assert cell["pass_at_1_plus_difference"] == pytest.approx((0.5 - 2) / 4)
    assert cell["pass_at_1_plus_difference_ci95_low"] < -0.375
    assert cell["noninferior_plus"] is False


def test_the_cell_table_has_pass_at_every_k_of_the_study(study: Any) -> None:
    def ask_for_more(contents: dict[str, Any]) -> None:
        for number, entry in enumerate(contents["evaluate"]["by_repeat"]):
            for tests in ("base", "plus"):
                entry[tests] = {"1": 0.25, "2": 0.5 + 0.1 * number, "4": 1.0}

    study.cell("fp32", samples=4, joules_per_run=(9.0, 9.5), edit=ask_for_more)
    study.cell("int8", samples=4, joules_per_run=(9.0, 9.5))
    table = aggregate(study.cells, study.variants, BASELINE, {})["cell"]
    first, second = to_rows(table)
    assert first["pass_at_2_plus"] == pytest.approx(0.55)
    assert first["pass_at_4_base"] == 1.0
    assert (first["pass_at_5_base"], second["pass_at_2_base"]) == (None, None)
    named = [column for column in table.columns if column.endswith("_plus")]
    assert [f"pass_at_{k}_plus" for k in (5, 10, 100, 2, 4)] == [
        column
        for column in named
        if column.removeprefix("pass_at_").split("_")[0] in ("5", "10", "100", "2", "4")
    ]


def test_equal_repeats_are_told_from_different_ones(study: Any) -> None:
    from codewatt.files import read_jsonl, write_jsonl

    study.cell("fp32")
    entry = study.cell("int8")
    rows = list(read_jsonl(entry["completions"]))
    rows[-1]["completion"] = "return 1"
    write_jsonl(entry["completions"], rows)
    cells = tables(study)["cell"]
    assert [cell["completions_identical"] for cell in cells] == [True, False]


def test_files_have_the_documented_columns_and_survive_the_round_trip(
    study: Any, tmp_path: Path
) -> None:
    study.cell("fp32")
    out = {
        f"{level}{form}": tmp_path / f"{level}{suffix}"
        for level in TABLES
        for form, suffix in (("", ".parquet"), ("_csv", ".csv"))
    }
    made = aggregate(study.cells, study.variants, BASELINE, out)
    for level, columns in TABLES.items():
        read = pd.read_parquet(out[level])
        assert list(read.columns) == list(columns)
        assert to_rows(read) == to_rows(made[level])
        with open(out[f"{level}_csv"], newline="") as stream:
            assert next(csv.reader(stream)) == list(columns)


def test_an_empty_study_still_has_its_columns(study: Any) -> None:
    made = aggregate([], [], BASELINE, {})
    assert list(made["cell"].columns) == list(CELL)


def test_an_unknown_output_is_refused(study: Any) -> None:
    with pytest.raises(CodewattError, match=r"'tasks_csv'; allowed: task, task_csv"):
        aggregate([], [], BASELINE, {"tasks_csv": "x"})


def change(path: Path, **parts: Any) -> None:
    write_json(path, read_json(path) | parts)


def test_results_of_different_library_versions_are_refused_by_name(study: Any) -> None:
    old, new = study.cell("fp32"), study.cell("int8")
    change(old["evaluate"], code=["stage.py aaaa", "codewatt.files old"])
    os.utime(old["evaluate"], (1, 1))
    with pytest.raises(CodewattError) as error:
        tables(study)
    assert str(error.value).startswith("evaluate: results of different versions of the code")
    assert "codewatt.files changed" in str(error.value)
    assert old["cell"]["id"] in str(error.value)
    assert new["cell"]["id"] not in str(error.value)
    assert "\n" not in str(error.value)


def test_making_energies_of_different_library_versions_are_refused_by_name(study: Any) -> None:
    for precision in ("fp32", "int8"):
        study.variant(precision)
    old, new = study.variants
    change(old["making_energy"], code=["stage.py aaaa", "codewatt.energy.job_meter old"])
    change(new["making_energy"], code=["stage.py aaaa", "codewatt.energy.job_meter new"])
    os.utime(old["making_energy"], (1, 1))
    with pytest.raises(CodewattError) as error:
        tables(study)
    assert str(error.value).startswith("measure_making_energy: results of different versions")
    assert "codewatt.energy.job_meter changed" in str(error.value)
    assert old["variant"]["id"] in str(error.value)
    assert new["variant"]["id"] not in str(error.value)


def test_a_making_energy_without_its_code_is_refused(study: Any) -> None:
    study.variant("fp32")
    change(study.variants[0]["making_energy"], code=[])
    with pytest.raises(CodewattError, match=r"making_energy\.json: no 'code'"):
        tables(study)


def test_methods_that_use_different_modules_are_not_different_versions(study: Any) -> None:
    study.variant("fp32", code=["stage.py aaaa", "codewatt.quantise.none 1"])
    study.variant("int8", code=["stage.py aaaa", "codewatt.quantise.bitsandbytes 2"])
    study.cell("fp32")
    assert len(tables(study)["variant"]) == 2


def test_a_result_without_its_code_is_refused(study: Any) -> None:
    entry = study.cell("fp32")
    for code, reason in ((None, "code: input should be a valid list"), ([], "no 'code'")):
        change(entry["energy"], code=code)
        with pytest.raises(CodewattError, match=rf"energy\.json: {reason}"):
            tables(study)
