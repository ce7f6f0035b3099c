"""Result files become tidy tables: the right figures, absent ones absent, nothing mixed."""

import csv
import math
import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.columns import CELL, TABLES
from codewatt.analysis.tables import to_rows
from codewatt.energy.boundaries import PARTS
from codewatt.errors import CodewattError
from tests.unit.analysis.conftest import BASELINE, FP32, fail_repeat_1, tables, two_cells


def test_every_level_has_its_rows(study: Any) -> None:
    made = two_cells(study)
    assert {level: len(rows) for level, rows in made.items()} == {
        "task": 2 * 3 * 4,
        "run": 2 * 3,
        "session": 2,
        "cell": 2,
        "comparison": 11,
        "variant": 2,
        "domain": 0,
        "domain_comparison": 0,
        "check": 3,  # one of each cell, and the one that compares both
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


def test_a_variants_making_costs_what_its_energy_record_tells(study: Any) -> None:
    status = dict.fromkeys(PARTS, "modelled")
    cost = {"energy_j": dict.fromkeys(PARTS, 1.5), "energy_status": status, "energy_note": "late"}
    study.making = cost
    row = two_cells(study)["variant"][1]
    assert (row["quantise_energy_j"], row["quantise_cpu_energy_status"]) == (1.5, "modelled")
    assert row["quantise_energy_note"] == "late"


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
        if level != "task":  # it is written only
            assert to_rows(read) == to_rows(made[level])
        with open(out[f"{level}_csv"], newline="") as stream:
            assert next(csv.reader(stream)) == list(columns)


def test_an_empty_study_still_has_its_columns(study: Any) -> None:
    made = aggregate([], [], BASELINE, {})
    assert list(made["cell"].columns) == list(CELL)


def test_an_unknown_output_is_refused(study: Any) -> None:
    with pytest.raises(CodewattError, match=r"'tasks_csv'; allowed: task, task_csv"):
        aggregate([], [], BASELINE, {"tasks_csv": "x"})
