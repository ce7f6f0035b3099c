"""The tables of statistical tests: values, families, sentences and reasons to withhold."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.columns import CELL_IDS
from codewatt.analysis.log_scale_statistics import holm
from codewatt.analysis.statistical_tests.columns import REGRESSION, STATISTICAL_TEST
from codewatt.analysis.statistical_tests.make_tables import make_statistical_tests
from codewatt.analysis.statistical_tests.observations import read_observations
from codewatt.analysis.summary import write_summary
from codewatt.analysis.tables import to_rows

Json = dict[str, Any]
TASKS = 30
#: Precision -> mean energy of a task (J).
PRECISIONS = {"bf16": 100.0, "int8": 90.0, "int4": 60.0}


class Tables:
    """Tables of cells, runs and tasks of a study that never ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells: list[Json] = []
        self.runs: list[Json] = []
        self.tasks: list[Json] = []

    def cell(
        self,
        precision: str = "bf16",
        model: str = "m",
        batch_size: int = 1,
        repeats: int = 3,
        sessions: int = 1,
        **changes: Any,
    ) -> str:
        """Add a cell with drawn energies; `changes` replaces columns of its row."""
        cell_id = f"{model}--{precision}--b{batch_size}"
        ids = {
            "cell_id": cell_id, "variant_id": f"{model}--{precision}", "model": model,
            "prune": "full", "precision": precision, "prune_layers": 0, "benchmark": "bench",
            "prompt": "chat", "token_limit": 64, "batch_size": batch_size, "engine": "graph",
            "hardware": None,
        }  # fmt: skip
        status = {
            "status": "ok", "status_reason": None, "valid": True, "failed_checks": None,
            "host": "node1", "gpu_uuids": "GPU-1", "gpu_names": "H200", "cpu_name": "EPYC",
            "energy_boundary": "gpu", "gpu_energy_status": "measured",
            "gpu_energy_method": "NVML counter", "cpu_share": None,
        }  # fmt: skip
        self.cells.append({**ids, **status, **changes})
        draw = np.random.default_rng(len(self.cells))
        of_task = np.random.default_rng(99).lognormal(0, 0.5, TASKS)
        for session in range(1, sessions + 1):
            for repeat in range(repeats):
                joules = PRECISIONS[precision] * of_task * draw.lognormal(0, 0.05, TASKS)
                key = {"cell_id": cell_id, "session": session, "repeat": repeat, "valid": True}
                self.runs.append({**key, "energy_j": joules.sum()})
                self.tasks += [
                    {
                        **key, "task_id": f"t{i}", "energy_j": joules[i],
                        "domains": ("Time", "Network", None)[i % 3],
                        "new_tokens": int(200 * of_task[i]),
                    }
                    for i in range(TASKS)
                ]  # fmt: skip
        return cell_id

    def make(self) -> dict[str, list[Json]]:
        """Both tables as rows, and read back from their files."""
        paths = {name: self.folder / f"{name}.parquet" for name in ("cells", "runs", "tasks")}
        for name, path in paths.items():
            pd.DataFrame(getattr(self, name)).convert_dtypes().to_parquet(path)
        names = ("statistical_test", "regression")
        out = {name: self.folder / f"{name}.parquet" for name in names}
        out |= {f"{name}_csv": self.folder / f"{name}.csv" for name in names}
        make_statistical_tests(paths["cells"], paths["runs"], paths["tasks"], out)
        return {name: to_rows(pd.read_parquet(out[name])) for name in names}

    def means(self, cell_id: str) -> list[float]:
        """Energy of each task: the mean over repeats."""
        frame = pd.DataFrame([row for row in self.tasks if row["cell_id"] == cell_id])
        return list(frame.groupby("task_id", sort=False)["energy_j"].mean())


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


@pytest.fixture
def three(tables: Tables) -> Tables:
    """Three precisions of one model."""
    for precision in PRECISIONS:
        tables.cell(precision)
    return tables


def found(rows: list[Json], **wanted: Any) -> list[Json]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def one(rows: list[Json], **wanted: Any) -> Json:
    (row,) = found(rows, **wanted)
    return row


