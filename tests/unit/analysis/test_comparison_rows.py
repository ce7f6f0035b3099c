"""The comparison table: within sessions, beside what scipy computes of the same runs."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.changes import ComparisonSettings
from codewatt.analysis.compared_pairs import Pair, StudyRows
from codewatt.analysis.tables import to_rows
from codewatt.analysis.task_comparisons import compare_task_metric
from tests.support.records import METER, PROVENANCE
from tests.unit.analysis.conftest import BASELINE, FP32, fail_repeat_1

INT8, NF4 = (FP32.replace("fp32", precision) for precision in ("int8", "nf4"))
#: Joules of the repeats of each session: sessions differ by 10 to 20 %, cells by half.
FIRST = ((100.0, 101.0), (120.0, 121.0), (90.0, 91.0))
SECOND = ((50.0, 51.0), (61.0, 60.0), (45.5, 45.0))


def compared(study: Any, **settings: Any) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(cell, reference, metric) -> row."""
    made = aggregate(
        study.cells, study.variants, BASELINE, {}, "node", ComparisonSettings(**settings)
    )
    rows = to_rows(made["comparison"])
    return {(r["cell_id"], r["reference_cell_id"], r["metric"]): r for r in rows}


def on(host: str) -> Any:
    found = {"meters": [METER], "provenance": {**PROVENANCE, "host": host}}
    return lambda contents: contents["generate"].update(found)


def sessions(study: Any, hosts: tuple[str, ...] = ("n1", "n1", "n1")) -> None:
    for number, (first, second) in enumerate(zip(FIRST, SECOND, strict=True)):
        options = {"session": number + 1}
        study.cell("fp32", joules_per_run=first, edit=on("n1"), **options)
        study.cell("int8", joules_per_run=second, edit=on(hosts[number]), **options)


def test_several_sessions_are_compared_within_themselves(study: Any) -> None:
    sessions(study)
    row = compared(study)[(INT8, FP32, "energy_j")]
    means = [[np.log(of).mean() for of in side] for side in (FIRST, SECOND)]
    test = stats.ttest_rel(means[1], means[0])
    apart = np.subtract(means[1], means[0])
    assert row["estimate"] == pytest.approx(math.expm1(apart.mean()))
    ends = np.expm1(test.confidence_interval(0.95))
    assert [row["ci95_low"], row["ci95_high"]] == pytest.approx(list(ends), rel=1e-8)
    assert (row["p"], row["df"]) == (pytest.approx(test.pvalue, rel=1e-8), 2)
    assert (row["sessions"], row["n"], row["n_reference"]) == (3, 6, 6)
    assert row["method"] == "Student's t of differences within sessions"
    assert (row["scale"], row["cliffs_delta"]) == ("ratio", -1)
    assert row["note"].endswith("the interval does not cover other boards")
    factor = math.gamma(1.0) / (math.sqrt(1.0) * math.gamma(0.5))
    assert row["hedges_g"] == pytest.approx(factor * apart.mean() / apart.std(ddof=1))
    within = np.mean([np.var(np.log(of), ddof=1) for side in (FIRST, SECOND) for of in side])
    assert row["within_job_log_sd"] == pytest.approx(math.sqrt(within))
    assert row["between_sessions_log_sd"] > 0.1
    limits = math.log(0.95), math.log(1.05)
    both = [
        stats.ttest_1samp(apart, limit, alternative=side).pvalue
        for limit, side in zip(limits, ("greater", "less"), strict=True)
    ]
    assert row["equivalence_p"] == pytest.approx(max(both), rel=1e-8)
    assert row["equivalent"] is False


def test_the_cell_table_has_the_same_estimates(study: Any) -> None:
    sessions(study)
    study.cell("nf4", joules_per_run=FIRST[0], edit=on("n1"), session=1)
    study.cell("nf4", joules_per_run=FIRST[1], edit=on("n1"), session=2)
    made = aggregate(study.cells, study.variants, BASELINE, {})
    rows = {(r["cell_id"], r["metric"]): r for r in to_rows(made["comparison"])}
    for cell in to_rows(made["cell"])[1:]:
        row = rows[(cell["cell_id"], "energy_j")]
        same = {
            "energy_j_change": "estimate",
            "energy_j_change_ci95_low": "ci95_low",
            "energy_j_change_p": "p",
            "energy_j_change_p_holm": "p_holm",
            "energy_j_comparisons": "comparisons",
        }
        assert [cell[name] for name in same] == [row[name] for name in same.values()]
        passed = rows[(cell["cell_id"], "pass_at_1_plus")]
        assert cell["noninferior_p_holm_plus"] == passed["noninferiority_p_holm"]
        assert cell["pass_at_1_plus_difference_ci95_high"] == passed["ci95_high"]
        ratio = rows[(cell["cell_id"], "j_per_correct_task_plus")]
        assert cell["j_per_correct_task_plus_change_ci95_low"] == ratio["ci95_low"]


