"""The small study, from its file to its tables: every number has a unit, a status and a source."""

import base64
import subprocess
import sys

import pandas as pd
import pytest

from codewatt.files import read_json, read_jsonl
from tests.support.workbench import TASKS

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def results(finished_study):
    return finished_study.root / "results/small"


def _table(results, level):
    return pd.read_parquet(results / "tables" / f"{level}.parquet")


def test_there_is_one_row_for_each_cell_run_and_completion(results):
    assert len(_table(results, "cell")) == 4
    assert len(_table(results, "variant")) == 4
    assert len(_table(results, "run")) == 4 * 2
    assert len(_table(results, "task")) == 4 * 2 * TASKS


def test_csv_and_parquet_hold_the_same(results):
    for level in ("task", "run", "session", "cell", "variant", "check"):
        written = pd.read_csv(results / "tables" / f"{level}.csv")
        assert list(written.columns) == list(_table(results, level).columns)
        assert len(written) == len(_table(results, level))


def test_a_machine_without_a_gpu_says_so(results):
    cells = _table(results, "cell")
    energy = read_json(next((results / "cells").glob("*/energy.json")))
    if energy["components"]["gpu"]["status"] == "measured":
        pytest.skip("this machine has a GPU that NVML reads")
    assert set(cells["gpu_energy_status"]) == {"unavailable"}
    assert cells["gpu_j_mean"].isna().all(), "absent is empty, never 0"


def test_energies_are_sums_of_their_parts(results):
    runs = _table(results, "run")
    parts = runs[["gpu_j", "cpu_j", "dram_j"]].sum(axis=1, min_count=1)
    known = runs["energy_j"].notna()
    assert known.any(), "some repeat is long enough for a figure"
    assert set(runs["energy_boundary"]) == {"node"}
    for column in ("energy_j", "node_j"):
        pd.testing.assert_series_equal(
            parts[known], runs[column][known], check_names=False, check_exact=False
        )
    assert (runs["job_j"][known] <= runs["node_j"][known]).all()


def test_each_task_has_its_energy_or_the_reason_why_not(results):
    tasks = _table(results, "task")
    known = tasks["node_j"].notna()
    assert tasks["energy_note"][~known].str.contains("shorter than the time between").all()
    assert (tasks["node_uncertainty_j"][known] >= 0).all()


def test_each_run_has_its_roofline(results):
    runs, tasks = _table(results, "run"), _table(results, "task")
    for phase in ("prefill", "decode"):
        assert (runs[f"{phase}_bytes"] > 0).all()
        assert (runs[f"{phase}_roofline_share"] > 0).all()
    # A little model waits for Python. A cell measures the machine's rate itself, so its share can
    # pass 1 where other work ran just then; that of most cells cannot.
    assert runs["decode_roofline_share"].median() < 1
    assert (tasks["tpot_s"].notna() == (tasks["new_tokens"] > 1)).all()
    cells = _table(results, "cell").set_index("cell_id")["step_weight_bytes"]
    whole, packed = (cells.filter(like=f"one--full--{p}--").item() for p in ("fp32", "int8"))
    assert packed < 0.5 * whole
    assert _table(results, "cell")["tokens_identical_share"].isna().all(), "one engine only"


def test_each_completion_is_looked_at_for_repetition(results):
    tasks, cells = _table(results, "task"), _table(results, "cell")
    assert tasks["ends_in_loop"].notna().all()
    tokens = tasks["new_tokens"] - (tasks["stop_reason"] == "eos").astype(int)
    assert (tasks["repeated_4grams_share"].notna() == (tokens >= 4)).all()
    assert cells["loops_share"].between(0, 1).all()
    assert cells["repeated_lines_share"].between(0, 1).all()