def test_tests_of_a_cell_use_each_task_once(three: Tables) -> None:
    rows = three.make()["statistical_test"]
    values = three.means("m--int8--b1")
    assert len(values) == TASKS
    of = {"cell_id": "m--int8--b1", "level": "task"}
    normal = one(rows, test="Shapiro-Wilk", metric="energy_j", **of)
    assert (normal["statistic"], normal["p"]) == pytest.approx(tuple(stats.shapiro(values)))
    assert normal["n"] == TASKS
    logs = one(rows, test="Shapiro-Wilk", metric="ln energy_j", **of)
    assert logs["statistic"] == pytest.approx(stats.shapiro(np.log(values)).statistic)
    halves = one(rows, test="Levene", **of)
    expected = stats.levene(values[:15], values[15:], center="mean")
    assert (halves["statistic"], halves["p"]) == pytest.approx(tuple(expected))
    assert halves["conclusion"].startswith(
        "The test does not show that the variance of the energies of the tasks differs between "
    )
    assert "the first and the second half of the benchmark's tasks" in halves["conclusion"]


def test_cells_that_differ_in_precision_are_compared(three: Tables) -> None:
    rows = three.make()["statistical_test"]
    ids = sorted(f"m--{precision}--b1" for precision in PRECISIONS)
    groups = [three.means(cell_id) for cell_id in ids]
    of = {"factor": "variant", "level": "task"}
    group = "model m, benchmark bench, prompt chat, token_limit 64, batch_size 1, engine graph"
    for test, theirs in (
        ("Kruskal-Wallis", stats.kruskal(*groups)),
        ("Friedman", stats.friedmanchisquare(*groups)),
        ("Levene", stats.levene(*groups, center="mean")),
        ("Brown-Forsythe", stats.levene(*groups, center="median")),
    ):
        row = one(rows, test=test, **of)
        assert (row["statistic"], row["p"]) == pytest.approx((theirs.statistic, theirs.pvalue))
        assert (row["group"], row["cells"], row["family_tests"]) == (group, 3, 1)
        assert row["p_holm"] == row["p"]
    pairs = found(rows, test="Dunn", level="task")
    adjusted = scikit_posthocs.posthoc_dunn(groups, p_adjust="holm")
    assert len(pairs) == 3
    for row in pairs:
        i, j = ids.index(row["cell_id"]), ids.index(row["other_cell_id"])
        assert row["p_holm"] == pytest.approx(adjusted.iloc[i, j], rel=1e-8)
        assert row["family_tests"] == 3


def test_sentences_say_what_is_shown(three: Tables) -> None:
    rows = three.make()["statistical_test"]
    friedman = one(rows, test="Friedman")
    assert friedman["conclusion"] == (
        "The energies of the tasks of at least one of the 3 cells tend to be larger than those of "
        f"another (p < 0.001; Kendall's W = {friedman['effect']:.3g})."
    )
    pair = one(rows, test="Dunn", cell_id="m--bf16--b1", other_cell_id="m--int4--b1", level="task")
    assert pair["statistic"] > 0
    assert pair["conclusion"].startswith(
        "The energies of the tasks of the first cell tend to be larger (Holm-adjusted p "
    )
    shown = {row["conclusion"] is None for row in rows if row["statistic"] is not None}
    assert shown == {False}
    for row in rows:
        assert (row["statistic"] is None) == (row["conclusion"] is None)
        assert row["statistic"] is not None or row["note"]


def test_families_are_adjusted_by_holm(three: Tables) -> None:
    three.cell("int4", model="other")
    made = three.make()
    for rows in made.values():
        families: dict[str, list[Json]] = {}
        for row in rows:
            if row["p"] is not None and row.get("term") != "intercept":
                families.setdefault(row["family"], []).append(row)
        assert families
        for members in families.values():
            assert [r["p_holm"] for r in members] == pytest.approx(holm([r["p"] for r in members]))
            assert {r["family_tests"] for r in members} == {len(members)}
    normality = one(
        made["statistical_test"],
        test="Shapiro-Wilk", level="task", metric="energy_j", cell_id="other--int4--b1",
    )  # fmt: skip
    assert normality["family"] == "Shapiro-Wilk, energy_j per task"
    assert normality["family_tests"] == 4


def test_models_and_batch_sizes_are_factors_too(tables: Tables) -> None:
    for model, batch_size in (("a", 1), ("a", 8), ("b", 1)):
        tables.cell("bf16", model=model, batch_size=batch_size)
    rows = tables.make()["statistical_test"]
    compared = {
        factor: {
            (r["cell_id"], r["other_cell_id"]) for r in found(rows, test="Dunn", factor=factor)
        }
        for factor in ("variant", "model", "batch_size")
    }
    assert compared == {
        "variant": set(),
        "model": {("a--bf16--b1", "b--bf16--b1")},
        "batch_size": {("a--bf16--b1", "a--bf16--b8")},
    }
    assert one(rows, test="Friedman", factor="model")["note"].startswith("Friedman's test needs")