def test_another_host_in_one_session_keeps_the_allowance(study: Any) -> None:
    sessions(study, hosts=("n1", "n2", "n1"))
    row = compared(study)[(INT8, FP32, "energy_j")]
    study.cells.clear()
    assert "12 % difference is allowed for" in row["note"]
    means = [[np.log(of).mean() for of in side] for side in (FIRST, SECOND)]
    low, high = stats.ttest_rel(means[1], means[0]).confidence_interval(0.95)
    wide = [math.expm1(low - math.log(1.12)), math.expm1(high + math.log(1.12))]
    assert [row["ci95_low"], row["ci95_high"]] == pytest.approx(wide, rel=1e-8)


def test_one_session_says_what_its_interval_does_not_cover(study: Any) -> None:
    study.cell("fp32")
    study.cell("int8", joules_per_run=(50.0, 51.0, 52.0))
    row = compared(study)[(INT8, FP32, "energy_j")]
    assert row["method"] == "Welch, repeats within one job"
    assert row["note"] == "one session: the interval does not cover differences between sessions"
    welch = stats.ttest_ind(np.log([50, 51, 52]), np.log([100, 110, 120]), equal_var=False)
    assert row["p"] == pytest.approx(welch.pvalue, rel=1e-8)


def test_cells_without_a_common_session_are_not_compared(study: Any) -> None:
    study.cell("fp32", session=1)
    study.cell("int8", session=2)
    row = compared(study)[(INT8, FP32, "energy_j")]
    assert (row["estimate"], row["note"]) == (None, "no session has both cells")


def test_named_pairs_are_compared_and_join_the_family(study: Any) -> None:
    study.cell("fp32")
    study.cell("int8", joules_per_run=(50.0, 51.0, 52.0), solved=("t0", "t1"))
    study.cell("nf4", joules_per_run=(40.0, 41.0, 42.0), solved=("t0",))
    alone = compared(study)
    rows = compared(study, pairs=[(NF4, INT8), (INT8, NF4), (INT8, FP32)])
    assert {key[:2] for key in rows} == {(INT8, FP32), (NF4, FP32), (NF4, INT8)}
    row = rows[(NF4, INT8, "energy_j")]
    assert row["estimate"] == pytest.approx(
        math.exp(np.log([40, 41, 42]).mean() - np.log([50, 51, 52]).mean()) - 1
    )
    assert row["comparisons"] == 3
    key = (INT8, FP32, "energy_j")
    assert rows[key]["p"] == alone[key]["p"]
    family = [one for one in rows.values() if one["metric"] == "energy_j"]
    adjusted = multipletests([one["p"] for one in family], method="holm")[1]
    assert [one["p_holm"] for one in family] == pytest.approx(list(adjusted), rel=1e-10)
    assert rows[(NF4, INT8, "pass_at_1_plus")]["estimate"] == -0.25


def test_what_is_withheld_has_a_row_and_the_reason(study: Any) -> None:
    study.cell("fp32")
    study.cell("int8", edit=fail_repeat_1)
    study.infeasible("nf4", "out of memory")
    rows = compared(study)
    row = rows[(INT8, FP32, "energy_j")]
    assert (row["estimate"], row["note"]) == (None, "this cell failed a validity check")
    assert rows[(NF4, FP32, "energy_j")]["note"] == "this cell is infeasible"


def test_the_frontier_has_probabilities(study: Any) -> None:
    """The same tasks solved: the cheaper cell is on the frontier, the other only by chance."""
    study.cell("fp32", tasks=40)
    study.cell("int8", tasks=40, joules_per_run=(50.0, 51.0, 52.0))
    study.cell("nf4", tasks=40, joules_per_run=(50.0, 51.0, 52.0), edit=fail_repeat_1)
    made = aggregate(study.cells, study.variants, BASELINE, {})
    dear, cheap, failed = (r["frontier_probability_plus"] for r in to_rows(made["cell"]))
    assert cheap > 0.99
    assert 0.05 < dear < 0.5
    assert failed is None


@pytest.mark.parametrize(("missing", "compared_"), [(5, True), (6, False)])
def test_tasks_are_not_compared_where_short_tasks_have_no_energy(
    missing: int, compared_: bool
) -> None:
    cells = {name: _valid_cell(name) for name in ("base", "x")}
    tasks = {
        name: [
            {"session": 1, "task_id": f"t{i}", "energy_j": None if i < missing else value + i}
            for i in range(100)
        ]
        for name, value in (("base", 10.0), ("x", 9.0))
    }
    pair = Pair(cells["x"], cells["base"], True, None, True, 0.0)
    found = compare_task_metric(StudyRows(cells, {}, tasks, {}), pair, "task_energy_j")
    assert (found is not None) is compared_
    if found is not None:
        logs = [math.log((9.0 + i) / (10.0 + i)) for i in range(missing, 100)]
        assert found.difference.value == pytest.approx(np.mean(logs))


def _valid_cell(name: str) -> dict[str, Any]:
    basis = ("energy_boundary", "cpu_share", "gpu_names", "cpu_name", "gpu_energy_status")
    return {"cell_id": name, "status": "ok", "valid": True, **dict.fromkeys(basis)}
