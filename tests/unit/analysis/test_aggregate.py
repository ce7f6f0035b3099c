"""Result files become tidy tables: the right figures, absent ones absent, nothing mixed."""

import csv
import math
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.columns import CELL, TABLES
from codewatt.analysis.stats import paired_interval
from codewatt.analysis.tables import to_rows
from codewatt.energy.boundaries import PARTS
from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json

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
        "expectation": 2,
    }


def test_a_task_row_has_times_and_verdicts(study: Any) -> None:
    row = two_cells(study)["task"][3]
    assert (row["cell_id"], row["repeat"], row["task_id"]) == (FP32, 0, "t3")
    assert row["latency_s"] == pytest.approx(0.5)
    assert row["ttft_s"] == pytest.approx(0.1)
    assert row["tpot_s"] == pytest.approx(0.4 / 9)
    assert (row["base_status"], row["plus_status"]) == ("pass", "fail")


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
    half = 4.302652729911275 * 10 / math.sqrt(3)
    assert cell["energy_j_ci95_low"] == pytest.approx(110 - half)
    assert cell["energy_j_sd196_high"] == pytest.approx(110 + 19.6)
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
    assert other["energy_j_change"] == pytest.approx(-0.5)
    assert other["pass_at_1_plus_change"] == pytest.approx((0.25 - 0.75) / 0.75)
    assert (other["tasks_lost_plus"], other["tasks_gained_plus"]) == (2, 0)
    assert other["mcnemar_p_plus"] == pytest.approx(0.5)
    assert other["pass_at_1_plus_difference"] == pytest.approx(-0.5)
    names = [f"pass_at_1_plus_difference_ci95_{end}" for end in ("low", "high")]
    # Of four tasks: one solved by both, none gained, two lost, one solved by neither.
    assert [other[name] for name in names] == pytest.approx(list(paired_interval(1, 0, 2, 1)))
    assert base["tasks_lost_plus"] is base["pass_at_1_plus_difference"] is base[names[0]] is None


def test_a_variants_size_is_compared_with_its_models_baseline(study: Any) -> None:
    rows = two_cells(study)["variant"]
    assert rows[1]["baseline_variant_id"] == "nano--none--fp32"
    assert rows[1]["size_bytes_change"] == pytest.approx((1_000_000 - 3_040_000) / 3_040_000)


def test_a_variants_making_costs_what_its_telemetry_tells_today(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joules in a manifest would be those of the code that made the weights."""
    status = dict.fromkeys(PARTS, "modelled")
    cost = {"energy_j": dict.fromkeys(PARTS, 1.5), "energy_status": status, "energy_note": "late"}
    monkeypatch.setattr("codewatt.analysis.records.cost_of", lambda manifest: cost)
    row = two_cells(study)["variant"][1]
    assert (row["quantise_energy_j"], row["quantise_cpu_energy_status"]) == (1.5, "modelled")
    assert row["quantise_energy_note"] == "late"


def test_an_invalid_cell_is_compared_with_nothing(study: Any) -> None:
    study.cell("fp32")
    study.cell("int8", edit=lambda contents: contents["energy"].update(valid=False))
    cell = tables(study)["cell"][1]
    assert cell["energy_j_change"] is None
    assert cell["change_note"] == "this cell failed an expectation"


def test_other_cards_and_other_boundaries_are_not_compared(study: Any) -> None:
    def on(name: str) -> Any:
        meter = {"name": "nvml", "devices": [{"name": name}]}
        return lambda contents: contents["generate"].update(meters=[meter])

    study.cell("fp32", edit=on("H100"))
    study.cell("int8", edit=on("H200"))
    study.cell("nf4", edit=lambda contents: contents["energy"].update(boundary="job"))
    _, other_card, other_boundary = tables(study)["cell"]
    assert other_card["gpu_names"] == "H200"
    assert other_card["energy_j_change"] is None
    assert "H200" in other_card["change_note"]
    assert other_card["duration_s_change"] is not None
    assert other_boundary["energy_j_change"] is None
    assert "job, 0.5 of the processors" in other_boundary["change_note"]


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
    assert "came about differently" in cell["change_note"]
    assert cell["energy_j_change"] is cell["j_per_token_change"] is cell["co2e_kg_change"] is None
    assert cell["duration_s_change"] == 0
    assert cell["pass_at_1_plus_change"] == 0


def test_nothing_metered_is_compared_with_an_invalid_baseline(study: Any) -> None:
    study.cell("fp32", edit=fail_repeat_1)
    study.cell("int8")
    base, other = tables(study)["cell"]
    assert other["change_note"] == "baseline cell failed an expectation"
    assert other["energy_j_change"] is other["duration_s_change"] is None
    assert other["pass_at_1_plus_change"] == 0
    assert (
        base["failed_expectations"] == "gpu_not_shared (repeat 1): 2 processes, limit 1 processes"
    )


def fail_repeat_1(contents: dict[str, Any]) -> None:
    contents["energy"]["valid"] = False
    contents["energy"]["expectations"].append(
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


def test_a_failed_expectation_marks_its_run_and_its_cell(study: Any) -> None:
    study.cell("fp32", edit=fail_repeat_1)
    made = tables(study)
    assert [run["valid"] for run in made["run"]] == [True, False, True]
    assert made["cell"][0]["valid"] is False


def test_an_expectation_that_could_not_be_checked_is_no_failure(study: Any) -> None:
    def unchecked(contents: dict[str, Any]) -> None:
        contents["energy"]["expectations"][0] |= {"passed": None, "observed": None}

    study.cell("fp32", edit=unchecked)
    cell = tables(study)["cell"][0]
    assert cell["valid"] is True
    assert cell["failed_expectations"] is None
    assert cell["unchecked_expectations"] == "window_long_enough (repeat 0): limit 1 s"


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
    run = tables(study)["run"][0]
    assert run["pass_at_1_plus"] == 0
    assert run["j_per_correct_task_plus"] is None


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
    for name in ("energy_j", "j_per_token", "j_per_task", "pass_at_1_plus_per_kwh", "co2e_kg"):
        assert made["run"][0][name] is None
        assert made["cell"][0][f"{name}_mean"] is None
    assert made["cell"][0]["tokens_per_s_mean"] == 10


def test_several_samples_count_by_task(study: Any) -> None:
    study.cell("fp32", solved=("t0",), samples=2)
    cell = tables(study)["cell"][0]
    assert (cell["tasks"], cell["samples_per_task"]) == (4, 2)
    assert cell["pass_at_1_plus"] == 0.25
    assert cell["tasks_lost_plus"] is cell["pass_at_1_plus_difference"] is None


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
    assert str(error.value).startswith("evaluate: results of different versions of the library")
    assert "codewatt.files changed" in str(error.value)
    assert old["cell"]["id"] in str(error.value)
    assert new["cell"]["id"] not in str(error.value)
    assert "\n" not in str(error.value)


def test_methods_that_use_different_modules_are_not_different_versions(study: Any) -> None:
    study.variant("fp32", code=["stage.py aaaa", "codewatt.quantise.none 1"])
    study.variant("int8", code=["stage.py aaaa", "codewatt.quantise.bitsandbytes 2"])
    study.cell("fp32")
    assert len(tables(study)["variant"]) == 2


def test_a_result_without_its_code_is_refused(study: Any) -> None:
    entry = study.cell("fp32")
    change(entry["energy"], code=None)
    with pytest.raises(CodewattError, match=r"energy\.json: no 'code'"):
        tables(study)