def test_a_cell_that_failed_a_check_is_left_out_with_the_reason(three: Tables) -> None:
    three.cells[1] |= {"valid": False, "failed_checks": "gpu_not_shared"}
    made = three.make()
    for row in found(made["statistical_test"], cell_id="m--int8--b1"):
        assert row["statistic"] is None
        assert row["note"] == "the cell failed a validity check: gpu_not_shared"
    row = one(made["statistical_test"], test="Kruskal-Wallis", level="task")
    assert row["cells"] == 2
    assert row["note"] == "left out, as not tested: m--int8--b1"
    withheld = found(made["regression"], cell_id="m--int8--b1")
    assert {(r["term"], r["coefficient"]) for r in withheld} == {(None, None)}
    assert {r["note"] for r in withheld} == {"the cell failed a validity check: gpu_not_shared"}
    assert len(withheld) == 5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpu_energy_method": "NVML power"}, "the energies of the cells have different origins"),
        ({"gpu_names": "A100"}, "the energies of the cells have different origins"),
        ({"cpu_name": "Xeon"}, "the cells ran on different CPU models"),
    ],
)
def test_energies_that_cannot_be_compared_are_not(
    tables: Tables, changes: Json, reason: str
) -> None:
    tables.cell("bf16")
    tables.cell("int8", **changes)
    rows = tables.make()["statistical_test"]
    for test in ("Kruskal-Wallis", "Friedman", "Levene", "Brown-Forsythe"):
        row = one(rows, test=test, factor="variant", level="task")
        assert (row["statistic"], row["note"]) == (None, reason)
    assert not found(rows, test="Dunn")


def test_cells_on_two_boards_are_compared_with_a_remark(tables: Tables) -> None:
    tables.cell("bf16")
    tables.cell("int8", gpu_uuids="GPU-2")
    row = one(tables.make()["statistical_test"], test="Kruskal-Wallis", level="task")
    assert row["statistic"] is not None
    assert row["note"].startswith("the cells ran on 2 hosts or sets of GPUs")


def test_infeasible_and_unmetered_cells_are_withheld(tables: Tables) -> None:
    tables.cell("bf16", status="infeasible", status_reason="out of memory")
    tables.cell("int8")
    for row in tables.tasks:
        row["energy_j"] = None
    rows = tables.make()["statistical_test"]
    notes = {row["cell_id"]: row["note"] for row in found(rows, factor=None, level="task")}
    assert notes == {
        "m--bf16--b1": "the cell is infeasible: out of memory",
        "m--int8--b1": "no task of the cell has an energy",
    }
    group = one(rows, test="Kruskal-Wallis", level="task")
    assert group["note"].startswith("fewer than two cells of the group can be tested; left out")


def test_tests_of_tasks_are_withheld_where_short_tasks_have_no_energy(tables: Tables) -> None:
    tables.cell("bf16")
    ids = sorted({row["task_id"] for row in tables.tasks})
    missing = set(ids[: round(0.04 * len(ids))])
    for row in tables.tasks:
        if row["task_id"] in missing:
            row["energy_j"] = None
    row = one(tables.make()["statistical_test"], test="Durbin-Watson", level="task")
    assert row["n"] == len(ids) - len(missing)
    missing = set(ids[: round(0.1 * len(ids))])
    for row in tables.tasks:
        if row["task_id"] in missing:
            row["energy_j"] = None
    made = tables.make()
    row = one(made["statistical_test"], test="Durbin-Watson", level="task")
    told = f"only {len(ids) - len(missing)} of the cell's {len(ids)} tasks have an energy"
    assert row["statistic"] is None
    assert row["note"].startswith(told)
    assert all(row["note"].startswith(told) for row in made["regression"])
    of_runs = one(made["statistical_test"], test="Shapiro-Wilk", metric="energy_j", level="run")
    assert not (of_runs["note"] or "").startswith(told)


def test_an_invalid_repeat_is_not_used(tables: Tables) -> None:
    cell_id = tables.cell("bf16", repeats=6)
    for row in (*tables.runs, *tables.tasks):
        if row["repeat"] == 2:
            row["valid"], row["energy_j"] = False, 1e9
    made = tables.make()
    row = one(made["statistical_test"], test="Shapiro-Wilk", metric="energy_j", level="run")
    kept = [r["energy_j"] for r in tables.runs if r["valid"]]
    assert row["n"] == 5
    assert row["statistic"] == pytest.approx(stats.shapiro(kept).statistic)
    assert row["cell_id"] == cell_id
    terms = found(made["regression"], model_name="thesis", errors="HC3")
    assert {row["n"] for row in terms} == {5 * (TASKS - 1)}
    assert {row["series"] for row in terms} == {5}


