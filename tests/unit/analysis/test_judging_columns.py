"""Tables have the energy of judging beside that of generating, and their sum."""

import math
from pathlib import Path
from typing import Any

import pytest

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.summary import write_summary
from codewatt.energy.task_energy import TaskEnergy, write_task_energies
from tests.support.records import joules
from tests.unit.analysis.conftest import BASELINE, tables


def edit_energy(**changes: Any) -> Any:
    """Replaces parts of energy.json's "evaluate"."""

    def edit(contents: Any) -> None:
        contents["energy"]["evaluate"] |= changes

    return edit


def judged_run(repeat: int, **known: float) -> dict[str, Any]:
    return {
        "repeat": repeat,
        "energy_j": joules(**known),
        "uncertainty_j": joules(node=0.5),
        "unshared_energy_j": joules(node=3 * known["node"]),
    }


def test_a_run_has_generate_evaluate_and_both(study: Any) -> None:
    runs = [judged_run(0, cpu=6.0, dram=2.0, node=8.0), judged_run(1, cpu=3.0, dram=1.0, node=4.0)]
    study.cell("fp32", joules_per_run=(100.0, 120.0), edit=edit_energy(runs=runs))
    first, second = tables(study)["run"]
    assert (first["energy_j"], first["evaluate_energy_j"]) == (100.0, 8.0)
    assert first["generate_evaluate_energy_j"] == pytest.approx(108.0)
    assert first["generate_evaluate_cpu_j"] == pytest.approx(75.0 + 6.0)
    assert first["evaluate_unshared_energy_j"] == 24.0
    # Bounds of generating, 0.75 + 0.25 J, and of judging, 0.5 J.
    assert first["generate_evaluate_energy_uncertainty_j"] == pytest.approx(1.5)
    assert second["generate_evaluate_j_per_task"] == pytest.approx(124.0 / 4)
    # t0, t1 and t2 pass all tests.
    assert second["generate_evaluate_j_per_correct_task_plus"] == pytest.approx(124.0 / 3)
    assert second["generate_evaluate_pass_at_1_plus_per_kwh"] == pytest.approx(0.75 / 124 * 3.6e6)
    assert first["evaluate_note"] is None


def test_a_cell_pools_generating_and_judging(study: Any) -> None:
    runs = [judged_run(r, cpu=6.0, dram=2.0, node=8.0) for r in range(2)]
    study.cell("fp32", joules_per_run=(100.0, 120.0), edit=edit_energy(runs=runs))
    (row,) = tables(study)["cell"]
    assert row["evaluate_energy_j_mean"] == 8.0
    assert row["generate_evaluate_energy_j_geomean"] == pytest.approx(math.sqrt(108 * 128))
    assert row["generate_evaluate_j_per_correct_task_plus"] == pytest.approx((108 + 128) / 6)
    # The whole window, of which the bounds are those of its edges.
    assert (row["evaluate_energy_j"], row["evaluate_energy_uncertainty_j"]) == (10.0, 0.75)


def test_with_boundary_gpu_judging_adds_nothing(study: Any) -> None:
    def on_a_gpu(contents: Any) -> None:
        energy = contents["energy"]
        energy["boundary"] = "gpu"
        energy["components"]["gpu"] = {"status": "measured", "method": "NVML", "detail": None}
        for run in energy["runs"]:
            run["energy_j"] |= {"gpu": 50.0}

    study.cell("fp32", edit=on_a_gpu)
    found = tables(study, "gpu")
    row = found["run"][0]
    assert (row["energy_j"], row["evaluate_energy_j"]) == (50.0, None)
    assert row["generate_evaluate_energy_j"] == 50.0
    assert found["cell"][0]["generate_evaluate_energy_status"] == "measured"


@pytest.mark.parametrize("changes", [{"runs": [], "note": "cpu: too short"}, None])
def test_without_a_figure_of_judging_there_is_no_sum_and_a_note(study: Any, changes: Any) -> None:
    def edit(contents: Any) -> None:
        energy = contents["energy"]
        energy["evaluate"] = None if changes is None else energy["evaluate"] | changes

    study.cell("fp32", edit=edit)
    found = tables(study)
    row = found["run"][0]
    assert row["energy_j"] == 100.0
    assert row["generate_evaluate_energy_j"] is None
    assert row["generate_evaluate_j_per_correct_task_plus"] is None
    assert row["j_per_correct_task_plus"] is not None
    assert row["evaluate_note"] == (changes["note"] if changes else "judging was not metered")
    assert found["cell"][0]["valid"]