def test_every_column_is_what_independent_code_makes_of_the_raw_files(
    repository, finished_study, results
):
    script = repository / "tools" / "recompute_tables.py"
    command = [sys.executable, str(script), str(finished_study.study_file), str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "0 differences" in done.stderr


def test_each_compressed_cell_has_paid_or_says_why_not(results):
    cells = _table(results, "cell")
    compressed = cells["cell_id"] != cells["baseline_cell_id"]
    assert compressed.sum() == 2
    told = cells["break_even_tasks"].notna() | cells["break_even_note"].notna()
    assert told[compressed].all()
    assert not told[~compressed].any()
    differences = cells[[c for c in cells.columns if c.startswith("pass_at_1_plus_difference")]]
    assert differences[compressed].notna().all(axis=None)


def test_every_check_is_a_row(results):
    table = _table(results, "check")
    energy = [read_json(path) for path in sorted((results / "cells").glob("*/energy.json"))]
    # This check compares cells with each other, so that energy.json of one cell does not have it.
    between_cells = table["name"] == "variant_not_confounded"
    assert sum(~between_cells) == sum(len(cell["checks"]) for cell in energy)
    cells = _table(results, "cell")
    compressed = cells["baseline_cell_id"].notna() & (cells["cell_id"] != cells["baseline_cell_id"])
    assert sorted(table["cell_id"][between_cells]) == sorted(cells["cell_id"][compressed])
    assert set(table["severity"]) == {"error", "warning"}
    assert not table["passed"][table["name"] == "energy_measured"].any()


def test_the_aa_test_runs_the_baselines_cells_a_second_time(finished_study, results):
    again = {cell.name for cell in (results / "cells").iterdir() if cell.name.endswith("again")}
    assert not again, "nothing runs twice unless it is asked for"
    planned = finished_study.would_run("aa_test")
    twins = {name for rule, name in planned if rule == "generate"}
    assert len(twins) == 2
    assert all(name.endswith("--again") and "--full--fp32--" in name for name in twins)
    finished_study.snakemake("aa_test", "--cores", "all")
    table = pd.read_csv(results / "tables" / "aa_test.csv")
    assert set(table["cell_id"][table["comparison"] == "twin"]) == {
        name.removesuffix("--again") for name in twins
    }
    means = _table(results, "cell").set_index("cell_id")["node_j_mean"]
    for row in table[table["metric"] == "node_j"].itertuples():
        if row.comparison == "twin":
            assert row.mean == pytest.approx(means[row.cell_id])
            again = read_json(results / "cells" / row.other_cell_id / "energy.json")
            joules = [run["energy_j"]["node"] for run in again["runs"]]
            known = [figure for figure in joules if figure is not None]
            assert row.other_n == len(known) > 0, "a repeat too short for its meter counts nowhere"
            assert row.other_mean == pytest.approx(sum(known) / len(known))
    assert finished_study.would_run("aa_test") == set()
    assert finished_study.would_run() == set()


def test_repeats_of_greedy_decoding_are_identical(results):
    assert _table(results, "cell")["completions_identical"].all()
    for path in (results / "cells").glob("*/completions.jsonl.gz"):
        rows = list(read_jsonl(path))
        by_repeat = [[r["solution"] for r in rows if r["repeat"] == n] for n in (0, 1)]
        assert by_repeat[0] == by_repeat[1]


def test_each_program_is_judged_once(results):
    for path in (results / "cells").glob("*/evaluate.json"):
        evaluated = read_json(path)
        assert len(evaluated["verdicts"]) == 2 * TASKS
        assert evaluated["judged"] <= TASKS


def test_variants_say_what_was_made(results):
    variants = _table(results, "variant").set_index("variant_id")
    int8, fp32 = variants.loc["one--full--int8"], variants.loc["one--full--fp32"]
    assert int8["size_bytes"] < 0.5 * fp32["size_bytes"]
    assert int8["quantise_s"] > 0
    assert variants.loc["one--last1--fp32", "layers"] == 3
    manifest = read_json(results / "variants/one--full--int8/manifest.json")
    assert manifest["quantised"]["quantised_modules"] == 4 * 6
    assert manifest["provenance"]["versions"]["bitsandbytes"]
    # Joules are computed from the telemetry when the tables are made.
    assert "energy_j" not in manifest
    assert int8["quantise_cpu_energy_status"] in ("measured", "modelled")


def test_figures_and_summary_are_there(results):
    for name in ("frontier", "energy_by_precision", "prune_depth", "repetition", "prompts"):
        assert (results / "figures" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert (results / "figures" / f"{name}.pdf").read_bytes()[:4] == b"%PDF"
    page = (results / "summary.html").read_text()
    assert "modelled" in page
    assert "http" not in page.split("</style>")[0], "the page needs no network"


def test_the_explorer_has_the_tables_of_the_study(results):
    page = (results / "explorer.html").read_text()
    for name in ("task", "run", "cell", "variant", "domain", "check"):
        content = (results / f"tables/{name}.parquet").read_bytes()
        assert base64.b64encode(content).decode() in page, name
    assert 'href="explorer.html"' in (results / "summary.html").read_text()


def test_the_report_is_made_offline(finished_study):
    finished_study.snakemake("--report", "report.html")
    report = (finished_study.root / "report.html").read_text(errors="ignore")
    assert "frontier" in report
    assert "Which" in report or "Energy" in report