def test_runs_are_compared_from_five_repeats_on(tables: Tables) -> None:
    for precision in PRECISIONS:
        tables.cell(precision, repeats=5)
    rows = tables.make()["statistical_test"]
    row = one(rows, test="Kruskal-Wallis", level="run")
    runs = pd.DataFrame(tables.runs).groupby("cell_id")["energy_j"].apply(list)
    assert row["statistic"] == pytest.approx(stats.kruskal(*runs).statistic)
    assert row["note"].startswith("the runs of a cell are of one job")


def test_with_three_repeats_runs_are_not_compared(three: Tables) -> None:
    row = one(three.make()["statistical_test"], test="Kruskal-Wallis", level="run")
    assert row["note"].startswith("a cell has 3 values; this test needs at least 5 in each cell")


def test_with_sessions_the_session_is_the_value(tables: Tables) -> None:
    for precision in ("bf16", "int4"):
        tables.cell(precision, sessions=5, repeats=2)
    made = tables.make()
    rows = made["statistical_test"]
    assert {row["level"] for row in rows} == {"task", "session"}
    row = one(rows, test="Kruskal-Wallis", level="session")
    means = pd.DataFrame(tables.runs).groupby(["cell_id", "session"])["energy_j"].mean()
    groups = [list(means[name]) for name in ("m--bf16--b1", "m--int4--b1")]
    assert row["statistic"] == pytest.approx(stats.kruskal(*groups).statistic)
    assert row["n"] == 10
    corrected = found(made["regression"], model_name="corrected", cell_id="m--bf16--b1")
    assert {r["n"] for r in corrected} == {5 * 2 * (TASKS - 1)}
    assert {r["series"] for r in corrected} == {10}


def test_a_group_is_tested_at_one_level(tables: Tables) -> None:
    """Runs of one job are not compared with means of sessions."""
    for precision, sessions in (("bf16", 5), ("int8", 1), ("int4", 6)):
        tables.cell(precision, sessions=sessions, repeats=6)
    rows = tables.make()["statistical_test"]
    of_group = [row for row in rows if row["factor"] == "variant" and row["level"] != "task"]
    assert {row["level"] for row in of_group} == {"session"}
    note = "left out, as they have no energies of two or more sessions: m--int8--b1"
    assert {row["note"] for row in of_group} == {note}
    means = pd.DataFrame(tables.runs).groupby(["cell_id", "session"])["energy_j"].mean()
    groups = [list(means[name]) for name in ("m--bf16--b1", "m--int4--b1")]
    row = one(of_group, test="Kruskal-Wallis")
    assert row["statistic"] == pytest.approx(stats.kruskal(*groups).statistic)
    assert (row["cells"], row["n"]) == (2, 5 + 6)
    (pair,) = found(of_group, test="Dunn")
    assert (pair["cell_id"], pair["other_cell_id"]) == ("m--bf16--b1", "m--int4--b1")
    of_tasks = one(rows, test="Kruskal-Wallis", level="task")
    assert (of_tasks["cells"], of_tasks["note"]) == (3, None)
    # Each cell by itself is tested at its own level.
    own = found(rows, test="Shapiro-Wilk", metric="energy_j", cell_id="m--int8--b1")
    assert {row["level"]: row["n"] for row in own} == {"task": TASKS, "run": 6}


def test_a_cell_that_is_not_tested_does_not_decide_the_level(tables: Tables) -> None:
    tables.cell("bf16", repeats=5)
    tables.cell("int8", repeats=5)
    tables.cell("int4", sessions=2, valid=False, failed_checks="gpu_not_shared")
    rows = tables.make()["statistical_test"]
    row = one(rows, test="Kruskal-Wallis", level="run")
    assert (row["cells"], row["n"]) == (2, 10)
    assert row["note"].startswith("left out, as not tested: m--int4--b1; the runs of a cell are")
    assert not found(rows, test="Kruskal-Wallis", level="session")