def test_judging_on_another_machine_is_said(study: Any) -> None:
    def elsewhere(contents: Any) -> None:
        made = contents["evaluate"]["provenance"]
        contents["evaluate"]["provenance"] = {**made, "host": "node2", "cpu": "EPYC"}

    study.cell("fp32", edit=elsewhere)
    (row,) = tables(study)["cell"]
    assert (row["host"], row["evaluate_host"], row["evaluate_cpu_name"]) == (
        *("node1", "node2"),
        "EPYC",
    )
    assert row["evaluate_note"] == (
        "judged on node2, generated on node1: generate_evaluate columns are sums over two machines"
    )
    assert row["generate_evaluate_energy_j_mean"] is not None


def test_sums_are_compared_only_where_both_cells_were_judged_alike(study: Any) -> None:
    def elsewhere(contents: Any) -> None:
        made = contents["evaluate"]["provenance"]
        contents["evaluate"]["provenance"] = {**made, "cpu": "EPYC"}

    study.cell("fp32", tasks=40)
    study.cell("int8", tasks=40, joules_per_run=(50.0, 55.0, 60.0))
    study.cell("nf4", tasks=40, joules_per_run=(50.0, 55.0, 60.0), edit=elsewhere)
    _, alike, other = tables(study)["cell"]
    judged_j = 10.0 / 3
    changes = [(r - b) / b for r, b in (((55 + judged_j), (110 + judged_j)),)]
    assert alike["generate_evaluate_energy_j_change"] == pytest.approx(changes[0], rel=0.01)
    assert alike["generate_evaluate_j_per_correct_task_plus_change"] is not None
    assert other["energy_j_change"] is not None
    assert other["j_per_correct_task_plus_change"] is not None
    for name in ("energy_j", "j_per_correct_task_plus", "pass_at_1_plus_per_kwh"):
        assert other[f"generate_evaluate_{name}_change"] is None


def test_a_task_has_its_time_its_energy_and_the_sum(study: Any, tmp_path: Path) -> None:
    entry = study.cell("fp32", tasks=1, solved=("t0",), joules_per_run=(100.0,))
    generated = {
        f"{part}{kind}_j": value
        for part, value in joules(cpu=30.0, dram=10.0, node=40.0, job=20.0).items()
        for kind in ("", "_uncertainty")
    }
    judged = {
        f"evaluate_{part}{kind}_j": value
        for part, value in joules(cpu=3.0, dram=1.0, node=4.0, job=2.0).items()
        for kind in ("", "_uncertainty")
        if part != "gpu"
    }
    row: TaskEnergy = {  # type: ignore[typeddict-item]
        "repeat": 0,
        "sample": 0,
        "task_id": "t0",
        "energy_note": None,
        **generated,
        **judged,
        "evaluate_completions": 3,
        "evaluate_note": None,
    }
    write_task_energies(tmp_path / "task_energy.parquet", [row])
    study.cells = [{**entry, "task_energy": tmp_path / "task_energy.parquet"}]
    (task,) = tables(study)["task"]
    # The program ran from 200.5 to 203 s.
    assert (task["evaluate_s"], task["evaluate_cpu_s"]) == (2.5, 0.1)
    assert (task["energy_j"], task["evaluate_energy_j"]) == (40.0, 4.0)
    assert task["generate_evaluate_energy_j"] == 44.0
    assert task["generate_evaluate_job_j"] == 22.0
    assert task["generate_evaluate_energy_uncertainty_j"] == 44.0
    assert task["evaluate_completions"] == 3


def test_the_summary_lists_judging_beside_generating(study: Any, tmp_path: Path) -> None:
    runs = [judged_run(r, cpu=6.0, dram=2.0, node=8.0) for r in range(2)]
    study.cell("fp32", joules_per_run=(72.0, 72.0), edit=edit_energy(runs=runs))
    found = aggregate(study.cells, study.variants, BASELINE, {})
    page = tmp_path / "summary.html"
    write_summary(found["cell"], found["variant"], found["check"], {}, {}, {}, page)
    section = page.read_text().partition("Energy of judging</h2>")[2].partition("<h2>")[0]
    for text in ("72.0 J", "8.00 J", "10.0% of both", "80.0 J"):
        assert text in section
