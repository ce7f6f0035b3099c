"""Excluded tasks have no verdict: accuracy is of the judged tasks, and the pages say which."""

from pathlib import Path
from typing import Any

import pytest

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.proportions import wilson_interval
from codewatt.analysis.summary import write_summary
from tests.unit.analysis.conftest import BASELINE, tables

#: Of two tests that failed; the tables separate tasks by semicolons.
WHY = "the reference program does not pass here (fail: a: no network; b: no network)"
LISTED = WHY.replace(";", ",")


def without_verdict(*names: str) -> Any:
    """Changes a cell's records so that these tasks are excluded."""

    def edit(contents: dict[str, Any]) -> None:
        for verdict in contents["evaluate"]["verdicts"]:
            if verdict["task_id"] in names:
                verdict |= {"base": None, "plus": None, "why": f"excluded: {WHY}"}

    return edit


def test_accuracy_is_of_the_judged_tasks_and_leaves_out_the_energy_of_the_others(
    study: Any,
) -> None:
    study.cell("fp32", solved=("t0", "t1"), tasks=10, edit=without_verdict("t8", "t9"))
    made = tables(study)
    (cell,), run = made["cell"], made["run"][0]
    # Runs of 100, 110 and 120 J. Base tests let t0, t1 and the last task, t9, pass; t9 is excluded.
    assert (run["tasks"], run["tasks_judged"], run["correct_base"]) == (10, 8, 2)
    assert run["pass_at_1_base"] == pytest.approx(2 / 8)
    assert run["j_per_correct_task_base"] == pytest.approx(100 * 8 / 10 / 2)
    assert run["j_per_task"] == pytest.approx(100 / 10)
    assert cell["j_per_correct_task_base"] == pytest.approx(330 * 8 / 10 / 6)
    low, high = wilson_interval(2, 8)
    assert cell["pass_at_1_base_wilson95_low"] == pytest.approx(low)
    assert cell["pass_at_1_base_wilson95_high"] == pytest.approx(high)
    assert cell["excluded_tasks"] == f"t8: {LISTED}; t9: {LISTED}"
    excluded = [row for row in made["task"] if row["task_id"] == "t9"]
    assert {row["base_status"] for row in excluded} == {None}
    assert {row["solved_base"] for row in excluded} == {None}
    assert {row["exclusion_reason"] for row in excluded} == {WHY}


def test_paired_comparisons_use_the_judged_tasks(study: Any) -> None:
    edit = without_verdict("t9")
    study.cell("fp32", solved=("t0", "t1", "t2"), tasks=10, edit=edit)
    study.cell("int8", solved=("t0", "t3"), tasks=10, edit=edit)
    row = tables(study)["cell"][1]
    assert row["pass_at_1_base_difference"] == pytest.approx((1 - 2) / 9)
    assert (row["tasks_lost_base"], row["tasks_gained_base"]) == (2, 1)


def test_a_cell_whose_tasks_are_all_excluded_has_no_accuracy(study: Any) -> None:
    study.cell("fp32", tasks=2, solved=("t0",), edit=without_verdict("t0", "t1"))
    made = tables(study)
    assert made["cell"][0]["tasks_judged"] == 0
    for name in ("pass_at_1_base", "pass_at_1_base_wilson95_low", "j_per_correct_task_base"):
        assert made["cell"][0][name] is None
    assert made["run"][0]["correct_base"] is None


def test_the_summary_page_names_the_excluded_tasks(study: Any, tmp_path: Path) -> None:
    study.cell("fp32", tasks=10, edit=without_verdict("t8", "t9"))
    made = aggregate(study.cells, study.variants, BASELINE, {})
    out = tmp_path / "summary.html"
    write_summary(made["cell"], made["variant"], made["check"], {}, {}, {}, out)
    page = out.read_text()
    assert "2 tasks are excluded" in page
    assert f"<li>t9: {LISTED}</li>" in page