def test_a_group_of_which_one_cell_has_sessions_is_not_tested(tables: Tables) -> None:
    tables.cell("bf16", sessions=5)
    tables.cell("int8", repeats=5)
    rows = tables.make()["statistical_test"]
    row = one(rows, test="Kruskal-Wallis", level="session")
    assert (row["cells"], row["statistic"]) == (1, None)
    assert row["note"] == (
        "fewer than two cells of the group can be tested; left out, as they have no energies of "
        "two or more sessions: m--int8--b1"
    )


def test_samples_of_a_task_are_one_value(tables: Tables) -> None:
    tables.cell("bf16", repeats=1)
    twice = [{**row, "energy_j": row["energy_j"] * 3} for row in tables.tasks]
    tables.tasks += twice
    tables.tasks[-1]["energy_j"] = None
    (cell,) = _observations(tables)
    expected = [2 * row["energy_j"] for row in tables.tasks[: TASKS - 1]]
    assert list(cell.tasks["energy_j"][:-1]) == pytest.approx(expected)
    assert math.isnan(cell.tasks["energy_j"].iloc[-1])
    assert list(cell.tasks["position"]) == list(range(TASKS))


def _observations(tables: Tables) -> list[Any]:
    tables.make()
    paths = [tables.folder / f"{name}.parquet" for name in ("cells", "runs", "tasks")]
    return read_observations(*paths)


def test_what_changes_against_the_thesis_is_said(three: Tables) -> None:
    rows = three.make()["regression"]
    compared = [row for row in rows if row["conclusion_changes"] is not None]
    assert {row["model_name"] for row in compared} == {"thesis with intercept", "corrected"}
    for row in compared:
        thesis = one(
            rows, cell_id=row["cell_id"], term=row["term"], model_name="thesis", errors="HC3"
        )
        assert row["thesis_coefficient"] == thesis["coefficient"]
        assert row["thesis_p"] == thesis["p"]
        p = row["p_holm"] if row["model_name"] == "corrected" else row["p"]
        effects = [
            0 if q >= 0.05 else math.copysign(1, value)
            for value, q in ((thesis["coefficient"], thesis["p"]), (row["coefficient"], p))
        ]
        assert row["conclusion_changes"] == (effects[0] != effects[1])
        same = row["conclusion"].endswith(" The thesis model has the same finding.")
        differs = " The thesis model's finding differs: " in row["conclusion"]
        assert (same, differs) == (not row["conclusion_changes"], row["conclusion_changes"])
    assert any(row["conclusion_changes"] for row in compared)
    intercept = one(
        rows, cell_id="m--bf16--b1", term="intercept", model_name="corrected", errors="HC3"
    )
    assert intercept["p_holm"] is None
    assert f"(centred R² = {intercept['r_squared_centred']:.4f})" in intercept["conclusion"]


def test_tables_have_exactly_their_columns_and_csv_agrees(three: Tables) -> None:
    three.make()
    for name, columns in (("statistical_test", STATISTICAL_TEST), ("regression", REGRESSION)):
        table = pd.read_parquet(three.folder / f"{name}.parquet")
        assert dict(table.dtypes.astype(str)) == dict(columns)
        assert len(pd.read_csv(three.folder / f"{name}.csv")) == len(table)
    assert list(REGRESSION)[: len(CELL_IDS)] == list(CELL_IDS)


def test_the_summary_has_the_tests_and_what_changes(study: Any, tmp_path: Path) -> None:
    study.cell("fp32")
    made = aggregate(study.cells, study.variants, {"precision": "fp32", "prune": "none"}, {})
    tables = Tables(tmp_path)
    for precision in PRECISIONS:
        tables.cell(precision)
    tables.make()
    tests, regressions = (
        pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("statistical_test", "regression")
    )
    out = tmp_path / "summary.html"
    shown = made["cell"], made["variant"], made["check"]
    write_summary(*shown, {}, {}, {}, out, tests=tests, regressions=regressions)
    page = out.read_text()
    assert "<h2>Statistical tests of the reproduced studies</h2>" in page
    assert "Variants compared: model m, benchmark bench" in page
    kruskal = one(to_rows(tests), test="Kruskal-Wallis", level="task")
    assert f"H(2) = {kruskal['statistic']:.4g}" in page
    assert "a cell has 3 values; this test needs at least 5 in each cell" in page
    thesis = one(
        to_rows(regressions), model_name="thesis", cell_id="m--bf16--b1", term="new_tokens"
    )
    assert f"{thesis['r_squared_uncentred']:.3f}" in page
    write_summary(*shown, {}, {}, {}, out)
    assert "Statistical tests" not in out.read_text()
